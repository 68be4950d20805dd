"""A data folder with sessions, dictations and a recording without an end, and what it holds."""

import contextlib
import hashlib
import os
import sqlite3
from pathlib import Path

import numpy as np

from appliance import secret, welcome
from appliance.data_folder import DataFolder
from appliance.store import accounts, recordings, sessions
from appliance.store.database import Database
from appliance.store.entities import AudioFile, HistoryEntry, Source
from engine.journal import PCM, JournalWriter


def filled(path: Path, count: int = 3, audio_bytes: int = 3000) -> DataFolder:
    """Make a box with so many sessions, a dictation, and a recording that nobody ended."""
    folder = DataFolder(path).make()
    noise = np.random.default_rng(count)
    with contextlib.closing(Database(folder.database)) as database:
        welcome.bootstrap(database, folder)
        for number in range(count):
            add_session(database, folder, f"upload{number}", noise.bytes(audio_bytes))
        add_dictation(database, folder, "dictation1", noise.bytes(audio_bytes))
        add_recording(database, folder, noise.integers(-9, 9, 16000).astype("<i2").tobytes())
    secret.load(folder.secret)
    return folder


def add_session(database, folder, name, audio):
    """Add a finished session with audio; return its number."""
    write(folder.audio / name, audio)
    with database.write() as session:
        row = sessions.open_one(
            session,
            accounts.named(session, accounts.DEFAULT).id,
            Source.UPLOAD,
            audio_path=f"audio/{name}",
            audio_bytes=len(audio),
            audio_sha256=hashlib.sha256(audio).hexdigest(),
        )
        sessions.finish(
            session, row, title=name, note="a note", original_transcript="what was said",
            language="en", engine="whisper-tiny.en", captured_seconds=1, elapsed_seconds=1,
        )  # fmt: skip
        return row.id


def add_dictation(database, folder, name, audio):
    """Add an entry of the history with its audio."""
    write(folder.audio / name, audio)
    with database.write() as session:
        owner = accounts.named(session, accounts.DEFAULT).id
        digest = hashlib.sha256(audio).hexdigest()
        session.add(AudioFile(storage_id=name, account_id=owner, path=f"audio/{name}",
                              bytes=len(audio), sha256=digest, media_type="audio/wav"))  # fmt: skip
        session.flush()
        session.add(HistoryEntry(id=name, account_id=owner, raw_transcript="x", cleaned_text="x",
                                 duration_ms=1, word_count=1, counted_words=1,
                                 storage_id=name))  # fmt: skip


def add_recording(database, folder, pcm):
    """Add a recording whose capture has died; return its number."""
    with database.write() as session:
        owner = accounts.named(session, accounts.DEFAULT).id
        hidden = sessions.open_one(session, owner, Source.MICROPHONE)
        number = recordings.add(session, owner, hidden.id, device="default", profile="meeting").id
    journal = folder.recordings / str(number)
    journal.mkdir(mode=0o700)
    writer = JournalWriter(journal)
    writer.note("started", device="default", rate=16000)
    writer.append(pcm)
    writer.close()
    return number


def write(path, content):
    """Write a file as the box does, for its owner alone."""
    with path.open("wb") as file:
        file.write(content)
        os.fsync(file.fileno())
    path.chmod(0o600)


def state_of(path: Path) -> dict[str, object]:
    """Return all that a box holds: its rows, and the digest of each file that they name."""
    with contextlib.closing(sqlite3.connect(path / "scribebox.db")) as store:
        found: dict[str, object] = {
            "sessions": store.execute("SELECT id, title, note, audio_path FROM session"
                                      " WHERE state = 'done' ORDER BY id").fetchall(),
            "history": store.execute("SELECT id, storage_id FROM history_entry").fetchall(),
            "keys": store.execute("SELECT id, secret_sha256 FROM api_key").fetchall(),
            "recordings": store.execute("SELECT id, state FROM recording").fetchall(),
        }  # fmt: skip
        paths = [row[0] for row in store.execute(
            "SELECT audio_path FROM session WHERE audio_path NOT NULL"
            " UNION SELECT path FROM audio_file")]  # fmt: skip
    paths += [f"recordings/{number}/{PCM}" for number, *_ in found["recordings"]]
    others = ("secret", "admin.key", "scribebox.toml")
    for name in (*paths, *(name for name in others if (path / name).exists())):
        file = path / name
        found[name] = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None
    return found


def everything(path: Path) -> dict[str, object]:
    """Return every name below a folder with the bytes there, those of the lock aside."""
    return {
        str(one.relative_to(path)): one.read_bytes() if one.is_file() else os.path.islink(one)
        for one in sorted(path.rglob("*"))
        if one.name not in ("lock", "scribebox.db-shm", "scribebox.db-wal")
    }
