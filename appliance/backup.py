"""Make archives of a box, whether it runs or not, and keep nobody waiting.

Guarantee: an archive has its name only when it is whole and synced.
"""

import contextlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance import archive
from appliance.archive import Manifest
from appliance.data_folder import DataFolder
from appliance.errors import NoRoom, NotFound, Refused, ScribeboxError
from appliance.gathering import BEFORE_STEP, Gathering, Options, in_room
from appliance.plain_files import Meter, Tell, dated, quiet
from appliance.store import snapshot
from appliance.unfinished import unfinished
from engine.audio import sync_folder


@dataclass(frozen=True, slots=True)
class Made:
    """An archive that is there now."""

    path: Path
    manifest: Manifest
    linked: int


def create(
    folder: DataFolder, target: Path, options: Options | None = None, tell: Tell = quiet
) -> Made:
    """Make an archive: `target` itself, or in it if that is a folder which is there already."""
    folder.settle()
    if not folder.database.is_file():
        raise NotFound(f"{folder.path} holds no box; name its data folder with --data")
    created_at = datetime.now(UTC)
    path = place(folder, target, created_at)
    with in_room(path.parent), unfinished(path) as part:
        gathering = Gathering(folder, part, options or Options(), tell)
        manifest = gathering.gather(created_at)
        archive.seal(part, manifest)
        part.rename(path)
        sync_folder(path.parent)
    return Made(path, manifest, gathering.linked)


def place(folder: DataFolder, target: Path, created_at: datetime) -> Path:
    """Return the path that the archive gets; refuse one where it can't or must not be."""
    target = target.expanduser().absolute()
    if target.resolve() == folder.backups.resolve():
        folder.backups.mkdir(mode=0o700, exist_ok=True)
    if (target / archive.MANIFEST).exists():
        raise Refused(f"'{target}' is a backup already; name another folder")
    if target.is_dir():
        path = dated(target, "scribebox", created_at)
    elif os.path.lexists(target):
        raise Refused(f"'{target}' is no folder; name another one")
    elif not target.parent.is_dir():
        raise Refused(f"'{target}': there is no folder {target.parent}; make it first")
    else:
        path = target
    above, box = path.parent.resolve(), folder.path.resolve()
    if above.is_relative_to(box) and not above.is_relative_to(folder.backups.resolve()):
        raise Refused(f"'{target}' lies in the data folder; only {folder.backups} may hold backups")
    return path


def before_migration(folder: DataFolder, step: int) -> Path:
    """Return a backup of the box as it is before a step of its database, made if there is none."""
    try:
        return made_before(folder, step)
    except NoRoom as error:
        raise NoRoom(
            "before a new version changes the database, it makes a backup, and there is no room: "
            f"{error}; or go back to the version from before"
        ) from error


def made_before(folder: DataFolder, step: int) -> Path:
    """Return a backup of exactly what is there now, an earlier one or a new one."""
    folder.backups.mkdir(mode=0o700, exist_ok=True)
    path = folder.backups / f"before-step-{step:04}"
    with in_room(path.parent), unfinished(path) as part:
        now = part / archive.DATABASE
        snapshot.take(folder.database, now, Meter(quiet))
        number = 1
        while os.path.lexists(path):
            with contextlib.suppress(ScribeboxError, OSError):
                kind = archive.read(path).kind
                if kind == BEFORE_STEP and snapshot.same(path / archive.DATABASE, now):
                    return path  # an earlier start was cut off, or its migration failed
            number += 1
            path = folder.backups / f"before-step-{step:04}-{number}"
    return create(folder, path, Options(kind=BEFORE_STEP)).path
