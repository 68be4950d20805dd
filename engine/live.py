"""One live stream: samples go in as they come, words come out while they are said.

While somebody speaks the growing utterance is decoded again and again; what two decodes agree on
is *stable* and never taken back, the rest is *tentative*. A long utterance is finalised piece by
piece at the stable prefix, its end once its silence is long enough (endpointing). One decode is
under way at a time; when the engine can't keep up partials are left out, finals never.

Everything is on the clock of the audio. Not for several threads at once: the owner calls `push`
with samples, `collect` whenever a decode may have come to its end, and `finish` at the end.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.agreement import Agreement
from engine.audio import SAMPLE_RATE, Samples
from engine.detector import Detector
from engine.segmenter import MEETING, Profile, Segmenter, Utterance
from engine.transcript import Word
from engine.vad import CHUNK_SAMPLES
from engine.worker import Ticket

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
class SpeechStarted:
    """Somebody began to speak."""

    sample: int


@dataclass(frozen=True, slots=True)
class Partial:
    """What is known of the open stretch beyond its finals; the tentative words may change."""

    stable: tuple[Word, ...]
    tentative: tuple[Word, ...]
    end_sample: int


@dataclass(frozen=True, slots=True)
class Final:
    """Words that will not change, in order; `ended`: the utterance is over with them."""

    words: tuple[Word, ...]
    end_sample: int
    ended: bool


Told = SpeechStarted | Partial | Final


@dataclass(frozen=True, slots=True)
class Decode:
    """A decode: of which sound, and of an utterance that is over or (None) of the open one."""

    start_sample: int
    end_sample: int
    ticket: Ticket
    over: Utterance | None


class Live:
    """Hear one stream; `listen(samples, last)` submits sound to the engine."""

    def __init__(
        self,
        listen: Callable[[Samples, bool], Ticket],
        endpoint_ms: int | None = 600,
        profile: Profile = MEETING,
    ) -> None:
        self._listen, self._endpoint_ms = listen, endpoint_ms
        self._detector, self._segmenter = Detector(profile.onset), Segmenter(profile)
        self._rest: Samples = np.zeros(0, np.int16)
        self._agreement = Agreement()
        self._finals = 0  # of the stable words, that were told as final
        self._ended = False  # the silence after them was told as the end of an utterance
        self._over: deque[Utterance] = deque()  # to be decoded a last time
        self._decode: Decode | None = None
        self._heard: tuple[int, int, list[Word]] = (0, 0, [])  # the last partial: its sound, words
        self._speaking = False
        self._told: list[Told] = []

    def push(self, samples: Samples) -> list[Told]:
        """Take sound; return what can be told by now."""
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES
        self._rest, samples = samples[whole:], samples[:whole]
        probabilities = self._detector.probabilities(samples)
        for i in range(len(probabilities)):
            chunk = samples[i * CHUNK_SAMPLES : (i + 1) * CHUNK_SAMPLES]
            self._over += self._segmenter.push(chunk, probabilities[i : i + 1])
            self._notice()
        return self.collect()

    def _notice(self) -> None:
        """Look whether somebody began to speak."""
        speaking = self._segmenter.speaking and self._segmenter.silent_ms == 0
        if speaking and (self._ended or not self._speaking):
            self._told.append(SpeechStarted(self._segmenter.end - CHUNK_SAMPLES))
            self._ended = False
        self._speaking = self._segmenter.speaking

    def finish(self) -> None:
        """Take what is left as the end of the stream; `collect` until `done`."""
        self._over += self._segmenter.flush(self._rest)
        self._rest, self._speaking = self._rest[:0], False

    @property
    def done(self) -> bool:
        """Tell whether nothing is under way and nothing waits."""
        return not (self._over or self._decode or self._told)

    @property
    def waiting(self) -> Ticket | None:
        """Return the decode under way."""
        return self._decode.ticket if self._decode is not None else None

    def collect(self) -> list[Told]:
        """Take the decode that has come, begin the next one; return what can be told by now."""
        while self._decode is not None and self._decode.ticket.done:
            decode, self._decode = self._decode, None
            words = words_of(decode)
            if decode.over is not None:
                self._end(decode.over, words)
            else:
                self._partial(decode, words)
            self._begin()
        if self._decode is None:
            self._begin()
        self._endpoint()
        told, self._told = self._told, []
        return told

    def _begin(self) -> None:
        """Begin with what is to be decoded next, if there is something."""
        while self._over:
            over = self._over[0]
            start, end, words = self._heard
            self._over.popleft()
            covered = over.voiced_to + COVERED_MS * PER_MS <= end
            if start == over.start_sample and covered and not over.continues:
                self._end(over, words)  # all that was said is heard already
                continue
            self._submit(over.start_sample, over.samples, over, last=True)
            return
        if not self._segmenter.speaking:
            return
        start, end = self._segmenter.settled, self._segmenter.end
        heard_to = self._heard[1] if self._heard[0] == start else start
        silent = self._segmenter.silent_ms
        hushed = silent >= HUSH_MS and heard_to < end - (silent - COVERED_MS) * PER_MS
        due = silent < HUSH_MS and end - heard_to >= PARTIAL_EVERY_MS * PER_MS
        if hushed or due:
            self._submit(start, self._segmenter.current(), None, last=hushed)

    def _endpoint(self) -> None:
        """Tell what was said as final once the silence after it is long enough and it is heard."""
        silent = self._segmenter.silent_ms
        if self._endpoint_ms is None or self._ended or not self._segmenter.speaking:
            return
        start, end, words = self._heard
        if silent < self._endpoint_ms or start != self._segmenter.settled or self._over:
            return
        if end < self._segmenter.end - (silent - COVERED_MS) * PER_MS:
            return  # the decode that will have it all is under way
        self._agreement.accept(words)
        said = self._agreement.stable[self._finals :]
        self._finals = len(self._agreement.stable)
        if said:
            self._told.append(Final(tuple(said), end, True))
            self._ended = True

    def _submit(self, start: int, samples: Samples, over: Utterance | None, last: bool) -> None:
        ticket = self._listen(samples, last)
        self._decode = Decode(start, start + len(samples), ticket, over)

    def _partial(self, decode: Decode, words: list[Word]) -> None:
        self._heard = (decode.start_sample, decode.end_sample, words)
        if self._over and self._over[0].start_sample == decode.start_sample:
            return  # the utterance is over: the last decode tells
        heard_ms = (decode.end_sample - decode.start_sample) // PER_MS
        hold_ms = HOLD_MS if heard_ms >= STRETCH_MS else heard_ms
        self._agreement.update(words, decode.end_sample // PER_MS - hold_ms)
        stable = self._agreement.stable[self._finals :]
        if stable and stable[-1].end_ms - stable[0].start_ms >= PIECE_MS:
            self._told.append(Final(tuple(stable), stable[-1].end_ms * PER_MS, False))
            self._finals += len(stable)
            stable = []
        self._told.append(
            Partial(tuple(stable), tuple(self._agreement.tentative), decode.end_sample)
        )
        self._shorten()

    def _shorten(self) -> None:
        """Let the beginning of a long utterance go, at the longest pause between final words."""
        start, end = self._segmenter.settled, self._segmenter.end
        if end - start < WINDOW_MS * PER_MS:
            return
        words = [*self._agreement.stable, *self._agreement.tentative]
        latest = end // PER_MS - LEFT_MS
        cuts = [
            (words[i].start_ms - words[i - 1].end_ms, words[i - 1].end_ms, i)
            for i in range(1, min(self._finals + 1, len(words)))
            if words[i - 1].end_ms > start // PER_MS + LEFT_MS and words[i].start_ms < latest
        ]
        if not cuts:
            return
        _, _, count = max(cuts)
        self._agreement.take(count)
        self._finals -= count
        middle = (words[count - 1].end_ms + words[count].start_ms) // 2
        self._segmenter.let_go(middle * PER_MS)
        self._heard = (self._segmenter.settled, self._heard[1], words[count:])

    def _end(self, over: Utterance, words: list[Word]) -> None:
        said = self._agreement.settle(words)[self._finals :]
        self._agreement, self._finals = Agreement(), 0
        if said or not self._ended:
            self._told.append(Final(tuple(said), over.end_sample, not over.continues))
        self._ended = False


def words_of(decode: Decode) -> list[Word]:
    """Return the words of a decode that has come, on the clock of the stream."""
    offset_ms = decode.start_sample // PER_MS
    heard = decode.ticket.result(0)
    segments = [s.moved(offset_ms) for s in heard.segments if s.suppressed is None]
    return [word for segment in segments for word in segment.words]
