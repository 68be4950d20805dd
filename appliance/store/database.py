"""The one SQLite file: its settings, its two kinds of session, and events after commit.

Every write is a short `BEGIN IMMEDIATE`, so that writers queue instead of failing; readers (WAL)
never wait. `synchronous=FULL`: what was committed survives a power cut. A write session is never
held across a transcription, a request or a yield.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlmodel import Session

from appliance.errors import StoreUnusable
from appliance.events import Bus, Event
from appliance.store import migrations

log = logging.getLogger(__name__)
BUSY_S = 5
HURRIED_S = 1.0
CHECKPOINT_BUSY_S = 0.1  # a checkpoint keeps writers out while it waits for readers
PATIENCE = f"busy_timeout={BUSY_S * 1000}"
PRAGMAS = (
    PATIENCE,
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "journal_size_limit=67108864",
)


class Database:
    """Open the file, bring its tables up to date, hand out sessions."""

    def __init__(self, path: Path, bus: Bus | None = None) -> None:
        self.path = path
        self.bus = bus or Bus()
        self._writing = threading.Lock()
        self._patience_s: float = BUSY_S
        # an error that is logged must not hold what was to be written: meetings
        url = URL.create("sqlite", database=str(path))
        self._engine = create_engine(url, hide_parameters=True)
        event.listen(self._engine, "connect", configure)
        event.listen(self._engine, "begin", self._begin)
        self._writer = self._engine.execution_options(writes=True)
        try:
            with self._engine.connect() as connection:
                migrations.migrate(connection.connection.dbapi_connection, path)
        except (DatabaseError, sqlite3.DatabaseError) as error:
            self.close()
            raise StoreUnusable(
                f"{path}: can't be opened: {getattr(error, 'orig', None) or error}; "
                "see scribebox doctor"
            ) from error
        except StoreUnusable:
            self.close()
            raise
        path.chmod(0o600)
        self._inode = path.stat().st_ino

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session that sees one moment of the database."""
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        """Open a session that commits at the end, and then publishes what `tell` gathered."""
        with self._turn(), Session(self._writer, expire_on_commit=False) as session:
            yield session
            session.commit()
            events = session.info.pop("events", [])
        for told in events:
            self.bus.publish(told)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for the other writers of this process, in turn.

        SQLite itself only looks again every so often: with 8 writers its p95 was four times that.
        """
        if not self._writing.acquire(timeout=self._patience_s):
            raise StoreUnusable("the database is busy; nothing was changed. Try again")
        try:
            yield
        finally:
            self._writing.release()

    def relieve(self) -> None:
        """Bring what the log of writes holds into the file, beside whoever reads or writes.

        Whoever writes much does it after each transaction: else somebody's commit has to.
        """
        with self._pragmas() as execute:
            execute("PRAGMA wal_checkpoint(PASSIVE)")

    def checkpoint(self) -> None:
        """Empty the log of writes and let SQLite tidy its statistics.

        Writers wait for the end of it; if readers hold the log, it stays as it is.
        """
        self.relieve()  # most of it
        try:
            with self._turn(), self._pragmas() as execute:
                execute(f"PRAGMA busy_timeout={CHECKPOINT_BUSY_S * 1000:g}")
                ((busy, *_),) = execute("PRAGMA wal_checkpoint(TRUNCATE)")
                execute("PRAGMA analysis_limit=400")  # rows of an index, not all of it
                execute("PRAGMA optimize")
            if busy:
                log.info("the log of the database is in use and stays as it is")
        except (sqlite3.OperationalError, StoreUnusable) as error:
            log.info("the log of the database stays as it is: %s", error)

    @contextlib.contextmanager
    def _pragmas(self) -> Iterator[Callable[[str], list[Any]]]:
        """Hand out what carries out a pragma outside any transaction."""
        connection = self._engine.raw_connection()
        try:
            yield lambda pragma: list(connection.execute(pragma))
        finally:
            connection.execute(f"PRAGMA {PATIENCE}")
            connection.close()

    @property
    def is_in_place(self) -> bool:
        """Tell whether the file that is open is the one that the next start will find."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def hurry(self) -> None:
        """Wait less long for other processes from now on: the box is about to stop."""
        self._patience_s = HURRIED_S

    def _begin(self, connection: Any) -> None:
        """Begin a transaction: a writer takes the lock at once, or waits for it."""
        writes = connection.get_execution_options().get("writes")
        if writes and self._patience_s != BUSY_S:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={self._patience_s * 1000:g}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def tell(session: Session, name: str, **values: Any) -> None:
    """Publish an event when (and only if) the session commits."""
    session.info.setdefault("events", []).append(Event(name, values))


def configure(connection: Any, _record: Any) -> None:
    """Set a new connection up; transactions are begun by `Database`, not by the driver."""
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
