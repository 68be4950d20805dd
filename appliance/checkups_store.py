"""The doctor's looks at what is stored: who can read it, whether it is sound, whether it is safe.

The database is opened for reading only, and so that not even a file beside it comes to be.
"""

import contextlib
import re
import shlex
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance import secret
from appliance.archive import MANIFEST
from appliance.data_folder import DataFolder
from appliance.errors import StoreUnusable
from appliance.finding import Finding, failed, ok, skipped, warning
from appliance.settings import Settings
from appliance.store import migrations

LOOKS_S = 8.0  # at a large database; what is done by then counts
LOOK_EVERY = 100_000  # instructions of SQLite
SHOWN = 3
OLD = timedelta(hours=50)  # two nights and the time a backup takes
DATED = re.compile(r"-(\d{8}T\d{6}Z)$")
RESTORE = "stop the box, then: scribebox backup restore ARCHIVE"
DISABLED = """
    SELECT coalesce(disabled_because, 'asked'), count(*) FROM webhook
    WHERE NOT enabled AND deleted_at IS NULL GROUP BY 1
"""


def permissions(settings: Settings) -> Finding:
    """Look whether everything secret is for its owner's eyes only."""
    folder = DataFolder(settings.data_dir)
    if not folder.path.exists():
        return ok("permissions", "there is nothing secret yet")
    found = [path for path in secrets_of(folder) if path.is_file()]
    open_to_others = [path for path in found if path.stat().st_mode & 0o077]
    if settings.tls_key is not None and settings.tls_key.stat().st_mode & 0o007:
        open_to_others.append(settings.tls_key)  # a group for keys is a custom
    owner, locked = folder.path.stat().st_uid, not folder.path.stat().st_mode & 0o077
    if open_to_others:
        said, mend = (
            f"others can read {names(open_to_others)}",
            f"chmod 600 {quoted(open_to_others)}",
        )
        shut_in = locked and settings.tls_key not in open_to_others
        if shut_in:  # nobody else gets as far as that
            return warning("permissions", f"{said} if they ever can enter the folder", mend)
        return failed("permissions", said, mend)
    strange = [path for path in found if path.stat().st_uid != owner and path != config(folder)]
    if strange:
        said = f"not of the owner of the folder: {names(strange)}"
        return failed("permissions", said, f"sudo chown {owner} {quoted(strange)}")
    if folder.secret.exists():
        try:
            secret.load(folder.secret)
        except StoreUnusable as error:
            return failed("permissions", str(error), "scribebox backup restore ARCHIVE")
    return ok("permissions", f"{len(found)} secret files are for their owner only")


def secrets_of(folder: DataFolder) -> list[Path]:
    """Return the files that nobody else may read, whether they are there or not."""
    database = [folder.database.with_name(folder.database.name + end) for end in ("", "-wal")]
    found = [folder.secret, folder.admin_key, folder.path / "tls" / "key.pem", *database]
    has_key = config(folder).is_file() and "deepgram_api_key" in config(folder).read_text()
    return [*found, config(folder)] if has_key else found


def config(folder: DataFolder) -> Path:
    """Return where settings may stand; whoever administers the machine may own it."""
    return folder.path / "scribebox.toml"


def names(paths: list[Path]) -> str:
    """Return some names for people."""
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(path.name for path in paths[:SHOWN]) + more


def quoted(paths: list[Path]) -> str:
    """Return paths for a shell."""
    return " ".join(f"'{path}'" for path in paths)


def database(settings: Settings) -> Finding:
    """Look at every page and every reference of the database."""
    path = DataFolder(settings.data_dir).database
    if not path.exists():
        return ok("database", "will be made at the first start")
    with opened(path) as connection:
        try:
            faults = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)")]
            broken = connection.execute("PRAGMA foreign_key_check").fetchmany(10)
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            said = f"no fault in the {LOOKS_S:.0f} s that were spent on it; it is large"
            return warning("database", said, f"sqlite3 '{path}' 'PRAGMA integrity_check'")
        except sqlite3.DatabaseError as error:
            return failed("database", f"is damaged: {error}", RESTORE)
        step, known = migrations.version(connection), len(migrations.steps())
    if faults != ["ok"]:
        return failed("database", f"is damaged: {'; '.join(faults[:SHOWN])}", RESTORE)
    if broken:
        tables = ", ".join(sorted({str(row[0]) for row in broken}))
        return failed("database", f"rows without their owner in {tables}", RESTORE)
    if step > known:
        said = f"of a newer version (step {step}, this one knows {known})"
        return failed("database", said, "install that version, or restore an older backup")
    return ok("database", f"{path.stat().st_size // 1000} kB, every page and reference sound")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading; with its log if it has one, else as a file that nobody changes.

    (Read-only alone would leave an empty log behind.)
    """
    has_log = path.with_name(path.name + "-wal").exists()
    address = f"{path.absolute().as_uri()}?{'mode=ro' if has_log else 'immutable=1'}"
    deadline = time.monotonic() + LOOKS_S
    with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
        connection.set_progress_handler(lambda: time.monotonic() > deadline, LOOK_EVERY)
        yield connection


def backup(settings: Settings, now: datetime | None = None) -> Finding:
    """Look for the newest archive."""
    folder = settings.backup_dir or DataFolder(settings.data_dir).backups
    if settings.backup_keep == 0:
        return ok("backup", "none is made at night: backup_keep is 0")
    if settings.backup_dir is not None and not folder.parent.is_dir():
        said = f"there is no folder {folder.parent}; is a disk away?"
        return failed("backup", said, "mount it, or choose another with SCRIBEBOX_BACKUP_DIR")
    made_at = newest(folder)
    where, data = shlex.quote(str(folder)), shlex.quote(str(settings.data_dir))
    mend = f"mkdir -p -m 700 {where} && scribebox backup create {where} --data {data}"
    if made_at is None:
        if not DataFolder(settings.data_dir).database.exists():
            return ok("backup", "will be made in the first night")
        return warning("backup", f"there is none in {folder}", mend)
    age = (now or datetime.now(UTC)) - made_at
    said = f"the newest is {age.total_seconds() / 3600:.0f} hours old"
    if age > OLD:
        return warning("backup", f"{said}; see the log of the box", mend)
    same_disk = folder.stat().st_dev == settings.data_dir.stat().st_dev
    return ok("backup", said + (", on the disk of the box itself" if same_disk else ""))


def newest(folder: Path) -> datetime | None:
    """Return when the last archive in a folder was made; its name tells, its manifest that it is.

    (One without its name's date was made by hand, elsewhere than at night.)
    """
    moments = [
        datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        for path in folder.glob("*")
        if (match := DATED.search(path.name)) and (path / MANIFEST).is_file()
    ]
    return max(moments, default=None)


def webhooks(settings: Settings) -> Finding:
    """Count the endpoints to which nothing is sent."""
    path = DataFolder(settings.data_dir).database
    if not path.exists():
        return ok("webhooks", "there is none")
    with opened(path) as connection:
        step, known = migrations.version(connection), len(migrations.steps())
        if step < known:
            return skipped("webhooks", "the database is brought up to date at the next start")
        if step > known:
            return skipped("webhooks", "the database is of a newer version")
        counts: dict[str, int] = dict(connection.execute(DISABLED).fetchall())
        (enabled,) = connection.execute("SELECT count(*) FROM webhook WHERE enabled").fetchone()
    failing = {why: count for why, count in counts.items() if why != "asked"}
    if failing:
        said = ", ".join(f"{count} ({why})" for why, count in failing.items())
        mend = 'mend the receiver, then PATCH /api/v1/webhooks/ID with {"enabled": true}'
        return warning("webhooks", f"endpoints were disabled: {said}", mend)
    off = f", {counts['asked']} disabled by their owner" if counts.get("asked") else ""
    return ok("webhooks", f"{enabled} in use{off}")
