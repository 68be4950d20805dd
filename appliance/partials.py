"""The line of a take that somebody watches: the words of its open utterance while they are said.

Guarantee: words that were shown as stable are in what is committed, in that order and before the
others. Unless a gate holds the whole utterance back, the engine fails at it twice, or the hearing
starts again: then the line is cleared. Nothing of it is stored, one decode is under way at a time,
and none while text is due. Called by the thread of the take.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from engine.agreement import Agreement, spelling
from engine.audio import SAMPLE_RATE, Samples
from engine.due import Decode
from engine.segmenter import Segmenter, Utterance
from engine.stretch import PER_MS, Sound, Stretch
from engine.transcript import WITHOUT_SPACES, Segment, Word
from engine.worker import Ticket

log = logging.getLogger(__name__)
EVERY_MS = 1000  # of new sound: `base` takes a third of a core for that while somebody speaks
REST = 2  # times as long as the last decode took: a slow engine is left to others
STALE_MS = 3000  # of newer sound: then a decode that still waits is not worth its turn


@dataclass(frozen=True, slots=True)
class Line:
    """What is shown at this moment: words that stay, and words that may still change."""

    stable: str
    tentative: str
    at_seconds: float  # up to where the take was heard for it

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON spells it."""
        words = {"stable": self.stable, "tentative": self.tentative}
        return {**words, "atSeconds": self.at_seconds}


class Partials:
    """Decode the open utterance now and then; `listen(samples, last)` submits to the engine."""

    def __init__(
        self, listen: Callable[[Samples, bool], Ticket], show: Callable[[Line], None]
    ) -> None:
        self._listen, self._show = listen, show
        self._owed: dict[int, list[Word]] = {}  # shown as stable, by the start of the utterance
        self._shown = False  # there is something to clear
        self._decode: Decode | None = None
        self._heard_to, self._took_s, self._label = 0, 0.0, ""
        self._open(None)

    def look(self, segmenter: Segmenter, language: str | None) -> None:
        """Take the decode that has come, begin the next one; while no text is due."""
        start = segmenter.settled if segmenter.speaking else None
        if start != self._start:
            if self._start is not None or self._owed.keys() - {start}:
                self.reset()  # it held too little speech to be an utterance
            self._open(start)
        if not self._collect(segmenter, language):
            return
        sound = self._next(segmenter)
        if sound is not None:
            self._heard_to = sound.end_sample
            self._decode = Decode(sound, self._listen(sound.samples, sound.last), None)

    def end(self, utterance: Utterance) -> None:
        """The text of an utterance is due: what was shown as stable of it is owed."""
        if utterance.start_sample == self._start and self._stable:
            self._owed[self._start] = self._stable
        self._give_up()

    def settle(
        self, utterance: Utterance, segments: list[Segment], language: str | None
    ) -> list[Segment]:
        """Return the segments of the last decode, behind what was shown as stable; twice is fine.

        They stay as they are unless they differ from that in more than case and punctuation.
        """
        shown = self._owed.get(utterance.start_sample, [])
        words = [word for s in segments if s.suppressed is None for word in s.words]
        if shown and utterance.continues:  # what was said after the cut belongs to the next one
            count = belonging(shown, words, utterance.end_sample // PER_MS)
            self._owed[utterance.end_sample] = shown[count:]
            shown = shown[:count]
        if not shown or any(s.suppressed is not None or not s.words for s in segments):
            return segments
        agreement = Agreement()
        agreement.accept(shown)
        settled = agreement.settle(words)
        if spelled(settled) == spelled(words):
            return segments
        made = joined(settled, segments[0].engine if segments else self._label, language)
        reason = segments[0].engine_reason if segments else None
        return [replace(made, engine_reason=reason)]

    def commit(self, utterance: Utterance, language: str | None) -> None:
        """Clear the line, but for what was said after a cut: the text is there."""
        self._owed.pop(utterance.start_sample, None)
        rest = self._owed.get(utterance.end_sample, [])
        self._tell(rest, [], utterance.end_sample, language)

    def reset(self) -> None:
        """Forget everything, and clear the line: it is heard again, or was no speech."""
        self._owed.clear()
        self._give_up()
        self._tell([], [], self._heard_to, None)

    def _open(self, start: int | None) -> None:
        self._start, self._stretch = start, Stretch()
        self._carried = [] if start is None else self._owed.pop(start, [])
        self._stretch.accept(self._carried)

    @property
    def _stable(self) -> list[Word]:
        return [*self._carried, *self._stretch.stable]

    def _give_up(self) -> None:
        if self._decode is not None:
            self._decode.ticket.cancel()
            self._decode = None
        self._open(None)

    def _next(self, segmenter: Segmenter) -> Sound | None:
        if self._start is None:
            return None
        new_ms = (segmenter.end - max(self._heard_to, self._start)) // PER_MS
        if new_ms < max(EVERY_MS, REST * self._took_s * 1000):
            return None
        return self._stretch.next_sound(segmenter)

    def _collect(self, segmenter: Segmenter, language: str | None) -> bool:
        """Take the decode that has come; tell whether none is under way."""
        decode = self._decode
        if decode is None:
            return True
        if not decode.ticket.done:
            newer = segmenter.end - decode.sound.end_sample
            if decode.ticket.begun or newer < STALE_MS * PER_MS:
                return False
            decode.ticket.cancel()
        self._decode = None
        self._take(decode, segmenter, language)
        return True

    def _take(self, decode: Decode, segmenter: Segmenter, language: str | None) -> None:
        self._took_s = time.monotonic() - decode.ticket.submitted
        try:
            words = decode.words()
        except Exception as error:  # the text will come without it
            log.debug("there is no partial: %s", type(error).__name__)
            self._stretch.note(replace(decode.sound, last=False), [])
            return
        heard = decode.ticket.heard
        if heard is not None and heard.segments:
            self._label = heard.segments[0].engine
        self._stretch.hear(decode.sound, words)
        self._tell(self._stable, self._stretch.tentative, decode.sound.end_sample, language)
        self._stretch.shorten(segmenter, final_only=False)

    def _tell(
        self, stable: Sequence[Word], tentative: Sequence[Word], at: int, language: str | None
    ) -> None:
        if not (stable or tentative or self._shown):
            return
        self._shown = bool(stable or tentative)
        at_seconds = round(at / SAMPLE_RATE, 3)
        self._show(Line(text_of(stable, language), text_of(tentative, language), at_seconds))


def belonging(shown: Sequence[Word], words: Sequence[Word], end_ms: int) -> int:
    """Return how many of the words shown belong to an utterance that was cut at `end_ms`.

    By the spelling of its last decode, if that agrees; else by when they were said.
    """
    known, said = spelled(shown), spelled(words)
    agreed = next((i for i, (a, b) in enumerate(zip(known, said, strict=False)) if a != b), None)
    if agreed is None and said:
        return min(len(known), len(said))
    return sum((word.start_ms + word.end_ms) // 2 < end_ms for word in shown)


def joined(words: Iterable[Word], engine: str, language: str | None) -> Segment:
    """Return a segment of the words, each after the one before."""
    ordered: list[Word] = []
    for word in words:
        start_ms = max(word.start_ms, ordered[-1].end_ms if ordered else 0)
        ordered.append(replace(word, start_ms=start_ms, end_ms=max(word.end_ms, start_ms)))
    return Segment(
        start_ms=ordered[0].start_ms,
        end_ms=ordered[-1].end_ms,
        text=text_of(ordered, language),
        words=tuple(ordered),
        engine=engine,
        confidence=round(fmean(word.probability for word in ordered), 3),
    )


def text_of(words: Iterable[Word], language: str | None) -> str:
    """Return words as a line."""
    return ("" if language in WITHOUT_SPACES else " ").join(word.text for word in words)


def spelled(words: Iterable[Word]) -> list[str]:
    """Return the words without case and punctuation."""
    return [spelling(word.text) for word in words]
