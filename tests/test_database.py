"""The database survives writers at once, newer versions and damage."""

import sqlite3
import threading

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import select

from appliance.errors import StoreUnusable
from appliance.store.database import Database
from appliance.store.entities import Account


def test_writers_at_once_queue_and_none_is_lost(database, account):
    def raise_by_ten():
        for _ in range(10):
            with database.write() as session:
                row = session.get_one(Account, account)
                row.name = str(int(row.name if row.name.isdigit() else 0) + 1)
                session.add(row)

    threads = [threading.Thread(target=raise_by_ten) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    with database.read() as session:
        assert session.get_one(Account, account).name == "40"


def test_a_failed_write_leaves_nothing(database):
    with pytest.raises(RuntimeError), database.write() as session:
        session.add(Account(name="bob"))
        session.flush()
        raise RuntimeError
    with database.read() as session:
        assert session.exec(select(Account)).all() == []


def test_a_reader_does_not_wait_for_a_writer(database, account):
    with database.write() as writing:
        writing.add(Account(name="bob"))
        writing.flush()
        with database.read() as session:
            assert len(session.exec(select(Account)).all()) == 1


def test_commits_survive_a_power_cut(database):
    with database.read() as session:
        connection = session.connection()
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path):
    path = tmp_path / "scribebox.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreUnusable, match=r"scribebox\.db"):
        Database(path)


def test_a_database_of_a_newer_version_is_refused_and_unchanged(tmp_path):
    path = tmp_path / "scribebox.db"
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreUnusable, match="newer version"):
        Database(path)


def test_what_was_said_is_not_in_the_message_of_an_error(database):
    with pytest.raises(IntegrityError) as error, database.write() as session:
        session.add(Account(id=1, name="a secret said in a meeting"))
        session.flush()
        session.add(Account(id=2, name="a secret said in a meeting"))
        session.flush()
    assert "a secret said" not in str(error.value)


def test_any_name_of_a_folder_will_do(tmp_path):
    folder = tmp_path / "what? #1 100%"
    folder.mkdir()
    Database(folder / "scribebox.db").close()
    assert (folder / "scribebox.db").stat().st_size > 0


def test_only_the_owner_may_read_the_file(database):
    assert database.path.stat().st_mode & 0o077 == 0


def test_who_is_in_a_hurry_waits_less_long_for_another_process(database, tmp_path):
    database.hurry()
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="locked"), database.write() as session:
        session.connection()
    other.execute("ROLLBACK")
    other.close()
    with database.write() as session:
        patience = session.connection().exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    assert patience == 1000
