"""Gather what belongs into an archive: a copy of the database, and the files that it names.

Files come by hard link where that can be done. If one is gone by then, it may be that its row is
gone, too: so database and files are brought together by another copy of the database. What was
gone before that copy and is still named in it, the box itself has lost; the manifest says so.
"""

import contextlib
import errno
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from appliance import archive
from appliance.archive import Entry, Manifest
from appliance.audio_folder import GONE, PART
from appliance.data_folder import DataFolder
from appliance.errors import ArchiveDamaged, Conflict, NoRoom, StoreUnusable
from appliance.plain_files import Meter, Tell, copy, digest, make_above
from appliance.store import snapshot
from engine.journal import EVENTS, PCM

ASKED, NIGHTLY, BEFORE_STEP = "asked", "nightly", "before a migration"
ROUNDS = 8
AUDIO = """
    SELECT audio_path, audio_sha256 FROM session WHERE audio_path IS NOT NULL
    UNION SELECT path, sha256 FROM audio_file
"""
RECORDINGS = "SELECT id FROM recording WHERE state IN ('recording', 'finishing')"
SESSIONS = "SELECT id FROM session WHERE state = 'done'"


@dataclass(frozen=True, slots=True)
class Options:
    """How an archive is made."""

    kind: str = ASKED
    copies: bool = False  # no hard links
    reserve_bytes: int = 0  # room that is left on the disk of the box
    earlier: Path | None = None  # an archive to link to what can't be linked to the box


class Gathering:
    """Gather a box into the folder that becomes an archive."""

    def __init__(self, folder: DataFolder, part: Path, options: Options, tell: Tell) -> None:
        self.linked = 0
        self._folder, self._part, self._options = folder, part, options
        self._database = part / archive.DATABASE
        self._audio: dict[str, Entry] = {}
        self._others: dict[str, Entry] = {}  # of the last round
        self._earlier: dict[str, Entry] = {}
        if options.earlier is not None:
            with contextlib.suppress(ArchiveDamaged, StoreUnusable):
                self._earlier = {e.path: e for e in archive.read(options.earlier).files}
        self._meter = Meter(tell)
        self._here = folder.path.stat().st_dev == part.stat().st_dev

    def gather(self, created_at: datetime) -> Manifest:
        """Bring everything, until files and database agree; return what is there."""
        box = self._folder.database.stat().st_ino
        missing: set[str] = set()
        for _ in range(ROUNDS):
            before, missing = missing, self._round()
            if missing <= before:
                break
        if self._folder.database.stat().st_ino != box:
            raise Conflict("a backup was restored meanwhile; make this one again")
        snapshot.check(self._database, self._meter)
        for path, _, _ in os.walk(self._part, topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()  # nothing has come into it
        known, recordings, sessions = self._rows()
        size, sha256 = digest(self._database, self._meter)
        files = {**self._audio, **self._others}
        files[archive.DATABASE] = Entry(archive.DATABASE, size, sha256)
        changed = [e.path for e in self._audio.values() if known[e.path] not in (None, e.sha256)]
        return Manifest(
            kind=self._options.kind,
            created_at=created_at,
            version=version("scribebox"),
            step=archive.step_of(self._database),
            sessions=sessions,
            recordings=len(recordings),
            missing=tuple(sorted(missing & known.keys())),
            changed=tuple(sorted(changed)),
            files=tuple(files[path] for path in sorted(files)),
        )

    def _rows(self) -> tuple[dict[str, str | None], list[int], int]:
        """Return what the copied database names: audio, open recordings; and its sessions."""
        with contextlib.closing(snapshot.connect(self._database)) as copied:
            try:
                audio = dict(copied.execute(AUDIO).fetchall())
                recordings = [row[0] for row in copied.execute(RECORDINGS)]
                return audio, recordings, len(copied.execute(SESSIONS).fetchall())
            except sqlite3.DatabaseError:
                snapshot.check(self._database, self._meter)  # says what is wrong
                raise

    def _round(self) -> set[str]:
        """Copy the database, bring what it names; return what was gone by then."""
        self._check_room(self._folder.database.stat().st_size)
        snapshot.take(self._folder.database, self._database, self._meter)
        known, recordings, _ = self._rows()
        for path in [*self._others, *(self._audio.keys() - known.keys())]:
            (self._part / path).unlink()
            self._audio.pop(path, None)
        self._others.clear()
        for name in archive.SINGLE:
            with contextlib.suppress(FileNotFoundError):
                self._copy(name)
        gone = {f"recordings/{number}" for number in recordings if not self._journal(number)}
        wanted = known.keys() - self._audio.keys()
        self._expect(wanted)
        return gone | {path for path in sorted(wanted) if not self._bring(path, known[path])}

    def _expect(self, wanted: set[str]) -> None:
        """Note how much is to come, and that there is room for it."""
        total_bytes = 0
        for path in wanted:
            with contextlib.suppress(OSError):
                total_bytes += (self._folder.path / path).stat().st_size
        self._meter.total_bytes += total_bytes + self._database.stat().st_size
        if self._options.copies or not (self._here or self._earlier):
            self._check_room(total_bytes)

    def _check_room(self, more_bytes: int) -> None:
        wanted_bytes = more_bytes + (self._options.reserve_bytes if self._here else 0)
        if shutil.disk_usage(self._part).free < wanted_bytes:
            raise no_room(self._part.parent, wanted_bytes)

    def _journal(self, number: int) -> bool:
        """Copy what there is of a recording that goes on; False if it is gone, or not there yet.

        An event comes after the sound it tells of. So events are copied first, and again if others
        have come meanwhile.
        """
        pcm, events = (f"recordings/{number}/{name}" for name in (PCM, EVENTS))
        live = self._folder.path / pcm
        with contextlib.suppress(FileNotFoundError):
            for _ in range(ROUNDS):
                self._forget(pcm, events)
                found = live.stat()
                self._copy(events)
                self._copy(pcm)
                told_bytes = (self._folder.path / events).stat().st_size
                if told_bytes == self._others[events].bytes:
                    break
            os.utime(self._part / pcm, ns=(found.st_atime_ns, found.st_mtime_ns))
            if live.stat().st_ino == found.st_ino:
                return True
        self._forget(pcm, events)
        return False

    def _forget(self, *paths: str) -> None:
        for path in paths:
            (self._part / path).unlink(missing_ok=True)
            self._others.pop(path, None)

    def _copy(self, path: str) -> None:
        copied = copy(self._folder.path / path, self._target(path), self._meter)
        self._others[path] = Entry(path, *copied)

    def _target(self, path: str) -> Path:
        """Return where a file comes to lie, its folder made."""
        target = self._part / path
        make_above(self._part, target)
        return target

    def _bring(self, path: str, sha256: str | None) -> bool:
        """Bring a file that a row names, whatever it is called now; False if it isn't there."""
        if not archive.NAMES.fullmatch(path):
            return False
        target, live = self._target(path), self._folder.path / path
        # twice: between two looks it may be renamed, because it has come, goes, or comes back
        for name in 2 * (live.name, live.name + PART, live.name + GONE):
            try:
                self._audio[path] = self._fetch(path, live.with_name(name), target, sha256)
                return True
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                target.unlink(missing_ok=True)  # a disk that is failing: save the others
                return False
        return False

    def _fetch(self, path: str, source: Path, target: Path, sha256: str | None) -> Entry:
        """Link a file to the box, or to the earlier archive if it is the same; or copy it."""
        mode = source.lstat().st_mode
        linkable = [source] if stat.S_ISREG(mode) and not self._options.copies else []
        earlier = self._earlier.get(path)
        if linkable and self._options.earlier and earlier and earlier.sha256 == sha256:
            linkable.append(self._options.earlier / path)
        for there in linkable:
            try:
                os.link(there, target)
            except OSError:  # gone, another disk, somebody else's file, too many links
                continue
            if target.stat().st_mode & 0o077:
                target.chmod(0o600)
            entry = Entry(path, *digest(target, self._meter))
            if there is source or entry == earlier:
                self.linked += 1
                return entry
            target.unlink()  # the earlier archive is damaged
        return Entry(path, *copy(source, target, self._meter))


@contextlib.contextmanager
def in_room(folder: Path) -> Iterator[None]:
    """Say what it means when the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_room(folder) from error
        raise


def no_room(folder: Path, more_bytes: int | None = None) -> NoRoom:
    """Return the error that tells what to do without room."""
    free = shutil.disk_usage(folder).free // 10**6
    wanted = "more" if more_bytes is None else f"{-(-more_bytes // 10**6)} MB"
    return NoRoom(
        f"{folder} has {free} MB left, and the backup wants {wanted}; make room there, or choose "
        "another disk (TARGET; for the nightly ones backup_dir)"
    )
