"""An audio file becomes a session: the jobs, one after the other.

Guarantee: a job that was accepted is a row; its file lies in the data folder before the row is
committed. The thread named "uploads" is the only one that takes jobs; cut off by a crash, a job
is queued again by the next start (`appliance.box`), so a file becomes exactly one session.
Segments are committed window by window; the session becomes visible whole, at the end.
"""

import contextlib
import hashlib
import logging
import os
import shutil
import threading
import time
import uuid
from pathlib import Path

from sqlalchemy.exc import OperationalError

from appliance import notes
from appliance.data_folder import DataFolder
from appliance.store import jobs, sessions, vocabulary
from appliance.store.database import Database
from appliance.store.entities import Job, JobState, SessionRow, Source
from engine.audio import sync_folder
from engine.errors import Cancelled, EngineError
from engine.transcript import Segment, Transcript
from engine.transcription import FileTranscription, Progress
from engine.whisper import Request
from engine.worker import Worker

log = logging.getLogger(__name__)
PROGRESS_EVERY_S = 1.0
RETRY_S = 5.0


class Uploads:
    """Take queued jobs and carry them out."""

    def __init__(
        self, database: Database, folder: DataFolder, worker: Worker, language: str | None = None
    ) -> None:
        self._database, self._folder, self._worker = database, folder, worker
        self._language = language
        self._wake = threading.Event()
        self._closing = False
        self._lock = threading.Lock()
        self._current: tuple[int, FileTranscription] | None = None
        self._thread = threading.Thread(target=self._run, name="uploads", daemon=True)

    def start(self) -> "Uploads":
        """Sweep out what a crash left half received, and begin with what is queued already."""
        for part in self._folder.audio.glob("*.part"):
            part.unlink()
        self._thread.start()
        return self

    def stop(self, timeout_s: float = 5.0) -> None:
        """End after the window at hand; the job goes on after the next start."""
        self._closing = True
        self._wake.set()
        with self._lock:
            if self._current is not None:
                self._current[1].cancel()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def add_copy(
        self, source: Path, account_id: int, *, title: str = "", language: str | None = None
    ) -> int:
        """Copy a file of this machine into the box and queue it; return the job's number."""
        name = f"{uuid.uuid4().hex}{source.suffix.lower()}"
        part = self._folder.audio / f"{name}.part"
        try:
            with source.open("rb") as inp, part.open("wb") as out:
                shutil.copyfileobj(inp, out, 1 << 20)
                out.flush()
                os.fsync(out.fileno())
        except OSError:
            part.unlink(missing_ok=True)
            raise
        return self.add(part, name, account_id, title=title, language=language)

    def add(
        self,
        part: Path,
        name: str,
        account_id: int,
        *,
        title: str = "",
        tags: str = "",
        language: str | None = None,
    ) -> int:
        """Queue a fsynced `.part` file of the audio folder, renamed to `name`; return the job."""
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        path = part.with_name(name)
        part.replace(path)
        sync_folder(path.parent)
        with self._database.write() as session:
            row = sessions.open_one(
                session,
                account_id,
                Source.UPLOAD,
                title=title,
                tags=tags,
                language=language,
                audio_path=f"{self._folder.audio.name}/{name}",
                audio_bytes=path.stat().st_size,
                audio_sha256=digest,
            )
            job = jobs.add(session, row, language or self._language)
        self._wake.set()
        assert job.id is not None
        return job.id

    def cancel(self, account_id: int, job_id: int) -> None:
        """Give a job up, within one decode if it runs."""
        with self._database.write() as session:
            jobs.cancel(session, jobs.get(session, account_id, job_id))
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
                    self._wake.wait()
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
        if self._worker.failure is not None:
            return None  # the jobs stay queued for a start with a better model
        with self._database.write() as session:
            jobs.requeue_running(session)  # this thread takes one at a time: a stumble left it
            return jobs.take(session)

    def _carry_out(self, job: Job) -> None:
        assert job.id is not None
        with self._database.read() as session:
            row = session.get_one(SessionRow, job.session_id)
            hotwords = tuple(vocabulary.of(session, job.account_id).hotwords)
        transcription = FileTranscription(
            self._folder.path / str(row.audio_path),
            self._worker,
            Request(language=job.language, hotwords=hotwords),
            on_progress=ProgressNote(self._database, job.id),
            on_segments=lambda segments: self._keep(job, segments),
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
            if self._worker.failure is not None:
                return  # not the file's fault: it stays, and is queued again by the next start
            reason = str(error).removeprefix(f"{transcription.path}: ")
            log.warning("job %s failed: %s", job.id, reason)
            self._end(job, JobState.FAILED, reason)
            return
        finally:
            with self._lock:
                self._current = None
        elapsed_s = time.monotonic() - started
        self._finish(job, transcript)
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

    def _keep(self, job: Job, segments: tuple[Segment, ...]) -> None:
        with self._database.write() as session:
            row = session.get(Job, job.id)
            if row is None or row.state is not JobState.RUNNING:
                raise Cancelled(f"job {job.id} was cancelled")
            sessions.add_segments(session, job.session_id, segments)

    def _finish(self, job: Job, transcript: Transcript) -> None:
        seconds = transcript.duration_ms / 1000
        note = notes.note(transcript.spoken)
        with self._database.write() as session:
            found = session.get(Job, job.id)
            if found is None or found.state is not JobState.RUNNING:
                return  # cancelled at the last moment
            row = session.get_one(SessionRow, job.session_id)
            sessions.finish(
                session,
                row,
                title=row.title or notes.title(note),
                note=note,
                original_transcript=transcript.text,
                language=transcript.language,
                engine=f"whisper-{transcript.model}",
                captured_seconds=seconds,
                elapsed_seconds=seconds,
                warning=transcript.warning,
            )
            jobs.end(session, found, JobState.DONE)

    def _end(self, job: Job, state: JobState, error: str) -> None:
        with self._database.write() as session:
            found = session.get(Job, job.id)
            if found is not None and found.state is JobState.RUNNING:
                sessions.clear_segments(session, job.session_id)
                sessions.fail(session, session.get_one(SessionRow, job.session_id))
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
