"""The outlines of sessions' audio, each made when it is first asked for and kept until that goes.

They lie in `peaks/` of the data folder under the numbers of their sessions. They are a cache: not
in backups, made again where one is missing, damaged, or of other audio than the session has.
"""

import contextlib
import json
import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from sqlmodel import Session, col, select

from appliance.audio_folder import PART
from appliance.errors import NotFound
from appliance.finishing import blocks
from appliance.store import sessions
from appliance.store.database import Database
from appliance.store.entities import SessionRow
from engine.audio import Decoding
from engine.errors import AudioUnreadable
from engine.journal import PCM
from engine.peaks import Outline, outline

log = logging.getLogger(__name__)


class Waveforms:
    """Make, keep and forget outlines; `filing` is held while audio and its row come or go."""

    def __init__(self, database: Database, folder: Path, filing: threading.Lock) -> None:
        self._database, self._folder, self._filing = database, folder, filing
        self._peaks = folder / "peaks"
        self._lock = threading.Lock()
        self._making: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)

    def of(self, account_id: int, session_id: int) -> Outline:
        """Return the outline of a session's audio; NotFound if it has none that can be read.

        The first time it decodes all of it, which takes a second for some minutes; whoever asks
        meanwhile waits for the same.
        """
        row = self._row(account_id, session_id)
        with self._one_at_a_time(session_id):
            found = self._kept(session_id, row)
            if found is None:
                found = self._made(session_id, row)
                self._keep(account_id, session_id, row, found)
        return found

    def forget(self, session_id: int) -> None:
        """Delete what is kept of a session whose audio has gone; to be called under `filing`."""
        self._path(session_id).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete what a crash left of sessions that are gone (before anybody asks)."""
        if not self._peaks.is_dir():
            return
        with self._database.read() as session:
            known = {str(number) for number in numbers(session)}
        for path in self._peaks.iterdir():
            if path.name not in known:
                path.unlink(missing_ok=True)

    def _row(self, account_id: int, session_id: int) -> SessionRow:
        with self._database.read() as session:
            row = sessions.get(session, account_id, session_id)
        if row.audio_path is None:
            raise NotFound(f"session {session_id} has no audio")
        return row

    @contextlib.contextmanager
    def _one_at_a_time(self, session_id: int) -> Iterator[None]:
        with self._lock:
            making = self._making[session_id]
        try:
            with making:
                yield
        finally:
            with self._lock:
                self._making.pop(session_id, None)  # who waits finds what was kept

    def _kept(self, session_id: int, row: SessionRow) -> Outline | None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            head, _, bins = self._path(session_id).read_bytes().partition(b"\n")
            said = json.loads(head)
            if (said["audio"], said["bins"]) == (row.audio_sha256, len(bins)):
                return Outline(float(said["seconds"]), bins)
        return None

    def _made(self, session_id: int, row: SessionRow) -> Outline:
        path = self._folder / str(row.audio_path)
        try:
            if path.name == PCM:  # a recording for whose FLAC there was no room
                return outline(blocks(path.parent))
            with Decoding(path) as decoding:
                return outline(decoding)
        except (AudioUnreadable, FileNotFoundError) as error:
            log.warning("no outline of session %d: %s", session_id, type(error).__name__)
            raise NotFound(f"the audio of session {session_id} can't be read any more") from None

    def _keep(self, account_id: int, session_id: int, row: SessionRow, found: Outline) -> None:
        """Write it down, if the session still has that audio: it may have taken a minute."""
        head = {"audio": row.audio_sha256, "seconds": found.seconds, "bins": len(found.bins)}
        path = self._path(session_id)
        part = path.with_name(path.name + PART)
        with self._filing:
            if self._row(account_id, session_id).audio_path != row.audio_path:
                return
            try:
                self._peaks.mkdir(mode=0o700, exist_ok=True)
                part.write_bytes(json.dumps(head).encode() + b"\n" + found.bins)
                part.replace(path)
            except OSError as error:  # a full disk: then it is made again the next time
                log.warning("an outline can't be kept: %s", error.strerror)

    def _path(self, session_id: int) -> Path:
        return self._peaks / str(session_id)


def numbers(session: Session) -> list[int]:
    """Return the numbers of all sessions that have audio."""
    found = select(SessionRow.id).where(col(SessionRow.audio_path).is_not(None))
    return [number for number in session.exec(found) if number is not None]
