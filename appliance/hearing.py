"""The text of one take: from the journal through the detector to the engine, and into the store.

Text is committed utterance by utterance, in the order in which it was said, with the sample up to
which it is settled; that is where it goes on after a restart. The engine may be slow: what it has
not taken yet waits in the journal, not in memory.
"""

import contextlib
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from appliance.engines import NO_ENGINE, NO_TEXT
from appliance.lane import Lane
from appliance.partials import Line, Partials
from appliance.store import recordings, sessions, vocabulary
from appliance.store.database import Database
from appliance.store.entities import Recording
from engine.audio import SAMPLE_RATE, Samples
from engine.detector import Detector
from engine.errors import Cancelled
from engine.journal import JournalReader
from engine.segmenter import DICTATION, MEETING, Segmenter, Utterance
from engine.transcript import Segment
from engine.vad import CHUNK_SAMPLES
from engine.whisper import KNOWN_BY_SAMPLES, Request
from engine.worker import Priority, Ticket, Worker
from engine.writers import segment_as_dict

log = logging.getLogger(__name__)
PROFILES = {"meeting": MEETING, "dictation": DICTATION}
AHEAD = 4  # utterances queued at the engine
READ_SAMPLES = 2 * SAMPLE_RATE
READS = 30  # at once: a minute of sound, a fifth of a second of work
SILENCE_SAMPLES = 60 * SAMPLE_RATE
WARM_UP_CHUNKS = 125  # 4 s heard again after a restart, so that the detector knows the room


class Hearing:
    """Hear one take; call `listen` and `collect` again and again from one thread."""

    def __init__(
        self,
        database: Database,
        worker: Worker,
        folder: Path,
        row: Recording,
        lane: Lane | None = None,
    ) -> None:
        assert row.id is not None
        self._id, self._session_id, self._account_id = row.id, row.session_id, row.account_id
        self._database, self._worker, self._folder = database, worker, folder
        self._lane = lane  # text comes by it, if there is one; else of the worker alone
        self._language, self._profile = row.language, PROFILES[row.profile]
        self._guess = row.language  # of speech too short to know the language by
        # a power cut may have taken sound whose text is here: what comes now is new all the same
        self._settled = min(row.settled_samples, JournalReader(folder).samples)
        self._mid_speech = row.mid_speech
        self.on_text: Callable[[int], None] = lambda _: None  # told where an utterance ended
        self.on_line: Callable[[Line, int], None] = lambda *_: None  # and the event it comes after
        with database.read() as session:
            self._last_event = recordings.last_event(session, row.id)
        self._partials = Partials(
            self._listen_for_now, lambda line: self.on_line(line, self._last_event)
        )
        self._flushed = False
        self._queue: deque[tuple[Utterance, Ticket]] = deque()
        self._again: int | None = None  # where the utterance began that was tried a second time
        self._rewind()
        if lane is not None:
            lane.lag_s = self._lag_s

    def _rewind(self) -> None:
        """Go back to what is settled, and hear on from there."""
        for _, ticket in self._queue:
            ticket.cancel()
        self._queue.clear()
        self._partials.reset()
        self._flushed = False
        self._uttered: deque[Utterance] = deque()  # not yet at the engine
        self._rest: Samples = np.zeros(0, np.int16)
        self._detector: Detector | None = None
        self._reader = JournalReader(self._folder, self._settled)
        self._segmenter = Segmenter(
            self._profile, start_sample=self._settled, continued=self._mid_speech
        )

    @property
    def settled_samples(self) -> int:
        """Return up to where everything that was said is text (or held back by a gate)."""
        with contextlib.suppress(IndexError):  # another thread may just take it out
            return max(self._settled, self._queue[0][0].start_sample)
        with contextlib.suppress(IndexError):
            return max(self._settled, self._uttered[0].start_sample)
        return max(self._settled, self._segmenter.settled)

    def _lag_s(self) -> float:
        """Return how much sound came after what was said first of all that has no text yet."""
        ended = self._reader.position
        with contextlib.suppress(IndexError):
            ended = self._uttered[0].end_sample
        with contextlib.suppress(IndexError):
            ended = self._queue[0][0].end_sample
        return max(0, self._reader.samples - ended) / SAMPLE_RATE

    @property
    def done(self) -> bool:
        """Tell whether the stream was flushed, and all of it is committed."""
        return self._flushed and not self._uttered and not self._queue

    def listen(self) -> bool:
        """Hand the engine what it can take of what was said since; tell whether that was all."""
        try:
            return self._listen()
        except Exception:
            if not self._waits_for_model:
                self._rewind()  # whatever was read and not handed on is read again
            raise

    @property
    def _waits_for_model(self) -> bool:
        """Tell whether nothing can be heard before another start."""
        return self._lane is None and self._worker.failure is not None

    def _listen(self) -> bool:
        if self._detector is None:
            self._detector = self._warmed_up()
        for _ in range(READS):
            if not self._submit():
                return False
            samples = self._reader.read(READ_SAMPLES)
            if not len(samples):
                return True
            samples = np.concatenate([self._rest, samples])
            whole = len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES
            self._rest, samples = samples[whole:], samples[:whole]
            decided = self._detector.probabilities(samples)
            self._take(self._segmenter.push(samples, decided))
            self._settle_silence()
        return False

    def _take(self, utterances: list[Utterance]) -> None:
        for utterance in utterances:
            self._partials.end(utterance)
            self._uttered.append(utterance)

    def _settle_silence(self) -> None:
        """Note now and then that there was nothing to hear, so that it is not heard again."""
        settled = self._segmenter.settled
        if self._queue or self._uttered or settled - self._settled < SILENCE_SAMPLES:
            return
        with self._database.write() as session:
            row = recordings.still(session, self._id)
            row.settled_samples, row.mid_speech = settled, False
            session.add(row)
        self._settled, self._mid_speech = settled, False

    def flush(self) -> None:
        """Take what is left for the end of the stream; after `listen` has told that was all."""
        if not self._flushed:
            self._flushed = True
            self._take(self._segmenter.flush(self._rest))
            if not self._queue and not self._uttered:
                self._partials.reset()
        self._submit()

    def collect(self) -> None:
        """Commit the text that has come."""
        while self._queue and self._queue[0][1].done:
            utterance, ticket = self._queue[0]
            segments = self._segments(utterance, ticket)
            if segments is None:
                continue  # it is tried once more
            self._keep(utterance, self._partials.settle(utterance, segments, self._language))
            self._queue.popleft()
            self._partials.commit(utterance, self._language)

    def show(self) -> None:
        """Show what is being said; after `listen` has told that was all.

        Not while text is due, nor before the language is known: that would cost whole windows.
        """
        if self._queue or self._uttered or self._flushed or self._worker.state != "ready":
            return
        known = self._worker.model(0).languages
        language = self._language or (known[0] if len(known) == 1 else None)
        if language is not None:
            self._partials.look(self._segmenter, language)

    def _warmed_up(self) -> Detector:
        """Return a detector that has heard the seconds before the first new sample."""
        detector = Detector(self._profile.onset)
        chunks = min(WARM_UP_CHUNKS, self._settled // CHUNK_SAMPLES)
        before = JournalReader(self._folder, self._settled - chunks * CHUNK_SAMPLES)
        detector.probabilities(before.read(chunks * CHUNK_SAMPLES))
        return detector

    def _submit(self) -> bool:
        """Give the engine what it can take; tell whether it could take more.

        Until the language is known there is one utterance at a time, so that the first speech
        decides it for all.
        """
        while len(self._queue) < AHEAD and (self._language or not self._queue):
            if not self._uttered:
                return True
            utterance = self._uttered[0]
            ticket = self._due(utterance, self._request())
            self._queue.append((utterance, ticket))
            self._uttered.popleft()
        return False

    def _due(self, utterance: Utterance, request: Request) -> Ticket:
        hearer = self._lane or self._worker
        return hearer.submit(utterance.samples, request, Priority.LIVE)

    def _request(self, quick: bool = False) -> Request:
        with self._database.read() as session:
            hotwords = tuple(vocabulary.of(session, self._account_id).hotwords)
        return Request(self._language, hotwords, short_window=True, quick=quick)

    def _listen_for_now(self, samples: Samples, last: bool) -> Ticket:
        return self._worker.submit(samples, self._request(quick=not last), Priority.PARTIAL)

    def _segments(self, utterance: Utterance, ticket: Ticket) -> list[Segment] | None:
        """Return the segments on the clock of the take; an utterance without text says why.

        None: the engine failed at it once, and is asked again.
        """
        offset_ms = utterance.start_sample * 1000 // SAMPLE_RATE
        try:
            heard = ticket.result(0)
        except Cancelled:
            raise
        except Exception as error:
            if self._waits_for_model:
                raise
            log.error("recording %d, at %d ms: no text (%s)", self._id, offset_ms, error)
            if self._again != utterance.start_sample:
                self._again = utterance.start_sample
                self._queue[0] = (utterance, self._due(utterance, ticket.request))
                return None
            end_ms = utterance.end_sample * 1000 // SAMPLE_RATE
            return [Segment(offset_ms, end_ms, "", (), NO_ENGINE, 0.0, NO_TEXT)]
        if any(segment.suppressed is None for segment in heard.segments):
            self._guess = self._guess or heard.language
            if len(utterance.samples) >= KNOWN_BY_SAMPLES:
                self._language = self._language or heard.language
        return [segment.moved(offset_ms) for segment in heard.segments]

    def _keep(self, utterance: Utterance, segments: list[Segment]) -> None:
        last = self._last_event
        with self._database.write() as session:
            row = recordings.still(session, self._id)
            sessions.add_segments(session, self._session_id, segments)
            for segment in segments:
                told = segment_as_dict(segment)
                if segment.suppressed is not None:
                    told["reason"] = segment.suppressed
                last = recordings.append_event(session, row, recordings.SEGMENT, told)
            row.settled_samples, row.mid_speech = utterance.end_sample, utterance.continues
            row.language = self._language or self._guess
            charge = self._lane.charge(session, self._session_id) if self._lane else None
            if charge is not None:
                row.cloud_ms += charge.audio_ms
            session.add(row)
        if charge is not None:
            charge.settle()
        self._settled, self._mid_speech = utterance.end_sample, utterance.continues
        self._last_event = last
        self.on_text(utterance.end_sample)
