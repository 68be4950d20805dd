"""One live stream: samples go in as they come, words come out while they are said.

While somebody speaks the growing utterance is decoded again and again; what two decodes agree on
is *stable* and never taken back, the rest is *tentative*. A long utterance is finalised piece by
piece at the stable prefix, its end once its silence is long enough (endpointing). One decode is
under way at a time; when the engine can't keep up partials are left out, finals never.

Everything is on the clock of the audio, not of the wall. Not for several threads at once: the owner
calls `push` with samples, `collect` whenever a decode may have come to its end, `flush` to have
what was said so far, `finish` at the end.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from engine.audio import SAMPLE_RATE, Samples
from engine.detector import Detector
from engine.due import Decode, Due
from engine.errors import Cancelled, EngineError
from engine.live_events import Final, Partial, Paused, SpeechStarted, Told
from engine.segmenter import MEETING, Profile, Segmenter, Utterance
from engine.stretch import HUSH_MS, PER_MS, Sound, Stretch
from engine.transcript import Word
from engine.vad import CHUNK_SAMPLES
from engine.worker import Ticket

log = logging.getLogger(__name__)
LONGEST_ENDPOINT_MS = 5000
Listen = Callable[[Samples, bool], Ticket]


class Live:
    """Hear one stream; `listen(samples, last)` submits sound to the engine.

    An utterance ends after a silence of `endpoint_ms`; that it lasts `pause_ms` is told too.
    """

    def __init__(
        self,
        listen: Listen,
        endpoint_ms: int | None = 600,
        pause_ms: int | None = None,
        profile: Profile = MEETING,
    ) -> None:
        if endpoint_ms is not None:  # a shorter one than a hush would end words, not utterances
            endpoint_ms = min(max(endpoint_ms, HUSH_MS), LONGEST_ENDPOINT_MS)
            longest_ms = max(profile.end_silence_ms, endpoint_ms)
            profile = replace(profile, end_silence_ms=longest_ms)
        self._listen, self._endpoint_ms, self._pause_ms = listen, endpoint_ms, pause_ms
        self._detector, self._segmenter = Detector(profile.onset), Segmenter(profile)
        self._rest: Samples = np.zeros(0, np.int16)
        self._stretch = Stretch()
        self._last_word: Word | None = None
        self._dues: deque[Due] = deque()
        self._decode: Decode | None = None
        self._speaking = False
        self._ended = True  # the silence after what was said is long enough
        self._unanswered = False  # that speech began was told, its end not yet
        self._voiced_to = 0
        self._paused = True  # the silence after that was told
        self._told: list[Told] = []
        self.hurried = False  # more sound waits: partials are left out
        self.partials_left_out = 0

    def push(self, samples: Samples) -> list[Told]:
        """Take sound; return what can be told by now."""
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES
        self._rest, samples = samples[whole:], samples[:whole]
        probabilities = self._detector.probabilities(samples)
        for i in range(len(probabilities)):
            chunk = samples[i * CHUNK_SAMPLES : (i + 1) * CHUNK_SAMPLES]
            for utterance in self._segmenter.push(chunk, probabilities[i : i + 1]):
                self._owe(utterance)
            self._notice()
        return self.collect()

    def flush(self) -> None:
        """Take what was said so far as over: the next Final but those due already is `flushed`."""
        self._cut(flushed=True)

    def finish(self) -> None:
        """Take what is left as the end of the stream; `collect` until `done`."""
        self._cut(flushed=False)

    @property
    def done(self) -> bool:
        """Tell whether nothing is under way and nothing waits."""
        return not (self._dues or self._told or self._decode)

    @property
    def waiting(self) -> Ticket | None:
        """Return the decode under way."""
        return self._decode.ticket if self._decode is not None else None

    @property
    def position(self) -> int:
        """Return up to which sample it has listened."""
        return self._segmenter.end

    @property
    def due(self) -> int:
        """Return how many finals wait for the engine."""
        return len(self._dues) + (self._decode is not None and self._decode.due is not None)

    @property
    def lag_s(self) -> float:
        """Return how far finals are behind the sound."""
        under_way = self._decode.due if self._decode is not None else None
        first = under_way or (self._dues[0] if self._dues else None)
        return 0.0 if first is None else (self._segmenter.end - first.end_sample) / SAMPLE_RATE

    def collect(self) -> list[Told]:
        """Take the decode that has come, begin the next one; return what can be told by now."""
        while self._decode is None or self._decode.ticket.done:
            decode, self._decode = self._decode, None
            if decode is not None:
                self._take(decode)
            if self._decode is None and not self._begin():
                break
        told, self._told = self._told, []
        return told

    def close(self) -> None:
        """Give up what is under way."""
        self._dues.clear()
        if self._decode is not None:
            self._decode.ticket.cancel()
            self._decode = None

    def _notice(self) -> None:
        """Look whether somebody began to speak, or has been silent for long enough."""
        speaking, silent_ms = self._segmenter.speaking, self._segmenter.silent_ms
        end = self._segmenter.end
        if speaking and silent_ms == 0:
            if self._ended or not self._speaking:
                self._told.append(SpeechStarted(end - CHUNK_SAMPLES))
                self._ended, self._unanswered = False, True
            self._voiced_to, self._paused = end, False
        self._speaking = speaking
        if speaking and not self._ended and at_least(silent_ms, self._endpoint_ms):
            self._ended = True
            self._owe_so_far(ended=True)
        if not self._paused and at_least((end - self._voiced_to) // PER_MS, self._pause_ms):
            self._paused = True
            if speaking and not self._ended:
                self._owe_so_far(ended=False)
            self._dues.append(Due(None, end, end, ended=False, paused=True))

    def _owe_so_far(self, ended: bool) -> None:
        sound = self._stretch.sound(self._segmenter, last=True)
        self._add(Due(sound, self._voiced_to, self._segmenter.end, ended))

    def _owe(self, utterance: Utterance, flushed: bool = False) -> None:
        sound = Sound(utterance.start_sample, utterance.samples, last=True)
        end, over = utterance.end_sample, not utterance.continues
        self._add(Due(sound, utterance.voiced_to, end, over, closes=True, flushed=flushed))

    def _cut(self, flushed: bool) -> None:
        ended = self._segmenter.flush(self._rest)
        self._rest, self._speaking = self._rest[:0], False
        for utterance in ended:
            self._owe(utterance, flushed)
        if flushed and not ended:
            end = self._segmenter.end
            self._add(Due(None, end, end, ended=True, closes=True, flushed=True))

    def _add(self, due: Due) -> None:
        """A final is due: a partial that still waits for the engine is in its way."""
        self._dues.append(due)
        decode = self._decode
        if decode is None or decode.due is not None or decode.sound.last or decode.ticket.begun:
            return
        decode.ticket.cancel()
        self._decode = None
        self.partials_left_out += 1

    def _begin(self) -> bool:
        """Begin with what is to be decoded next; tell whether there is something."""
        while self._dues:
            due = self._dues.popleft()
            if due.sound is None:
                self._conclude(due, [])
            elif self._stretch.covers(due.sound.start_sample, due.voiced_to):
                self._conclude(due, self._stretch.said)  # all that was said is heard already
            else:
                self._submit(due.sound, due)
                return True
        sound = None if self.hurried else self._stretch.next_sound(self._segmenter)
        if sound is not None:
            self.partials_left_out += self._stretch.left_out(sound)
            self._submit(sound, None)
        return sound is not None

    def _submit(self, sound: Sound, due: Due | None, again: bool = False) -> None:
        self._decode = Decode(sound, self._listen(sound.samples, sound.last), due, again)

    def _take(self, decode: Decode) -> None:
        """Take a decode that has come; a final that failed is tried once more."""
        try:
            words = decode.words()
        except Cancelled:
            raise
        except EngineError as error:
            if decode.due is None:
                self._stretch.note(replace(decode.sound, last=False), [])
            elif decode.again:
                raise
            else:
                log.warning("a final is decoded once more: %s", error)
                self._submit(decode.sound, decode.due, again=True)
            return
        if decode.due is not None:
            self._stretch.note(decode.sound, words)
            self._conclude(decode.due, words)
        elif any(due.closes for due in self._dues):
            self._stretch.note(decode.sound, words)  # the utterance is over: its last decode tells
        else:
            self._partial(decode.sound, words)

    def _partial(self, sound: Sound, words: list[Word]) -> None:
        stretch = self._stretch
        stretch.hear(sound, words)
        if piece := stretch.take_piece():
            self._told.append(Final(tuple(piece), piece[-1].end_ms * PER_MS, ended=False))
            self._last_word = piece[-1]
        told = Partial(tuple(stretch.stable), tuple(stretch.tentative), sound.end_sample)
        self._told.append(told)
        if not self._dues and (sample := stretch.shorten(self._segmenter)) is not None:
            self._segmenter.let_go(sample)

    def _conclude(self, due: Due, words: list[Word]) -> None:
        """Tell what is due, by the words of the decode that has it all."""
        if due.paused:
            self._told.append(Paused(due.end_sample))
            return
        said = self._stretch.settle(words) if due.closes else self._stretch.accept(words)
        self._last_word = said[-1] if said else self._last_word
        if due.closes:
            self._stretch = Stretch(after=self._last_word)
        if said or due.flushed or (due.ended and self._unanswered):
            self._unanswered &= not due.ended
            self._told.append(Final(tuple(said), due.end_sample, due.ended, due.flushed))


def at_least(silent_ms: int, wanted_ms: int | None) -> bool:
    """Tell whether a silence is as long as is asked for, if it is."""
    return wanted_ms is not None and silent_ms >= wanted_ms
