"""The nightly backup: an archive a day, the newest few kept.

One is made between two and five at night, or as soon as the box is up if it was off at night. A
night's archive is removed only when a newer one is whole, and only if its name and its manifest say
that it is one; the newest in which no audio was missing or changed stays whatever comes.
"""

import logging
import re
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance import archive, backup
from appliance.archive import Manifest
from appliance.data_folder import DataFolder
from appliance.errors import Conflict, NotFound, ScribeboxError
from appliance.gathering import NIGHTLY, Options
from appliance.plain_files import dated
from appliance.settings import Settings
from appliance.unfinished import remove
from engine.errors import Cancelled

log = logging.getLogger(__name__)
NAME = re.compile(r"nightly-(\d{8}T\d{6}Z)")
AT_NIGHT = range(2, 5)  # hours of local time
AGE_AT_NIGHT, AGE = timedelta(hours=20), timedelta(hours=30)
FIRST_AFTER_S = 3500  # of running, before there is any: the hourly look is near its first
LONGEST_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Night:
    """An archive of a night."""

    path: Path
    at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the last backup went: an archive, or the class of the error that the log has."""

    at: datetime
    archive: Path | None
    error: str | None


class Nightly:
    """Make archives by the clock; `carry_out` is called every hour, `close` from any thread."""

    def __init__(self, settings: Settings, folder: DataFolder) -> None:
        self.last: Outcome | None = None
        self.place = place_of(settings, folder)
        self._folder, self._keep = folder, settings.backup_keep
        self._reserve_bytes = settings.disk_refuse_bytes
        self._started_s = time.monotonic()
        self._closing = threading.Event()
        self._at_work_since = 0.0

    def close(self) -> None:
        """Give up what is being made, within a moment; nothing of it stays."""
        self._closing.set()

    def newest(self) -> datetime | None:
        """Return when the last archive was made."""
        found = nights(self.place)
        return found[0].at if found else None

    def carry_out(self, now: datetime | None = None) -> None:
        """Make an archive if it is time; raise what keeps it from being made."""
        now = now or datetime.now(UTC)
        if self._keep == 0 or not self._is_due(now):
            return
        try:
            made = self._make(now)
        except Cancelled:
            return  # the box is stopping: the next start makes it
        except Exception as error:
            self.last = Outcome(now, None, type(error).__name__)
            raise
        self.last = Outcome(now, made, None)
        self._rotate(made, now)

    def _is_due(self, now: datetime) -> bool:
        ages = [now - night.at for night in nights(self.place)]
        ages = [age for age in ages if age > -AGE]  # the clock was wrong when others were made
        if not ages:
            return time.monotonic() - self._started_s > FIRST_AFTER_S
        age = min(ages)
        return age >= AGE or (age >= AGE_AT_NIGHT and now.astimezone().hour in AT_NIGHT)

    def _make(self, now: datetime) -> Path:
        if not self.place.parent.is_dir():
            raise NotFound(f"backup_dir: there is no folder {self.place.parent}; is a disk away?")
        if (self.place / archive.MANIFEST).exists():
            raise Conflict(f"backup_dir: {self.place} is itself a backup; choose the folder above")
        self.place.mkdir(mode=0o700, exist_ok=True)
        found = nights(self.place)
        options = Options(
            kind=NIGHTLY,
            reserve_bytes=self._reserve_bytes,
            earlier=found[0].path if found else None,
        )
        self._at_work_since = time.monotonic()
        target = dated(self.place, "nightly", now)
        made = backup.create(self._folder, target, options, self._pace)
        tell(made.path, made.manifest)
        return made.path

    def _pace(self, _done_bytes: int, _total_bytes: int) -> None:
        """Rest as long as the last piece took: the box has other things to do."""
        worked_s = time.monotonic() - self._at_work_since
        if self._closing.wait(min(worked_s, LONGEST_PAUSE_S)):
            raise Cancelled("the box is stopping")
        self._at_work_since = time.monotonic()

    def _rotate(self, made: Path, now: datetime) -> None:
        """Remove the oldest; one from the future is old, too: the clock was wrong then."""
        manifests = {night: manifest_of(night.path) for night in nights(self.place)}
        others = [night for night, found in manifests.items() if found and night.path != made]
        others.sort(key=lambda night: (night.at <= now, night.at), reverse=True)
        spare = others[self._keep - 1 :]
        if is_flawed(manifest_of(made)):
            whole = next((night for night in others if not is_flawed(manifests[night])), None)
            spare = [night for night in spare if night != whole]
        for night in spare:
            remove(night.path)
            log.info("the backup %s is removed: %d are kept", night.path.name, self._keep)


def place_of(settings: Settings, folder: DataFolder) -> Path:
    """Return the folder of the nightly backups."""
    return settings.backup_dir or folder.backups


def nights(place: Path) -> list[Night]:
    """Return what looks like an archive of a night, the newest first."""
    found = []
    for path in place.glob(f"nightly-*/{archive.MANIFEST}"):
        if (name := NAME.fullmatch(path.parent.name)) and not path.parent.is_symlink():
            at = datetime.strptime(name[1], "%Y%m%dT%H%M%S%z")
            found.append(Night(path.parent, at))
    return sorted(found, key=lambda night: night.at, reverse=True)


def newest(place: Path) -> Path:
    """Return the newest archive of a night."""
    found = nights(place)
    if not found:
        raise NotFound(f"there is no nightly backup in {place}; name another one")
    return found[0].path


def manifest_of(path: Path) -> Manifest | None:
    """Return the manifest of a night's archive, None if it isn't one."""
    try:
        manifest = archive.read(path)
    except ScribeboxError:
        return None
    return manifest if manifest.kind == NIGHTLY else None


def is_flawed(manifest: Manifest | None) -> bool:
    """Tell whether the box had lost some audio when an archive was made."""
    return manifest is None or bool(manifest.missing or manifest.changed)


def tell(path: Path, manifest: Manifest) -> None:
    """Log what was made, and what wasn't as it should be."""
    log.info(
        "backup %s: %d sessions, %d MB", path.name, manifest.sessions, manifest.total_bytes // 10**6
    )
    if manifest.missing or manifest.changed:
        log.error(
            "the box has lost audio: %d files are missing and %d are not what they were; an older "
            "backup may have them (see %s)",
            len(manifest.missing), len(manifest.changed), path / archive.MANIFEST,
        )  # fmt: skip
