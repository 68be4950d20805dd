"""The words of the open utterance while it grows: when to decode it, and what is known of it.

The growing utterance is decoded again and again, in a short window; what two decodes agree on is
stable. Its beginning is let go once it is long, so that the window stays short. Pure values: what
decodes and who listens is the owner's business.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.agreement import Agreement
from engine.audio import SAMPLE_RATE, Samples
from engine.segmenter import Segmenter
from engine.transcript import Word
from engine.vad import CHUNK_SAMPLES

PER_MS = SAMPLE_RATE // 1000
PARTIAL_EVERY_MS = 700  # of new sound
HUSH_MS = 160  # so much silence is worth a decode: it may be the end
COVERED_MS = 96  # of silence after the last word that a decode must hold to be the last one
# With less before or after them two decodes agree on words that the whole utterance has not:
# 12.1 % of the words wrong instead of 10.7 (`base`, 30 clips, decoded once: 10.7).
STRETCH_MS = 4000  # of sound that must be heard before words are stable
HOLD_MS = 1500  # the last words of a decode stay tentative
PIECE_MS = 1000  # of stable words are worth a final of their own
WINDOW_MS = 12_000  # of sound: then its beginning goes, so that a short window is enough
LEFT_MS = 1500  # of sound that stays on each side of such a cut, at least


@dataclass(frozen=True, slots=True)
class Sound:
    """Sound to be decoded; `last`: it may be all that is said, so it is worth the best decode."""

    start_sample: int
    samples: Samples
    last: bool

    @property
    def end_sample(self) -> int:
        """Return the position after its last sample."""
        return self.start_sample + len(self.samples)


class Stretch:
    """Hold what is known of one utterance, from its first decode to its last."""

    def __init__(self, after: Word | None = None) -> None:
        self._agreement = Agreement(after)  # a cut may let a rest of that word be heard again
        self._finals = 0  # of the stable words, that were told as final
        self._from = 0  # what was said before that position is settled
        self._heard: tuple[int, int] = (0, 0)  # the sound of the newest decode
        self._said: list[Word] | None = None  # its words, if it was of the best quality

    @property
    def stable(self) -> list[Word]:
        """Return the stable words beyond the finals."""
        return self._agreement.stable[self._finals :]

    @property
    def tentative(self) -> list[Word]:
        """Return what was heard behind the stable words, as far as is known."""
        return self._agreement.tentative

    def start(self, segmenter: Segmenter) -> int:
        """Return from where on the open utterance is decoded."""
        return max(segmenter.settled, self._from)

    def sound(self, segmenter: Segmenter, last: bool) -> Sound:
        """Return the sound of the open utterance as far as it is needed."""
        start = self.start(segmenter)
        return Sound(start, segmenter.current()[start - segmenter.settled :], last)

    def next_sound(self, segmenter: Segmenter) -> Sound | None:
        """Return what is worth a decode by now, if something is."""
        if not segmenter.speaking:
            return None
        start, end, silent = self.start(segmenter), segmenter.end, segmenter.silent_ms
        if silent < HUSH_MS:
            due = end - self._heard_to(start) >= PARTIAL_EVERY_MS * PER_MS
            return self.sound(segmenter, last=False) if due else None
        voiced_to = end - silent * PER_MS
        return None if self.covers(start, voiced_to) else self.sound(segmenter, last=True)

    def left_out(self, sound: Sound) -> int:
        """Return how many partials there might have been since the newest decode."""
        heard_to = self._heard_to(sound.start_sample)
        return max(0, (sound.end_sample - heard_to) // (PARTIAL_EVERY_MS * PER_MS) - 1)

    def _heard_to(self, start: int) -> int:
        return self._heard[1] if self._heard[0] == start else start

    def covers(self, start: int, voiced_to: int) -> bool:
        """Tell whether all that was said between two positions is known from the best decode."""
        covered = voiced_to + COVERED_MS * PER_MS <= self._heard[1]
        return self._said is not None and self._heard[0] == start and covered

    @property
    def said(self) -> list[Word]:
        """Return the words of the newest decode, which `covers` told to be of use."""
        return self._said or []

    def note(self, sound: Sound, words: list[Word]) -> None:
        """Take note of a decode, without making anything stable by it."""
        self._heard = (sound.start_sample, sound.end_sample)
        self._said = words if sound.last else None

    def hear(self, sound: Sound, words: list[Word]) -> None:
        """Take the words of a decode of the open utterance."""
        self.note(sound, words)
        if not words and not sound.last:
            return  # a quick decode that was in doubt
        heard_ms = len(sound.samples) // PER_MS
        hold_ms = HOLD_MS if heard_ms >= STRETCH_MS else heard_ms
        self._agreement.update(words, sound.end_sample // PER_MS - hold_ms)

    def take_piece(self) -> list[Word]:
        """Return the stable words as final ones if they are worth it."""
        piece = self.stable
        if not piece or piece[-1].end_ms - piece[0].start_ms < PIECE_MS:
            return []
        self._finals += len(piece)
        return piece

    def accept(self, words: Sequence[Word]) -> list[Word]:
        """Take all words of a decode as final; return those that were not."""
        self._agreement.accept(words)
        said = self.stable
        self._finals = len(self._agreement.stable)
        return said

    def settle(self, words: Sequence[Word]) -> list[Word]:
        """Return the words beyond the finals by the last decode, behind those that are stable."""
        return self._agreement.settle(words)[self._finals :]

    def shorten(self, segmenter: Segmenter, final_only: bool = True) -> int | None:
        """Let the beginning of a long utterance go, at the longest pause between settled words.

        Return where, None if it is not long. `final_only`: words that are merely stable stay.
        """
        start, end = self.start(segmenter), segmenter.end
        if end - start < WINDOW_MS * PER_MS:
            return None
        settled = self._finals if final_only else len(self._agreement.stable)
        words = [*self._agreement.stable, *self._agreement.tentative]
        latest = end // PER_MS - LEFT_MS
        cuts = [
            (words[i].start_ms - words[i - 1].end_ms, words[i - 1].end_ms, i)
            for i in range(1, min(settled + 1, len(words)))
            if words[i - 1].end_ms > start // PER_MS + LEFT_MS and words[i].start_ms < latest
        ]
        if not cuts:
            return None
        _, _, count = max(cuts)
        middle = (words[count - 1].end_ms + words[count].start_ms) // 2 * PER_MS
        if final_only:
            self._agreement.take(count)
            self._finals -= count
        self._from = start + (middle - start) // CHUNK_SAMPLES * CHUNK_SAMPLES
        self._heard = (self._from, self._heard[1])
        self._said = [w for w in self._said if w.end_ms * PER_MS > middle] if self._said else None
        return self._from
