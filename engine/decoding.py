"""Encoded windows become text: one prompt, one language, as many windows at once as there are.

The decoder reads all of its weights for every token; eight windows at once read them once, which
costs a third of eight times one. (The encoder is the other way round: its windows go one by one,
for several at once don't fit into the cache.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.audio import SAMPLE_RATE, Samples
from engine.gates import Decoded, Gates
from engine.windows import frames_of, spectrogram

UNSURE = -0.3  # mean log-probability below which a beam is worth its cost
MAX_TOKENS = 448  # the decoder's context, prompt included


@dataclass(frozen=True, slots=True)
class Encoded:
    """One window as the encoder sees it."""

    samples: Samples
    window: int  # in seconds
    output: Any  # of the encoder: [1, window * 50, width], on the CPU

    @property
    def seconds(self) -> float:
        """Return how much of it is sound."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def frames(self) -> int:
        """Return the same in frames of the spectrogram."""
        return frames_of(self.samples)


def together(windows: Sequence[Encoded]) -> Any:
    """Return the encoder's output of windows of equal length as one."""
    import ctranslate2

    if len(windows) == 1:
        return windows[0].output
    stacked = np.concatenate([np.asarray(window.output) for window in windows])
    return ctranslate2.StorageView.from_array(stacked)


@dataclass(frozen=True, slots=True)
class Manner:
    """How windows are decoded: the beam, the limits, the temperature (0: the likeliest)."""

    beam: int
    gates: Gates
    quick: bool = False  # what is in doubt is left out instead of decoded again
    temperature: float = 0.0
    phrases: frozenset[str] = frozenset()  # that the model is known to invent
    unsure: float = UNSURE  # where the beam begins; above it, the likeliest word is taken


class Decoding:
    """The decoder of a loaded model, set to a language, a task and hotwords."""

    def __init__(
        self, whisper: Any, language: str, task: str, hotwords: tuple[str, ...], english_only: bool
    ) -> None:
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_suppressed_tokens

        self.language = language
        self._whisper = whisper
        self.tokenizer = Tokenizer(
            whisper.hf_tokenizer, not english_only, task=task, language=language
        )
        self._prompt: list[int] = whisper.get_prompt(
            self.tokenizer, [], without_timestamps=True, hotwords=" ".join(hotwords) or None
        )
        self._never = get_suppressed_tokens(self.tokenizer, [-1])

    def decode(self, windows: Sequence[Encoded], manner: Manner) -> list[Decoded]:
        """Return the text of each window; all of one length."""
        caps = [self._cap(window, manner.gates) for window in windows]
        results = self._whisper.model.generate(
            together(windows),
            [self._prompt] * len(windows),
            beam_size=manner.beam,
            max_length=self._max_length(max(caps)),
            sampling_temperature=manner.temperature or 1.0,
            sampling_topk=0 if manner.temperature else 1,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=self._never,
        )
        return [
            self._decoded(window, result, cap)
            for window, result, cap in zip(windows, results, caps, strict=True)
        ]

    def _cap(self, window: Encoded, gates: Gates) -> int:
        """Return after how many tokens a window is stopped, or should have been."""
        length = self._max_length(gates.token_cap(window.seconds, self.language))
        return min(length // 2, length - len(self._prompt))

    def _max_length(self, cap: int) -> int:
        # CTranslate2 stops at the smaller of max_length / 2 and max_length - len(prompt)
        return min(2 * max(cap, len(self._prompt)), MAX_TOKENS)

    def _decoded(self, window: Encoded, result: Any, cap: int) -> Decoded:
        ids = result.sequences_ids[0]
        tokens = tuple(token for token in ids if token < self.tokenizer.eot)
        return Decoded(
            tokens=tokens,
            text=self.tokenizer.decode(list(tokens)).strip(),
            mean_log_probability=result.scores[0] * len(tokens) / (len(tokens) + 1),
            no_speech_probability=result.no_speech_prob,
            capped=len(ids) >= cap,
            seconds=window.seconds,
            language=self.language,
        )


def encode(whisper: Any, samples: Samples, window: int) -> Encoded:
    """Encode samples in a window of so many seconds."""
    import ctranslate2

    frames = spectrogram(whisper.feature_extractor, samples, window)
    view = ctranslate2.StorageView.from_array(frames)
    return Encoded(samples, window, whisper.model.encode(view, to_cpu=True))
