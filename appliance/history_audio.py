"""The audio of the dictation history: it comes in alone, is attached, replaced, and goes.

Guarantee: an audio row has its file, and a file its row, at every moment but within one of these
methods; what a crash leaves in there is completed or taken back by the sweep at the next start.
"""

import contextlib
import logging
import threading
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from appliance.audio_folder import AudioFolder, Incoming
from appliance.errors import Conflict, NotFound
from appliance.store import audio_files, history
from appliance.store.database import Database
from appliance.store.entities import AudioFile, HistoryEntry, now
from engine.audio import DecodeLimits, Decoding
from engine.errors import AudioUnreadable

log = logging.getLogger(__name__)
SNIFF = DecodeLimits(cpu_seconds=10)  # for its head
UNATTACHED_FOR = timedelta(days=1)
BYTES = "application/octet-stream"


class AlreadyThere(Exception):
    """The very same bytes came by the very same link before."""


class HistoryAudio:
    """Keep, attach, find and delete; one change of files and rows at a time."""

    def __init__(self, database: Database, audio: AudioFolder) -> None:
        self.folder = audio
        self._database = database
        self.filing = threading.Lock()  # held while a file and its row come or go together

    def keep(self, incoming: Incoming, storage_id: str, account_id: int) -> None:
        """Store what has come in whole; the same bytes once more are fine, others a Conflict."""
        with contextlib.suppress(AlreadyThere):
            self._keep(incoming, storage_id, account_id)

    def _keep(self, incoming: Incoming, storage_id: str, account_id: int) -> None:
        with incoming.filing():
            incoming.close()
            media_type = sniffed(incoming.path)
            with self.filing:
                with self._database.write() as session:
                    audio_files.use_link(session, account_id, storage_id, incoming.sha256)
                    if session.get(AudioFile, storage_id) is not None:
                        raise AlreadyThere
                    session.add(
                        AudioFile(
                            storage_id=storage_id,
                            account_id=account_id,
                            path=f"{self.folder.path.name}/{incoming.name}",
                            bytes=incoming.bytes,
                            sha256=incoming.sha256,
                            media_type=media_type,
                        )
                    )
                incoming.settle()

    def of(self, account_id: int, entry_id: str) -> AudioFile:
        """Return the audio attached to an entry."""
        with self._database.read() as session:
            entry = history.get(session, account_id, entry_id)
            if entry.storage_id is None:
                raise NotFound(f"the history entry {entry_id!r} has no audio")
            return audio_files.get(session, account_id, entry.storage_id)

    def stored(self, account_id: int, storage_id: str) -> AudioFile:
        """Return an audio file by its storage id."""
        with self._database.read() as session:
            return audio_files.get(session, account_id, storage_id)

    def attach(self, account_id: int, entry_id: str, storage_id: str) -> HistoryEntry:
        """Attach audio to an entry; what was attached before goes. Twice is fine."""
        with self.filing:
            with self._database.read() as session:
                entry = history.get(session, account_id, entry_id)
                audio_files.get(session, account_id, storage_id)
                other = history.with_audio(session, storage_id)
            if other is not None and other.id != entry.id:
                raise Conflict(f"the audio {storage_id} is attached to another entry")
            if other is not None:
                return entry
            with ExitStack() as stack:
                self._leave(stack, entry.storage_id)
                session = stack.enter_context(self._database.write())
                entry = history.get(session, account_id, entry_id)
                before, entry.storage_id = entry.storage_id, storage_id
                session.add(entry)
                session.flush()
                if before is not None:
                    session.delete(session.get_one(AudioFile, before))
            return entry

    def delete_entry(self, account_id: int, entry_id: str) -> None:
        """Delete an entry with its audio; what it used stays in the ledger."""
        with self.filing:
            with self._database.read() as session:
                storage_id = history.get(session, account_id, entry_id).storage_id
            with ExitStack() as stack:
                self._leave(stack, storage_id)
                session = stack.enter_context(self._database.write())
                session.delete(history.get(session, account_id, entry_id))
                session.flush()
                if storage_id is not None:
                    session.delete(session.get_one(AudioFile, storage_id))

    def remove_unattached(self) -> None:
        """Delete what was uploaded more than a day ago and never attached (a duty of the clock)."""
        with self._database.read() as session:
            old = audio_files.unattached(session, now() - UNATTACHED_FOR)
        for row in old:
            with self.filing, ExitStack() as stack:
                with self._database.read() as session:
                    there = session.get(AudioFile, row.storage_id) is not None
                    if not there or history.with_audio(session, row.storage_id) is not None:
                        continue  # deleted or attached meanwhile
                self._leave(stack, row.storage_id)
                session = stack.enter_context(self._database.write())
                session.delete(session.get_one(AudioFile, row.storage_id))
        if old:
            log.info("%d uploads that were never attached are removed", len(old))

    def _leave(self, stack: ExitStack, storage_id: str | None) -> None:
        """Take the file of some audio away until the end of the stack, which commits before."""
        if storage_id is not None:
            with self._database.read() as session:
                path = session.get_one(AudioFile, storage_id).path
            stack.enter_context(self.folder.leaving(path.rpartition("/")[2]))


def sniffed(path: Path) -> str:
    """Return the media type of what can be decoded; raise AudioUnreadable if the head can't be."""
    try:
        with Decoding(path, SNIFF) as decoding:
            if next(iter(decoding), None) is None:
                raise AudioUnreadable("holds no sound")
            return decoding.media_type or BYTES
    except AudioUnreadable as error:
        reason = str(error).removeprefix(f"{path}: ")  # the path is nobody's business
        raise AudioUnreadable(f"what was sent can't be used: {reason}") from None
