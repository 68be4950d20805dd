"""The thread that carries jobs out, one after the other, in the order they came.

Guarantee: it is the only one that takes jobs; one cut off by a crash is queued again by the next
start (`appliance.box`), so a file becomes exactly one session. Segments are committed window by
window; the session becomes visible whole, at the end. A stumble of the database is waited out; a
job that breaks fails, and holds up no other.
"""

import contextlib
import logging
import threading
import time

from sqlalchemy.exc import OperationalError

from appliance import notes
from appliance.audio_folder import AudioFolder
from appliance.engines import NO_ENGINE, cloud_warning, main_engine
from appliance.lane import Lane
from appliance.standby import Standby
from appliance.store import jobs, sessions, vocabulary
from appliance.store.database import Database
from appliance.store.entities import Job, JobState, SessionRow
from engine.errors import AudioUnreadable, Cancelled, EngineError
from engine.transcript import Segment, Transcript
from engine.transcription import FileTranscription, Progress
from engine.whisper import Request
from engine.worker import Worker

log = logging.getLogger(__name__)
PROGRESS_EVERY_S = 1.0
RETRY_S = 5.0
LOOK_S = 5.0


class Transcriber:
    """Take queued jobs and make sessions of them."""

    def __init__(
        self,
        database: Database,
        audio: AudioFolder,
        worker: Worker,
        standby: Standby | None = None,
    ) -> None:
        self._database, self._audio, self._worker = database, audio, worker
        self._standby = standby
        self.filing = threading.Lock()  # held while a file and its row come or go together
        self._wake = threading.Event()
        self._closing = False
        self._lock = threading.Lock()
        self._current: tuple[int, FileTranscription] | None = None
        self._thread = threading.Thread(target=self._run, name="transcriber", daemon=True)

    def start(self) -> None:
        """Begin with what is queued already."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End after the window at hand; the job goes on after the next start."""
        self._closing = True
        self._wake.set()
        with self._lock:
            if self._current is not None:
                self._current[1].cancel()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def wake(self) -> None:
        """Look for a job now."""
        self._wake.set()

    def cancel(self, job_id: int) -> None:
        """End a job whose row says so already, if it is the one at hand."""
        with self._lock:
            if self._current is not None and self._current[0] == job_id:
                self._current[1].cancel()

    @property
    def alive(self) -> bool:
        """Tell whether jobs are being taken."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            if self._closing:
                return
            try:
                job = self._take()
                if job is None:
                    # without a model nobody says when the cloud can be had again
                    self._wake.wait(LOOK_S if self._waits_for_cloud else None)
                else:
                    self._carry_out_or_fail(job)
            except Exception:  # such as a database that is locked or full: that passes
                log.exception("the queue of jobs stumbled; it goes on in %g s", RETRY_S)
                self._wake.wait(RETRY_S)

    def _carry_out_or_fail(self, job: Job) -> None:
        """Carry a job out; one that breaks in a way of its own must not hold up the others."""
        try:
            self._carry_out(job)
        except OperationalError:
            raise  # not the job's fault: it is queued again
        except Exception:
            log.exception("job %s failed unexpectedly", job.id)
            self._end(job, JobState.FAILED, "an internal error; see the log of the box")

    def _take(self) -> Job | None:
        """Return the next job; None if there is none, or no engine to do it with."""
        owners: set[int] | None = None
        if self._worker.failure is not None:
            if not self._waits_for_cloud:
                return None  # the jobs stay queued for a start with a better model
            owners = self._backed()
        with self.filing, self._database.write() as session:
            jobs.requeue_running(session)  # this thread takes one at a time: a stumble left it
            return jobs.take(session) if owners is None else jobs.take(session, owners)

    @property
    def _waits_for_cloud(self) -> bool:
        """Tell whether there is no model, and the cloud may stand for it."""
        return self._worker.failure is not None and self._standby is not None and self._standby.on

    def _backed(self) -> set[int]:
        """Return the accounts with queued jobs that the cloud would hear without a model."""
        with self._database.read() as session:
            owners = jobs.owners(session)
        return {owner for owner in owners if self._standby and self._standby.hears(owner)}

    def _carry_out(self, job: Job) -> None:
        lane = None
        if self._standby is not None:
            lane = self._standby.lane(job.account_id, f"job {job.id}", patient=False)
        with lane or contextlib.nullcontext():
            self._transcribe(job, lane)

    def _transcribe(self, job: Job, lane: Lane | None) -> None:
        assert job.id is not None
        with self._database.read() as session:
            row = session.get_one(SessionRow, job.session_id)
            hotwords = tuple(vocabulary.of(session, job.account_id).hotwords)
        transcription = FileTranscription(
            self._audio.path.parent / str(row.audio_path),
            lane or self._worker,
            Request(language=job.language, hotwords=hotwords),
            on_progress=ProgressNote(self._database, job.id),
            on_segments=lambda segments: self._keep(job, lane, segments),
        )
        with self._lock:
            self._current = (job.id, transcription)
        started = time.monotonic()
        try:
            if self._closing or not self._is_running(job):
                return  # cancelled between being taken and being known here
            transcript = transcription.run()
        except Cancelled:
            return  # the row says so already, or this process is ending and it goes on later
        except EngineError as error:
            failure = self._worker.failure
            if failure is not None and (lane is None or error is failure):
                return  # not the file's fault: it stays, and is queued again by the next start
            reason = str(error).removeprefix(f"{transcription.path}: ")
            log.warning("job %s failed: %s", job.id, reason)
            self._end(job, JobState.FAILED, reason, keep=not isinstance(error, AudioUnreadable))
            return
        finally:
            with self._lock:
                self._current = None
        elapsed_s = time.monotonic() - started
        self._finish(job, lane, transcript, transcription.media_type)
        log.info(
            "job %s done: %.1f s of audio in %.1f s",
            job.id,
            transcript.duration_ms / 1e3,
            elapsed_s,
        )

    def _is_running(self, job: Job) -> bool:
        with self._database.read() as session:
            row = session.get(Job, job.id)
            return row is not None and row.state is JobState.RUNNING

    def _keep(self, job: Job, lane: Lane | None, segments: tuple[Segment, ...]) -> None:
        with self._database.write() as session:
            row = session.get(Job, job.id)
            if row is None or row.state is not JobState.RUNNING:
                raise Cancelled(f"job {job.id} was cancelled")
            sessions.add_segments(session, job.session_id, segments)
            charge = lane.charge(session, job.session_id) if lane else None
        if charge is not None:
            charge.settle()

    def _finish(
        self, job: Job, lane: Lane | None, transcript: Transcript, media_type: str | None
    ) -> None:
        seconds = transcript.duration_ms / 1000
        with self._database.read() as session:
            replacements = vocabulary.of(session, job.account_id).replacements
        warnings = (transcript.warning, cloud_warning(transcript.segments))
        note = notes.note(transcript.spoken, transcript.language, replacements)
        own = NO_ENGINE if self._worker.failure is not None else f"whisper-{transcript.model}"
        with self._database.write() as session:
            found = session.get(Job, job.id)
            if found is None or found.state is not JobState.RUNNING:
                return  # cancelled at the last moment
            row = session.get_one(SessionRow, job.session_id)
            charge = lane.charge(session, job.session_id) if lane else None  # silence costs too
            sessions.finish(
                session,
                row,
                title=row.title or notes.title(note),
                note=note,
                original_transcript=transcript.text,
                language=transcript.language,
                engine=main_engine(transcript.segments) or own,
                captured_seconds=seconds,
                elapsed_seconds=seconds,
                warning="; ".join(filter(None, warnings)) or None,
                audio_type=media_type,
            )
            jobs.end(session, found, JobState.DONE)
        if charge is not None:
            charge.settle()

    def _end(self, job: Job, state: JobState, error: str, *, keep: bool = True) -> None:
        """Note that a job failed; audio that nobody can read is not kept."""
        with self.filing:
            with self._database.read() as session:
                path = session.get_one(SessionRow, job.session_id).audio_path
            name = path.rpartition("/")[2] if path and not keep else None
            with self._audio.leaving(name), self._database.write() as session:
                found = session.get(Job, job.id)
                if found is None or found.state is not JobState.RUNNING:
                    return
                row = session.get_one(SessionRow, job.session_id)
                sessions.clear_segments(session, job.session_id)
                sessions.fail(session, row)
                row.audio_path = None if name else row.audio_path
                jobs.end(session, found, state, error)


class ProgressNote:
    """Write a job's progress down, at most once a second."""

    def __init__(self, database: Database, job_id: int) -> None:
        self._database, self._job_id, self._last = database, job_id, time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._last < PROGRESS_EVERY_S:
            return
        self._last = time.monotonic()
        # a figure that can't be written now is written a second later: no reason to stop
        with contextlib.suppress(OperationalError), self._database.write() as session:
            job = session.get(Job, self._job_id)
            if job is not None and job.state is JobState.RUNNING:
                job.progress = progress.share
                session.add(job)
                jobs.changed(session, job)
