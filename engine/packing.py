"""Utterances of a file share a window: what is packed, and where in the file its words lie.

Windows cost the same however little they hold. The pause between two utterances shrinks to the
hangover of the first and the pre-roll of the second, so times are put back piece by piece.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean

import numpy as np

from engine.audio import SAMPLE_RATE, Samples
from engine.segmenter import Utterance
from engine.sentences import MAX_GAP_MS
from engine.transcript import Segment, Word

PER_MS = SAMPLE_RATE // 1000


@dataclass(frozen=True, slots=True)
class Pack:
    """Utterances in the order of the file, one behind the other."""

    utterances: tuple[Utterance, ...]

    @property
    def samples(self) -> Samples:
        """Return their sound."""
        return np.concatenate([utterance.samples for utterance in self.utterances])

    @property
    def end_sample(self) -> int:
        """Return the position in the file after the last of them."""
        return self.utterances[-1].end_sample

    def on_file(self, segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
        """Return segments of this window on the clock of the file, cut at its pauses."""
        return tuple(part for segment in segments for part in self._placed(segment))

    def _placed(self, segment: Segment) -> list[Segment]:
        words = [self._word(word) for word in segment.words]
        if not words or segment.suppressed is not None:
            start, end = self._at(segment.start_ms, segment.end_ms)
            return [replace(segment, start_ms=start, end_ms=end, words=tuple(words))]
        gaps_ms = [after.start_ms - before.end_ms for before, after in pairwise(words)]
        cuts = [0, *(i for i, gap_ms in enumerate(gaps_ms, 1) if gap_ms >= MAX_GAP_MS)]
        if len(cuts) == 1:
            start, end = words[0].start_ms, words[-1].end_ms
            return [replace(segment, start_ms=start, end_ms=end, words=tuple(words))]
        places = word_places(segment)
        parts = []
        for first, last in zip(cuts, [*cuts[1:], len(words)], strict=True):
            until = places[last] if last < len(words) else len(segment.text)
            parts.append(
                replace(
                    segment,
                    start_ms=words[first].start_ms,
                    end_ms=words[last - 1].end_ms,
                    text=segment.text[places[first] : until].strip(),
                    words=tuple(words[first:last]),
                    confidence=round(fmean(w.probability for w in words[first:last]), 3),
                )
            )
        return parts

    def _word(self, word: Word) -> Word:
        """Return a word on the clock of the file; it never reaches over the end of its piece."""
        begins_ms = 0
        for utterance in self.utterances:
            length_ms = len(utterance.samples) // PER_MS
            if (word.start_ms + word.end_ms) // 2 < begins_ms + length_ms:
                break
            begins_ms += length_ms
        else:
            begins_ms -= length_ms
        by_ms = utterance.start_sample // PER_MS - begins_ms
        start = max(word.start_ms, begins_ms)
        end = max(min(word.end_ms, begins_ms + length_ms), start)
        return replace(word, start_ms=start + by_ms, end_ms=end + by_ms)

    def _at(self, start_ms: int, end_ms: int) -> tuple[int, int]:
        """Return where in the file a stretch of the window begins and ends."""
        first = self._word(Word("", start_ms, start_ms + 1, 0)).start_ms
        return first, max(self._word(Word("", end_ms - 1, end_ms, 0)).end_ms, first)


def word_places(segment: Segment) -> list[int]:
    """Return where in the text of a segment each of its words begins."""
    places, at = [], 0
    for word in segment.words:
        at = max(segment.text.find(word.text, at), at)
        places.append(at)
        at += len(word.text)
    return places


class Packer:
    """Fill windows with utterances as they come, up to a length."""

    def __init__(self, most_ms: int) -> None:
        self.narrow(most_ms)
        self._held: list[Utterance] = []

    def narrow(self, most_ms: int) -> None:
        """From now on a window has at most so much, but for an utterance that is longer."""
        self._most = most_ms * PER_MS

    def push(self, utterance: Utterance) -> list[Pack]:
        """Take the next utterance; return the window that has no room for it, if so."""
        filled = sum(len(held.samples) for held in self._held)
        full = self.flush() if filled + len(utterance.samples) > self._most else []
        self._held.append(utterance)
        return full

    def flush(self) -> list[Pack]:
        """Return what is held, which may be nothing."""
        held, self._held = self._held, []
        return [Pack(tuple(held))] if held else []

    @property
    def end_sample(self) -> int | None:
        """Return the position after the last utterance held; None if there is none."""
        return self._held[-1].end_sample if self._held else None
