"""Decide whether decoded text is speech or invented: on plain values, each gate with its name.

In order, behind the VAD: no speech, token rate, repetition, compression, phrase. Whisper writes
text for noise and repeats itself when it loses the thread. The thresholds are those of OpenAI's
`whisper` (compression ratio 2.4, log-probability -1.0, no-speech 0.6); the token cap is Moonshine's
idea, the repetition rule follows "Careless Whisper" (FAccT 2024) and Vexa.
"""

import re
import zlib
from collections.abc import Set
from dataclasses import dataclass

from engine.phrases import spelling

NO_SPEECH, PHRASE = "no speech", "phrase"
UNLIKELY = "log-probability"  # only of speech that was passed over at first
# How many times the tokens of Latin script a language takes: Whisper's vocabulary has few words of
# them, often no more than bytes. Counted on the first article of the Declaration of Human Rights.
CYRILLIC = ("ru", "uk", "be", "bg", "mk", "sr", "kk", "tg", "tt", "ba", "mn")
DENSE_SCRIPTS = {
    **dict.fromkeys(CYRILLIC, 1.5),
    **dict.fromkeys(("ja", "zh", "yue", "ko", "el", "he", "yi", "ar", "fa", "ur", "ps", "sd"), 2),
    **dict.fromkeys(("hi", "mr", "ne", "sa", "bn", "as", "ta", "te", "kn", "ml", "gu", "pa"), 4),
    **dict.fromkeys(("si", "th", "lo", "my", "km", "bo", "am", "hy", "ka"), 4),
}


@dataclass(frozen=True, slots=True)
class Gates:
    """The limits. A value of None opens that gate."""

    no_speech_probability: float | None = 0.6
    mean_log_probability: float = -1.0
    # speech in noise of 5 dB stays below 0.8, music comes to 0.97 with a log-probability of -0.7
    sure_no_speech_probability: float = 0.9
    sure_log_probability: float = -0.5
    phrase_no_speech_probability: float = 0.4  # what is known to be invented needs less of it
    phrase_log_probability: float = -0.8
    compression_ratio: float | None = 2.4
    tokens_per_second: float = 8.0
    spare_tokens: int = 16
    repeated_share: float | None = 0.8  # of the words, by one phrase said three times or more
    spoken_tokens_per_second: float = 5.0  # people say no more; a decoder that loops does

    def silent(self, decoded: "Decoded") -> bool:
        """Tell whether the model hears no speech, and its text is no likelier than that."""
        if self.no_speech_probability is None:
            return False
        silence, text = decoded.no_speech_probability, decoded.mean_log_probability
        return (silence > self.no_speech_probability and text < self.mean_log_probability) or (
            silence > self.sure_no_speech_probability and text < self.sure_log_probability
        )

    def invented(self, decoded: "Decoded") -> bool:
        """Tell whether a phrase that the model is known to invent was not said either."""
        return (
            decoded.no_speech_probability > self.phrase_no_speech_probability
            or decoded.mean_log_probability < self.phrase_log_probability
        )

    def sayable(self, decoded: "Decoded") -> bool:
        """Tell whether so much text can have been said in the time: then a repetition is real.

        A decoder that has lost the thread writes until the cap stops it; people who say the same
        sentence three times take three times as long.
        """
        rate = self.spoken_tokens_per_second * density(decoded.language)
        return not decoded.capped and len(decoded.tokens) <= rate * decoded.seconds + 4

    def token_cap(self, seconds: float, language: str | None) -> int:
        """Return the most tokens that so much speech can be; scripts without letters need more."""
        rate = self.tokens_per_second * density(language)
        return int(rate * seconds) + self.spare_tokens


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one decode of one window gave."""

    tokens: tuple[int, ...]
    text: str
    mean_log_probability: float
    no_speech_probability: float
    capped: bool  # it was still writing when the token cap stopped it
    seconds: float  # of audio
    language: str | None = None


def verdict(decoded: Decoded, gates: Gates, phrases: Set[str] = frozenset()) -> str | None:
    """Return the name of the first gate that holds the text back, None if all let it pass.

    `phrases`: what the model is known to write where nobody speaks, as `engine.phrases` spells it.
    """
    if not decoded.text:
        return None
    if gates.silent(decoded):
        return NO_SPEECH
    if decoded.capped:
        return "token rate"
    if not gates.sayable(decoded):
        share = repeated_share(decoded.text)
        if gates.repeated_share is not None and share >= gates.repeated_share:
            return "repetition"
        ratio = compression_ratio(decoded.text)
        if gates.compression_ratio is not None and ratio > gates.compression_ratio:
            return "compression"
    if spelling(decoded.text) in phrases and gates.invented(decoded):
        return PHRASE
    return None


def density(language: str | None) -> float:
    """Return how many times the tokens of Latin script a language takes."""
    return DENSE_SCRIPTS.get(language or "", 1)


def is_dense(language: str | None) -> bool:
    """Tell whether a full window of it may be more than the decoder writes."""
    return density(language) > 2


def compression_ratio(text: str) -> float:
    """Return how many times smaller zlib makes the text."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))


def repeated_share(text: str) -> float:
    """Return the share of words that belong to one phrase of 3 to 6 words, said 3 times or more."""
    words = re.findall(r"\w+", text.lower())
    best = 0.0
    for size in range(3, 7):
        counts: dict[tuple[str, ...], int] = {}
        at: dict[tuple[str, ...], int] = {}  # end of the last one counted, so that none overlap
        for i in range(len(words) - size + 1):
            phrase = tuple(words[i : i + size])
            if i >= at.get(phrase, 0):
                counts[phrase] = counts.get(phrase, 0) + 1
                at[phrase] = i + size
        most = max(counts.values(), default=0)
        if most >= 3:
            best = max(best, most * size / len(words))
    return best
