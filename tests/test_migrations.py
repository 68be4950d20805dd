"""The steps make the tables that the entities describe, each of them whole or not at all."""

import sqlite3

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from appliance.store import entities, migrations


def test_the_steps_and_the_entities_agree(database):
    assert entities.Account.metadata is SQLModel.metadata

    def ours(_object, name, kind, _reflected, _other):
        return not (kind == "table" and "_fts" in name)

    with database.read() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"include_object": ours, "compare_type": True}
        )
        assert compare_metadata(context, SQLModel.metadata) == []


def test_a_step_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    monkeypatch.setattr(
        migrations, "steps", lambda: ["CREATE TABLE a (x);", "CREATE TABLE b (x);\nNONSENSE;"]
    )
    with pytest.raises(sqlite3.OperationalError):
        migrations.migrate(connection, tmp_path)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
    assert (tables, migrations.version(connection)) == (["a"], 1)
    monkeypatch.setattr(migrations, "steps", lambda: ["CREATE TABLE a (x);", "CREATE TABLE b (x);"])
    assert migrations.migrate(connection, tmp_path) == 2
    connection.close()


def test_a_trigger_is_one_statement():
    script = "-- why\nCREATE TABLE a (x);\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n"
    script += "  DELETE FROM a;\nEND;\n"
    found = list(migrations.statements(script))
    assert [s.split()[1] for s in found] == ["TABLE", "TRIGGER"]
