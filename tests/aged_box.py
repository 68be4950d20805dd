"""A box without an engine whose things are as old as a test wants, each row with its file."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlmodel import select

from appliance.audio_folder import AudioFolder
from appliance.data_folder import DataFolder
from appliance.history_audio import HistoryAudio
from appliance.recorder import Recorder, RecorderOptions
from appliance.store import accounts, history, jobs, recordings, sessions
from appliance.store.database import Database
from appliance.store.entities import (
    AudioFile,
    JobState,
    RecordingState,
    SessionRow,
    SessionState,
    Source,
)
from appliance.store.history import Dictation
from appliance.uploads import Uploads
from engine.errors import ModelUnavailable
from engine.transcript import Segment, Word
from engine.worker import Worker
from scheduler.retention import Days, Retention
from scheduler.sweep import Sweep

NOW = datetime(2031, 5, 1, 12, tzinfo=UTC)
SEGMENT = Segment(0, 900, "Hello there.", (Word("Hello", 0, 400, 0.9),), "whisper-tiny.en", 0.9)
SAID = Dictation(raw_transcript="two words", cleaned_text="two words", duration_ms=900)
FILE, JOURNAL = "file", "journal"


def no_model():
    raise ModelUnavailable("there is none")


class AgedBox:
    """The parts that keep and let go; nothing of it runs by itself."""

    def __init__(self, path: Path) -> None:
        self.folder = DataFolder(path).make()
        self.database = Database(self.folder.database)
        self.audio = AudioFolder(self.folder.audio)
        worker = Worker(no_model)
        self.uploads = Uploads(self.database, self.audio, worker)
        self.history_audio = HistoryAudio(self.database, self.audio)
        self.recorder = Recorder(
            self.database, worker, self.audio, self.folder.recordings, RecorderOptions()
        )
        self.stopping = threading.Event()

    def account(self, name="alice", **kept):
        with self.database.write() as session:
            return accounts.create(session, name, kept=kept).id

    def session(
        self,
        account,
        age,
        *,
        state=SessionState.DONE,
        tags="",
        audio=FILE,
        now=NOW,
        in_session=None,
    ):
        """Make a session that ended so long ago; its audio is a file or a recording's journal."""
        if in_session is None:
            with self.database.write() as session:
                return self.session(
                    account, age, state=state, tags=tags, audio=audio, now=now, in_session=session
                )
        session = in_session
        source = Source.MICROPHONE if audio == JOURNAL else Source.UPLOAD
        row = sessions.open_one(session, account, source, tags=tags)
        sessions.add_segments(session, row.id, [SEGMENT, replace(SEGMENT, start_ms=900)])
        if audio == FILE:
            row.audio_path = f"audio/{self.file()}"
        if audio == JOURNAL:
            recording = recordings.add(session, account, row.id, device="d", profile="meeting")
            (self.folder.recordings / str(recording.id)).mkdir()
            (self.folder.recordings / str(recording.id) / "audio.pcm").write_bytes(b"\0\0")
            if state is not SessionState.OPEN:
                row.audio_path = f"recordings/{recording.id}/audio.pcm"
                recordings.change_state(session, recording, RecordingState.DONE)
        else:
            job = jobs.add(session, row)
            if state is not SessionState.OPEN:
                jobs.end(session, job, JobState(state.value))
        if state is SessionState.DONE:
            sessions.finish(
                session, row, title="A secret", note="n", original_transcript="Hello there.",
                language="en", engine="whisper-tiny.en", captured_seconds=1, elapsed_seconds=1,
            )  # fmt: skip
        if state is SessionState.FAILED:
            sessions.fail(session, row)
        row.created_at = now - age
        if row.finished_at is not None:
            row.finished_at = now - age
        if row.audio_path is not None:
            row.audio_bytes, row.audio_sha256 = 2, "ab" * 32
        session.add(row)
        session.flush()
        return row.id

    def dictation(self, account, age, *, audio=True, now=NOW, in_session=None):
        """Make a dictation of so long ago."""
        if in_session is None:
            with self.database.write() as session:
                return self.dictation(account, age, audio=audio, now=now, in_session=session)
        entry = history.add(in_session, account, SAID, 0)
        entry.created_at = now - age
        if audio:
            name = self.file()
            in_session.add(
                AudioFile(
                    storage_id=f"storage-{name}", account_id=account, path=f"audio/{name}",
                    bytes=2, sha256="ab" * 32, media_type="audio/wav", created_at=now - age,
                )
            )  # fmt: skip
            in_session.flush()
            entry.storage_id = f"storage-{name}"
        in_session.add(entry)
        in_session.flush()
        return entry.id

    def file(self, age=timedelta(0)):
        """Make an audio file under its final name; return that."""
        with self.audio.receive() as incoming, incoming.filing():
            incoming.write(b"RI")
            incoming.close()
            incoming.settle()
        return incoming.name

    def retention(self, audio_days=0, text_days=0):
        days = Days(audio_days, text_days)
        return Retention(self.database, self.uploads, self.history_audio, days, self.stopping)

    def sweep(self):
        return Sweep(self.database, self.uploads, self.history_audio, self.recorder, self.stopping)

    def named(self):
        """Return what rows name as their audio."""
        with self.database.read() as session:
            paths = session.exec(select(SessionRow.audio_path)).all()
            return sorted(filter(None, [*paths, *session.exec(select(AudioFile.path))]))

    def there(self):
        """Return what lies in the folders of the audio and the recordings."""
        found = [*self.folder.audio.iterdir(), *self.folder.recordings.glob("*/audio.pcm")]
        return sorted(str(path.relative_to(self.folder.path)) for path in found)
