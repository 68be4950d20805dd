"""An audio file becomes a session: it is received, gets its row and its job, and may be given up.

Guarantee: a job that was accepted is a row, and its file lies in the data folder before the row
is committed. What comes of it is the work of `appliance.transcriber`.
"""

import re
import shutil
from pathlib import Path

from appliance.audio_folder import AudioFolder, Incoming
from appliance.standby import Standby
from appliance.store import audio_files, jobs, sessions
from appliance.store.database import Database
from appliance.store.entities import Job, SessionRow, Source
from appliance.transcriber import Transcriber
from appliance.waveforms import Waveforms
from engine.worker import Worker

PIECE_BYTES = 1 << 20
JOURNAL = re.compile(r"(recordings/[0-9]+)/[^/]+")  # what else a row may name as its audio


class Uploads:
    """Accept files, give jobs up, delete sessions with their audio."""

    def __init__(
        self,
        database: Database,
        audio: AudioFolder,
        worker: Worker,
        language: str | None = None,
        standby: Standby | None = None,
    ) -> None:
        self.audio = audio
        self._database, self._language = database, language
        self._transcriber = Transcriber(database, audio, worker, standby)
        self.filing = self._transcriber.filing
        self.waveforms = Waveforms(database, audio.path.parent, self.filing)

    def start(self) -> "Uploads":
        """Complete what a crash cut off, and begin with what is queued already."""
        with self._database.read() as session:
            self.audio.sweep(lambda names: audio_files.known(session, names))
        self.waveforms.sweep()
        self._transcriber.start()
        return self

    def stop(self, timeout_s: float = 5.0) -> None:
        """End after the window at hand; the job goes on after the next start."""
        self._transcriber.stop(timeout_s)

    @property
    def alive(self) -> bool:
        """Tell whether jobs are being taken."""
        return self._transcriber.alive

    def add_copy(
        self, source: Path, account_id: int, *, title: str = "", language: str | None = None
    ) -> int:
        """Copy a file of this machine into the box and queue it; return the job's number."""
        with self.audio.receive() as incoming:
            with source.open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    incoming.write(piece)
            return self.add(incoming, account_id, title=title, language=language)

    def add(
        self,
        incoming: Incoming,
        account_id: int,
        *,
        title: str = "",
        tags: str = "",
        language: str | None = None,
    ) -> int:
        """Queue a file that has come in whole; return the job's number."""
        with incoming.filing(), self.filing:
            incoming.close()
            with self._database.write() as session:
                row = sessions.open_one(
                    session,
                    account_id,
                    Source.UPLOAD,
                    title=title,
                    tags=tags,
                    language=language,
                    audio_path=f"{self.audio.path.name}/{incoming.name}",
                    audio_bytes=incoming.bytes,
                    audio_sha256=incoming.sha256,
                )
                job = jobs.add(session, row, language or self._language)
            incoming.settle()
        self._transcriber.wake()
        assert job.id is not None
        return job.id

    def cancel(self, account_id: int, job_id: int) -> Job:
        """Give a job up, within one decode if it runs; its audio goes with it."""
        with self.filing:
            with self._database.read() as session:
                job = jobs.get(session, account_id, job_id)
                row = session.get_one(SessionRow, job.session_id)
                name = name_of(row) if job.state in jobs.OPEN else None
            with self.audio.leaving(name), self._database.write() as session:
                job = jobs.get(session, account_id, job_id)
                jobs.cancel(session, job)
                row = session.get_one(SessionRow, job.session_id)
                row.audio_path = None
                session.add(row)
        self._transcriber.cancel(job_id)
        return job

    def delete_session(self, account_id: int, session_id: int) -> None:
        """Delete a finished session with its segments and its audio."""
        with self.filing:
            with self._database.read() as session:
                audio_path = sessions.get(session, account_id, session_id).audio_path
            with self.audio.leaving(self.audio.own(audio_path)), self._database.write() as session:
                row = sessions.get(session, account_id, session_id)
                session.delete(row)  # its segments and its job go with it
            self.remove_journal(audio_path)
            self.waveforms.forget(session_id)

    def remove_journal(self, audio_path: str | None) -> None:
        """Delete the journal of a recording that was its audio, once no row says so any more."""
        if match := JOURNAL.fullmatch(audio_path or ""):
            shutil.rmtree(self.audio.path.parent / match[1], ignore_errors=True)


def name_of(row: SessionRow) -> str | None:
    """Return the name of a session's audio file."""
    return row.audio_path.rpartition("/")[2] if row.audio_path else None
