"""When each word is said: by the attention of the decoder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.decoding import Decoding, Encoded
from engine.gates import Decoded
from engine.sentences import RawWord, without_lead
from engine.transcript import Word

LONGEST_WORD_MS = 2000
SMOOTHED_FRAMES = 3  # of attention, by their median; Whisper's own 7 take half of an alignment
BEFORE, AFTER = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Aligned:
    """A word or a mark as it is decoded, with the space before it, on the clock of its window."""

    text: str
    start_ms: int
    end_ms: int
    probability: float

    def moved(self, by_ms: int) -> "Aligned":
        """Return the same `by_ms` later."""
        return replace(self, start_ms=self.start_ms + by_ms, end_ms=self.end_ms + by_ms)


def align(whisper: Any, decoding: Decoding, window: Encoded, text: Decoded) -> list[Aligned]:
    """Return the words of one window: on a CPU, several at once take longer."""
    if not text.tokens:
        return []
    (entries,) = whisper.find_alignment(
        decoding.tokenizer,
        [list(text.tokens)],
        window.output,
        window.frames,
        median_filter_width=SMOOTHED_FRAMES,
    )
    return [aligned(entry, round(window.seconds * 1000)) for entry in entries]


def aligned(entry: dict[str, Any], until_ms: int) -> Aligned:
    """Return one entry of faster-whisper's alignment, held within its window."""
    start = min(round(float(entry["start"]) * 1000), until_ms)
    end = min(max(round(float(entry["end"]) * 1000), start), until_ms)
    return Aligned(str(entry["word"]), start, end, float(entry["probability"]))


def words_of(entries: Sequence[Aligned]) -> list[RawWord]:
    """Join marks with their words, and take from a word the pause that alignment gave to it."""
    from faster_whisper.transcribe import merge_punctuations

    merged: list[dict[str, Any]] = [
        {"word": e.text, "tokens": [], "start": e.start_ms, "end": e.end_ms, "p": e.probability}
        for e in entries
    ]
    merge_punctuations(merged, BEFORE, AFTER)
    words = []
    for entry in merged:
        text, start, end = str(entry["word"]), int(entry["start"]), int(entry["end"])
        if not text.strip():
            continue
        if end - start > LONGEST_WORD_MS:  # alignment stretches a word over a pause before it
            start = end - LONGEST_WORD_MS
        words.append((text, Word(text.strip(), start, end, round(float(entry["p"]), 3))))
    return without_lead(words)
