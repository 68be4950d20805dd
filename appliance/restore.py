"""Put an archive in the place of a box, whole or not at all.

    restore.part/    copies of all files of the archive, on their way
    restore.ready/   the same, complete and synced: from that rename on the new state counts
    replaced-TIME/   what was there before

Guarantee: a kill or a power cut before `restore.ready` leaves the old state, one after it the new
one: whoever comes next to the data folder (`DataFolder.make`) completes it or takes it back. What
was there before is moved, never deleted. Models and backups stay where they are.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from appliance import archive
from appliance.archive import Entry, Manifest
from appliance.errors import FolderBusy, NoRoom, StoreUnusable
from appliance.plain_files import Meter, Tell, copy, dated, make_above, quiet, write
from appliance.store import migrations, snapshot
from engine.audio import sync_folder
from engine.journal import PCM, capture_pid

if TYPE_CHECKING:
    from appliance.data_folder import DataFolder

PART, READY, SWAP = "restore.part", "restore.ready", "swap.json"
SETTINGS = "scribebox.toml"  # stays if the archive has none
BOX = (
    *(archive.DATABASE, "scribebox.db-wal", "scribebox.db-shm", "scribebox.db-journal"),
    *("audio", "recordings", "secret", "admin.key", "tls", SETTINGS),
)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
LONG_AGO_S = 3600  # a recording that old is brought to its end, and not gone on with


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore has done."""

    manifest: Manifest
    replaced: Path | None  # where that lies which was there before


def restore(folder: "DataFolder", source: Path, tell: Tell = quiet) -> Restored:
    """Verify an archive, and make it the box of this folder; raise before anything is changed."""
    if folder.lock.exists():
        with folder.held("backup restore"):
            pass  # whoever holds it is told of before a long look at the archive
    source = source.expanduser().absolute()
    manifest = archive.verify(source, lambda done, total: tell(done, 2 * total))
    known = len(migrations.steps())
    if manifest.step > known:
        raise StoreUnusable(
            f"{source}: was made by a newer version ({manifest.version}, step {manifest.step} of "
            f"the database, this one knows {known}); install that version"
        )
    folder.make()
    with folder.held("backup restore"):
        finish(folder.path)
        check_captures(folder.recordings)
        check_movable(folder.path)
        total = manifest.total_bytes
        stage(folder.path, source, manifest, lambda done, _: tell(total + done, 2 * total))
        with nobody_at(folder.database):
            replaced = ready(folder.path)
            finish(folder.path)
        own(folder.path, folder.lock)
    return Restored(manifest, replaced if replaced.exists() else None)


def stage(path: Path, source: Path, manifest: Manifest, tell: Tell) -> None:
    """Copy an archive into `restore.part`, each byte compared once more."""
    free, wanted = free_bytes(path), manifest.total_bytes
    if free < wanted:
        raise NoRoom(
            f"{path} has {free // 10**6} MB left, and the backup has {wanted // 10**6} MB (what is "
            "there now stays beside it); make room, or name another folder with --data"
        )
    part, meter = path / PART, Meter(tell, wanted)
    part.mkdir(mode=0o700)
    try:
        for entry in manifest.files:
            bring(entry, source, part, meter)
        for folder, _, _ in os.walk(part, topdown=False):
            own(path, Path(folder))
            sync_folder(Path(folder))
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def free_bytes(path: Path) -> int:
    """Return the room on the disk."""
    return shutil.disk_usage(path).free


def bring(entry: Entry, source: Path, part: Path, meter: Meter) -> None:
    """Copy one file of an archive."""
    target = part / entry.path
    make_above(part, target)
    if copy(source / entry.path, target, meter) != (entry.bytes, entry.sha256):
        raise archive.damaged(source, [f"{entry.path}: has changed since it was verified"])
    own(part.parent, target)
    if target.name == PCM:
        last_s = min((source / entry.path).stat().st_mtime, time.time() - LONG_AGO_S)
        os.utime(target, (last_s, last_s))


def own(path: Path, made: Path) -> None:
    """Give what root has made to the owner of the data folder."""
    if os.geteuid() == 0:
        owner = path.stat()
        os.chown(made, owner.st_uid, owner.st_gid)


def check_captures(recordings: Path) -> None:
    """Refuse while a recording goes on: it can without a server."""
    for folder in recordings.iterdir():
        if folder.is_dir() and capture_pid(folder) is not None:
            raise FolderBusy(
                f"recording {folder.name} still goes on (process {capture_pid(folder)}); start "
                "the box (scribebox serve), stop the recording, stop the box, and try again"
            )


def check_movable(path: Path) -> None:
    """Refuse where something is mounted: it can't be moved away."""
    for name in BOX:
        if os.path.ismount(path / name):
            raise StoreUnusable(
                f"{path / name} is a mount point; restore to another folder (--data), and move "
                "from there what comes out"
            )


@contextlib.contextmanager
def nobody_at(database: Path) -> Iterator[None]:
    """Hold the old database alone: who had it open would write into the new one's log."""
    if not database.exists():
        yield
        return
    with contextlib.closing(snapshot.connect(database)) as connection:
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA journal_mode=DELETE").fetchone()  # its log is in it now
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode in BUSY:
                raise FolderBusy(f"{database} is in use by another process; try again") from error
            connection.close()  # damaged: it is moved away as it is, with its log
        yield


def ready(path: Path) -> Path:
    """Decide what goes and what comes, and let that count; return where the old comes to lie."""
    part = path / PART
    arriving = [name for name in BOX if os.path.lexists(part / name)]
    leaving = [
        name
        for name in BOX
        if not is_nothing(path / name) and (name != SETTINGS or name in arriving)
    ]
    replaced = dated(path, "replaced", datetime.now(UTC))
    plan = {"arriving": arriving, "leaving": leaving, "replaced": replaced.name}
    write(part / SWAP, [json.dumps(plan).encode()])
    sync_folder(part)
    part.rename(path / READY)
    sync_folder(path)
    return replaced


def is_nothing(path: Path) -> bool:
    """Tell whether there is nothing, or a folder with nothing in it."""
    if path.is_dir() and not path.is_symlink():
        return next(path.iterdir(), None) is None
    return not os.path.lexists(path)


def swap(path: Path) -> None:
    """Move the old away and the new in; done again after a crash, it goes on where that was."""
    new = path / READY
    plan = json.loads((new / SWAP).read_bytes())
    old = path / plan["replaced"]
    if plan["leaving"]:
        old.mkdir(mode=0o700, exist_ok=True)
        own(path, old)
    for name in plan["leaving"]:
        is_new = name in plan["arriving"] and not os.path.lexists(new / name)
        if not is_new and os.path.lexists(path / name):
            (path / name).rename(old / name)
    if plan["leaving"]:
        sync_folder(old)
    sync_folder(path)
    for name in plan["arriving"]:
        if os.path.lexists(new / name):
            (new / name).rename(path / name)
    sync_folder(path)
    sync_folder(new)
    new.rename(path / PART)  # so that the plan doesn't go before the folder
    shutil.rmtree(path / PART)


def pending(path: Path) -> bool:
    """Tell whether a restore was cut off here, or goes on."""
    return os.path.lexists(path / READY) or os.path.lexists(path / PART)


def finish(path: Path) -> None:
    """Complete a restore that was cut off, or take it back; under the lock of the folder."""
    try:
        if (path / READY).exists():
            swap(path)
        if (path / PART).exists():
            shutil.rmtree(path / PART)
    except OSError as error:
        raise StoreUnusable(
            f"{path}: a restore was cut off and can't be completed: {error.filename}: "
            f"{error.strerror}; mend that, and start again"
        ) from error
