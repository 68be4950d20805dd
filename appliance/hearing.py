"""The text of one take: from the journal through the detector to the engine, and into the store.

Text is committed utterance by utterance, in the order in which it was said, with the sample up to
which it is settled; that is where it goes on after a restart. The engine may be slow: what it has
not taken yet waits in the journal, not in memory.
"""

import logging
from collections import deque
from pathlib import Path

import numpy as np

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
from engine.whisper import Request
from engine.worker import Priority, Ticket, Worker
from engine.writers import segment_as_dict

log = logging.getLogger(__name__)
PROFILES = {"meeting": MEETING, "dictation": DICTATION}
AHEAD = 4  # utterances queued at the engine
READ_SAMPLES = 2 * SAMPLE_RATE
WARM_UP_CHUNKS = 125  # 4 s heard again after a restart, so that the detector knows the room


class Hearing:
    """Hear one take; call `listen` and `collect` again and again from one thread."""

    def __init__(self, database: Database, worker: Worker, folder: Path, row: Recording) -> None:
        assert row.id is not None
        self._id, self._session_id, self._account_id = row.id, row.session_id, row.account_id
        self._database, self._worker, self._folder = database, worker, folder
        self._language, self._settled = row.language, row.settled_samples
        self._reader = JournalReader(folder, row.settled_samples)
        self._detector: Detector | None = None
        self._profile = PROFILES[row.profile]
        self._segmenter = Segmenter(
            self._profile, start_sample=row.settled_samples, continued=row.mid_speech
        )
        self._rest: Samples = np.zeros(0, np.int16)
        self._flushed = False
        self._uttered: deque[Utterance] = deque()  # not yet at the engine
        self._queue: deque[tuple[Utterance, Ticket]] = deque()

    @property
    def settled_samples(self) -> int:
        """Return up to where everything that was said is text (or held back by a gate)."""
        if self._queue:
            return max(self._settled, self._queue[0][0].start_sample)
        if self._uttered:
            return max(self._settled, self._uttered[0].start_sample)
        return max(self._settled, self._segmenter.settled)

    @property
    def done(self) -> bool:
        """Tell whether the stream was flushed, and all of it is committed."""
        return self._flushed and not self._uttered and not self._queue

    def listen(self) -> bool:
        """Hand the engine what it can take of what was said since; tell whether that was all."""
        if self._detector is None:
            self._detector = self._warmed_up()
        while self._submit():
            samples = self._reader.read(READ_SAMPLES)
            if not len(samples):
                return True
            samples = np.concatenate([self._rest, samples])
            whole = len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES
            self._rest, samples = samples[whole:], samples[:whole]
            decided = self._detector.probabilities(samples)
            self._uttered += self._segmenter.push(samples, decided)
        return False

    def flush(self) -> None:
        """Take what is left for the end of the stream; after `listen` has told that was all."""
        if not self._flushed:
            self._flushed = True
            self._uttered += self._segmenter.flush(self._rest)
        self._submit()

    def collect(self) -> None:
        """Commit the text that has come."""
        while self._queue and self._queue[0][1].done:
            utterance, ticket = self._queue[0]
            self._keep(utterance, self._segments(utterance, ticket))
            self._queue.popleft()

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
            with self._database.read() as session:
                hotwords = tuple(vocabulary.of(session, self._account_id).hotwords)
            request = Request(language=self._language, hotwords=hotwords, short_window=True)
            utterance = self._uttered[0]
            ticket = self._worker.submit(utterance.samples, request, Priority.LIVE)
            self._queue.append((utterance, ticket))
            self._uttered.popleft()
        return False

    def _segments(self, utterance: Utterance, ticket: Ticket) -> list[Segment]:
        """Return the segments on the clock of the take; an utterance without text says why."""
        offset_ms = utterance.start_sample * 1000 // SAMPLE_RATE
        try:
            heard = ticket.result(0)
        except Cancelled:
            raise
        except Exception as error:
            if self._worker.failure is not None:
                raise
            log.error("recording %d, at %d ms: no text (%s)", self._id, offset_ms, error)
            end_ms = utterance.end_sample * 1000 // SAMPLE_RATE
            return [Segment(offset_ms, end_ms, "", (), "none", 0.0, "engine error")]
        if any(segment.suppressed is None for segment in heard.segments):
            self._language = self._language or heard.language
        return [segment.moved(offset_ms) for segment in heard.segments]

    def _keep(self, utterance: Utterance, segments: list[Segment]) -> None:
        with self._database.write() as session:
            row = recordings.still(session, self._id)
            sessions.add_segments(session, self._session_id, segments)
            for segment in segments:
                told = segment_as_dict(segment)
                if segment.suppressed is not None:
                    told["reason"] = segment.suppressed
                recordings.append_event(session, row, recordings.SEGMENT, told)
            row.settled_samples, row.mid_speech = utterance.end_sample, utterance.continues
            row.language = self._language
            session.add(row)
        self._settled = utterance.end_sample
