"""Decide whether decoded text is speech or invented: on plain values, each gate with its name.

Whisper writes text for noise and repeats itself when it loses the thread. The thresholds are those
of OpenAI's `whisper` (compression ratio 2.4, log-probability -1.0, no-speech 0.6); the token cap is
Moonshine's idea, the repetition rule follows "Careless Whisper" (FAccT 2024) and Vexa.
"""

import re
import zlib
from dataclasses import dataclass

DENSE_SCRIPTS = {"ja", "zh", "yue", "ko", "th", "lo", "my", "km", "hi", "bn", "ta", "te", "am"}


@dataclass(frozen=True, slots=True)
class Gates:
    """The limits. A value of None opens that gate."""

    no_speech_probability: float | None = 0.6
    mean_log_probability: float = -1.0
    compression_ratio: float | None = 2.4
    tokens_per_second: float = 8.0
    spare_tokens: int = 16
    repeated_share: float | None = 0.8  # of the words, by one phrase said three times or more
    spoken_tokens_per_second: float = 5.0  # people say no more; a decoder that loops does

    def sayable(self, decoded: "Decoded") -> bool:
        """Tell whether so much text can have been said in the time: then a repetition is real.

        A decoder that has lost the thread writes until the cap stops it; people who say the same
        sentence three times take three times as long.
        """
        rate = self.spoken_tokens_per_second * (2 if decoded.language in DENSE_SCRIPTS else 1)
        return not decoded.capped and len(decoded.tokens) <= rate * decoded.seconds + 4

    def token_cap(self, seconds: float, language: str | None) -> int:
        """Return the most tokens that so much speech can be; scripts without letters need more."""
        rate = self.tokens_per_second * (2 if language in DENSE_SCRIPTS else 1)
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


def verdict(decoded: Decoded, gates: Gates) -> str | None:
    """Return the name of the first gate that holds the text back, None if all let it pass."""
    if not decoded.text:
        return None
    if (
        gates.no_speech_probability is not None
        and decoded.no_speech_probability > gates.no_speech_probability
        and decoded.mean_log_probability < gates.mean_log_probability
    ):
        return "no speech"
    if decoded.capped:
        return "token rate"
    if gates.sayable(decoded):
        return None
    if gates.repeated_share is not None and repeated_share(decoded.text) >= gates.repeated_share:
        return "repetition"
    if (
        gates.compression_ratio is not None
        and compression_ratio(decoded.text) > gates.compression_ratio
    ):
        return "compression"
    return None


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
