"""A copy of the database as it is at one moment, made while others write to it."""

import contextlib
import hashlib
import sqlite3
from pathlib import Path

from appliance.errors import NoRoom, StoreUnusable
from appliance.plain_files import Meter, sync, write

PAGES = 1000  # copied at a time; between them it may be given up
LOOK_EVERY = 100_000  # instructions of SQLite
BUSY_S = 5
HEAD_BYTES = 100  # of the file: how often it was changed and opened, nothing of what is in it


def connect(path: Path) -> sqlite3.Connection:
    """Open a database that is there, without bringing it up to date."""
    address = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None)


def take(source: Path, target: Path, meter: Meter) -> None:
    """Copy a database into one file and sync it; those who write to it don't wait.

    The transaction matters: without it, each write of others starts the copy again.
    """
    target.unlink(missing_ok=True)
    write(target, [])
    try:
        with (
            contextlib.closing(connect(source)) as live,
            contextlib.closing(connect(target)) as copied,
        ):
            live.execute("BEGIN")
            live.execute("SELECT count(*) FROM sqlite_master").fetchone()
            page_bytes = int(live.execute("PRAGMA page_size").fetchone()[0])
            copied.execute("PRAGMA synchronous=OFF")  # it is synced as a whole
            before = 0

            def progress(_status: int, left: int, pages: int) -> None:
                nonlocal before
                meter(page_bytes * (pages - left - before))
                before = pages - left

            live.backup(copied, pages=PAGES, progress=progress)
            live.execute("ROLLBACK")
            copied.execute("PRAGMA journal_mode=DELETE").fetchone()  # from WAL
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise NoRoom(f"{target.parent}: has no room for a copy of the database") from error
        raise StoreUnusable(f"{source}: can't be copied: {error}; see scribebox doctor") from error
    sync(target)


def check(copied: Path, meter: Meter) -> None:
    """Raise StoreUnusable if a copy is damaged, as the database is then."""

    def look() -> int:
        try:
            meter(0)
        except BaseException:
            return 1  # ends the statement; what it was is raised below
        return 0

    with contextlib.closing(connect(copied)) as connection:
        connection.set_progress_handler(look, LOOK_EVERY)
        try:
            said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
        except sqlite3.DatabaseError as error:
            meter(0)
            said = [str(error)]
    if said != ["ok"]:
        raise StoreUnusable(
            f"the database is damaged ({'; '.join(said)}) and no backup can be made of it; "
            "restore the last one: scribebox backup restore"
        )


def same(one: Path, other: Path) -> bool:
    """Tell whether two copies hold the same."""
    return digest_of_content(one) == digest_of_content(other)


def digest_of_content(copied: Path) -> str:
    """Return the SHA-256 of all that is in a copy."""
    with copied.open("rb") as file:
        file.seek(HEAD_BYTES)
        return hashlib.file_digest(file, "sha256").hexdigest()
