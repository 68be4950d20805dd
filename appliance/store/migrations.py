"""Bring the tables up to date: the files of `steps/` in the order of their numbers.

`PRAGMA user_version` is the number of the last step done. Each step is one transaction, so a
step that fails leaves nothing behind. A step that was ever released is never changed: append one.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from appliance.errors import StoreUnusable


def steps() -> list[str]:
    """Return the SQL of every step, the first one first."""
    folder = files("appliance.store").joinpath("steps")
    scripts = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    for number, script in enumerate(scripts, 1):
        if not script.name.startswith(f"{number:04}_"):
            raise StoreUnusable(f"step {number} of the database is missing: found {script.name}")
    return [script.read_text(encoding="utf-8") for script in scripts]


def migrate(connection: Any, path: Path) -> int:
    """Carry out the steps that are still to do; return how many there are in all."""
    todo = steps()
    if version(connection) == len(todo):
        return len(todo)
    while True:
        connection.execute("BEGIN IMMEDIATE")  # another process may be migrating: look again inside
        try:
            done = version(connection)
            if done > len(todo):
                raise StoreUnusable(
                    f"{path}: was made by a newer version (step {done}, this one knows "
                    f"{len(todo)}); install that version, or restore a backup"
                )
            if done < len(todo):
                for statement in statements(todo[done]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {done + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has rolled it back already
                connection.execute("ROLLBACK")
            raise
        if done + 1 >= len(todo):
            return len(todo)


def pending(path: Path) -> int | None:
    """Return the first step to do for a database that holds something; None if there is none."""
    if not path.exists():
        return None
    address = f"{path.absolute().as_uri()}?mode=rw"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            done = version(connection)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreUnusable(f"{path}: is in use by another process; try again") from error
        return None  # whoever opens it tells why it can't be
    return done + 1 if 0 < done < len(steps()) else None


def version(connection: Any) -> int:
    """Return the number of the last step done."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a script; a trigger, with its inner semicolons, is one."""
    statement = ""
    for line in script.splitlines(keepends=True):
        if line.strip().startswith("--") and not statement:
            continue
        statement += line
        if sqlite3.complete_statement(statement):
            if statement.strip():
                yield statement.strip()
            statement = ""
    if statement.strip():
        raise StoreUnusable(f"a step ends in the middle of a statement: {statement.strip()[:60]}")
