"""An archive holds one moment of a box, whatever goes on in it meanwhile."""

import contextlib
import errno
import hashlib
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filled_box import add_recording, add_session, filled, state_of, write
from sqlmodel import select

from appliance import archive, backup, gathering
from appliance.box import open_store
from appliance.data_folder import DataFolder
from appliance.errors import (
    Conflict,
    FolderBusy,
    NoRoom,
    NotFound,
    Refused,
    StoreUnusable,
)
from appliance.gathering import Gathering, Options
from appliance.plain_files import Meter, quiet
from appliance.restore import restore
from appliance.settings import Settings
from appliance.store import migrations, recordings, snapshot
from appliance.store.database import Database
from appliance.store.entities import Recording, RecordingState, SessionRow
from engine.journal import JournalWriter

WAIT_S = 60


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Make a box with something in it, to be copied."""
    return filled(tmp_path_factory.mktemp("template") / "box").path


@pytest.fixture
def folder(template, tmp_path):
    """Return the data folder of a box with something in it."""
    return DataFolder(shutil.copytree(template, tmp_path / "box"))


@pytest.fixture
def opened(folder):
    """Open its database."""
    with contextlib.closing(Database(folder.database)) as database:
        yield database


def paths(made):
    return {entry.path for entry in made.manifest.files}


def test_an_archive_is_the_box_without_its_models_and_its_log(folder, tmp_path, opened):
    (folder.path / "scribebox.toml").write_text("port = 0\n")
    (folder.path / "tls").mkdir()
    for name in ("cert.pem", "key.pem", "key.pem.part"):
        (folder.path / "tls" / name).write_text(name)
    (folder.models / "tiny").mkdir()
    (folder.models / "tiny" / "model.bin").touch()
    write(folder.audio / "nobodys.part", b"x")
    made = backup.create(folder, tmp_path / "a")
    assert paths(made) == {
        "scribebox.db", "secret", "admin.key", "scribebox.toml", "tls/cert.pem", "tls/key.pem",
        "audio/upload0", "audio/upload1", "audio/upload2", "audio/dictation1",
        "recordings/1/audio.pcm", "recordings/1/events.jsonl",
    }  # fmt: skip
    assert (made.manifest.sessions, made.manifest.recordings, made.linked) == (3, 1, 4)
    assert (made.manifest.missing, made.manifest.changed) == ((), ())
    assert state_of(made.path) == state_of(folder.path)
    archive.verify(made.path)


def test_everything_in_it_is_for_its_owner_alone(folder, tmp_path):
    (folder.audio / "upload0").chmod(0o644)  # by an older version
    made = backup.create(folder, tmp_path / "a")
    for path in (made.path, *made.path.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_audio_is_linked_unless_copies_are_asked_for(folder, tmp_path):
    linked = backup.create(folder, tmp_path / "a").path
    copied = backup.create(folder, tmp_path / "b", Options(copies=True))
    live = folder.audio / "upload0"
    assert live.samefile(linked / "audio" / "upload0")
    assert copied.linked == 0
    assert not live.samefile(copied.path / "audio" / "upload0")
    assert paths(copied) == {entry.path for entry in archive.read(linked).files}


def test_what_can_not_be_linked_is_copied(folder, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refuse)
    made = backup.create(folder, tmp_path / "a")
    assert made.linked == 0 and state_of(made.path) == state_of(folder.path)
    archive.verify(made.path)


def test_on_another_disk_audio_is_linked_to_the_backup_before(folder, tmp_path, monkeypatch):
    first = backup.create(folder, tmp_path / "a", Options(copies=True)).path
    (first / "audio" / "upload1").write_bytes(b"damaged")
    link = os.link

    def refuse(source, target):
        if Path(source).is_relative_to(folder.path):
            raise OSError(errno.EXDEV, "another disk")
        link(source, target)

    monkeypatch.setattr(os, "link", refuse)
    second = backup.create(folder, tmp_path / "b", Options(earlier=first))
    assert second.linked == 3  # and one copied, from the box
    assert (first / "audio" / "upload0").samefile(second.path / "audio" / "upload0")
    assert state_of(second.path) == state_of(folder.path)
    archive.verify(second.path)


def test_what_comes_and_what_goes_is_in_it_under_its_name(folder, tmp_path):
    (folder.audio / "upload0").rename(folder.audio / "upload0.part")
    (folder.audio / "upload1").rename(folder.audio / "upload1.gone")
    made = backup.create(folder, tmp_path / "a")
    assert {"audio/upload0", "audio/upload1"} <= paths(made)
    assert made.manifest.missing == ()


def during(monkeypatch, *happenings):
    """Let something happen after each copy of the database, before its files are fetched."""
    left, take = list(happenings), snapshot.take

    def and_then(*arguments):
        take(*arguments)
        if left:
            left.pop(0)()

    monkeypatch.setattr(snapshot, "take", and_then)


def test_a_session_deleted_meanwhile_is_not_in_it(folder, tmp_path, opened, monkeypatch):
    def delete():
        with opened.write() as session:
            row = session.exec(select(SessionRow).where(SessionRow.title == "upload1")).one()
            session.delete(row)
        (folder.audio / "upload1").unlink()

    during(monkeypatch, delete)
    made = backup.create(folder, tmp_path / "a")
    assert (made.manifest.sessions, made.manifest.missing) == (2, ())
    assert "audio/upload1" not in paths(made)
    assert state_of(made.path) == state_of(folder.path)
    archive.verify(made.path)


def test_audio_that_is_linked_already_goes_if_its_session_goes(
    folder, tmp_path, opened, monkeypatch
):
    take, times = snapshot.take, []

    def delete(name):
        with opened.write() as session:
            row = session.exec(select(SessionRow).where(SessionRow.title == name)).one()
            session.delete(row)
        (folder.audio / name).unlink()

    def and_around(*arguments):
        times.append(True)
        if len(times) == 2:
            delete("upload1")
        take(*arguments)
        if len(times) == 1:
            delete("upload0")

    monkeypatch.setattr(snapshot, "take", and_around)
    made = backup.create(folder, tmp_path / "a")
    assert (made.manifest.sessions, made.manifest.missing, len(times)) == (1, (), 2)
    assert state_of(made.path) == state_of(folder.path)
    archive.verify(made.path)


def test_a_recording_that_is_finished_meanwhile_comes_as_its_session(
    folder, tmp_path, opened, monkeypatch
):
    def finish():
        write(folder.audio / "recording-1", b"flac")
        with opened.write() as session:
            row = session.get_one(Recording, 1)
            hidden = session.get_one(SessionRow, row.session_id)
            hidden.audio_path, hidden.state = "audio/recording-1", "done"
            hidden.audio_sha256 = hashlib.sha256(b"flac").hexdigest()
            recordings.change_state(session, row, RecordingState.DONE)
        for path in (folder.recordings / "1").iterdir():
            path.unlink()
        (folder.recordings / "1").rmdir()

    during(monkeypatch, finish)
    made = backup.create(folder, tmp_path / "a")
    assert (made.manifest.sessions, made.manifest.recordings) == (4, 0)
    assert "audio/recording-1" in paths(made) and "recordings/1/audio.pcm" not in paths(made)
    archive.verify(made.path)


def test_a_recording_without_a_journal_yet_is_no_loss(folder, tmp_path, opened):
    add_recording(opened, folder, b"")
    for path in (folder.recordings / "2").iterdir():
        path.unlink()
    made = backup.create(folder, tmp_path / "a")
    assert (made.manifest.recordings, made.manifest.missing) == (2, ())
    archive.verify(made.path)


def test_the_journal_of_a_finished_recording_is_its_audio(folder, tmp_path, opened):
    with opened.write() as session:  # there was no room for a FLAC
        row = session.get_one(Recording, 1)
        hidden = session.get_one(SessionRow, row.session_id)
        hidden.audio_path, hidden.state = "recordings/1/audio.pcm", "done"
        recordings.change_state(session, row, RecordingState.DONE)
    made = backup.create(folder, tmp_path / "a")
    assert "recordings/1/audio.pcm" in paths(made) and made.linked == 5
    archive.verify(made.path)


def test_a_journal_that_grows_is_taken_with_all_events_of_its_sound(folder, tmp_path, monkeypatch):
    writer, copy, told = JournalWriter(folder.recordings / "1"), gathering.copy, []

    def and_then(source, target, meter):
        copied = copy(source, target, meter)
        if source.name == "audio.pcm" and not told:
            told.append(True)
            writer.append(bytes(2000))
            writer.note("gap", seconds=1.0, cause="overflow")
            writer.append(bytes(2000))
        return copied

    monkeypatch.setattr(gathering, "copy", and_then)
    made = backup.create(folder, tmp_path / "a")
    writer.close()
    assert (made.path / "recordings" / "1" / "audio.pcm").stat().st_size == 32_000 + 4000
    assert b"overflow" in (made.path / "recordings" / "1" / "events.jsonl").read_bytes()
    archive.verify(made.path)


def test_audio_that_the_box_has_lost_is_named_and_keeps_no_backup_from_being(
    folder, tmp_path, opened
):
    (folder.audio / "upload0").unlink()
    (folder.audio / "upload1").write_bytes(b"rotten")
    with opened.write() as session:
        row = session.exec(select(SessionRow).where(SessionRow.title == "upload2")).one()
        row.audio_path = "../../etc/passwd"
    made = backup.create(folder, tmp_path / "a")
    assert made.manifest.missing == ("../../etc/passwd", "audio/upload0")
    assert made.manifest.changed == ("audio/upload1",)
    assert made.manifest.sessions == 3
    archive.verify(made.path)


def test_a_disk_that_can_not_read_one_file_keeps_the_others(folder, tmp_path, monkeypatch):
    digest = gathering.digest

    def fail(path, meter):
        if path.name == "upload0":
            raise OSError(errno.EIO, "Input/output error")
        return digest(path, meter)

    monkeypatch.setattr(gathering, "digest", fail)
    made = backup.create(folder, tmp_path / "a")
    assert made.manifest.missing == ("audio/upload0",)
    archive.verify(made.path)


def test_the_copy_is_of_one_moment_while_others_write(folder, tmp_path, opened):
    with opened.write() as session:
        connection = session.connection()
        connection.exec_driver_sql("CREATE TABLE pair (a INTEGER, b INTEGER, filling BLOB)")
        for _ in range(4000):
            connection.exec_driver_sql("INSERT INTO pair VALUES (0, 0, zeroblob(2000))")
    stop, written = threading.Event(), []

    def keep_writing():
        while not stop.is_set():
            with opened.write() as session:
                connection = session.connection()
                connection.exec_driver_sql("UPDATE pair SET a = a + 1 WHERE rowid = 1")
                connection.exec_driver_sql("UPDATE pair SET b = b + 1 WHERE rowid = 4000")
            written.append(True)

    thread = threading.Thread(target=keep_writing)
    thread.start()
    counts = []
    try:
        while len(counts) < 3 or (sum(counts) == 0 and len(counts) < 50):
            before = len(written)
            snapshot.take(folder.database, tmp_path / str(len(counts)), Meter(quiet))
            counts.append(len(written) - before)
    finally:
        stop.set()
        thread.join(WAIT_S)
    assert sum(counts) > 0  # writers did not wait for it
    for number in range(len(counts)):
        snapshot.check(tmp_path / str(number), Meter(quiet))
        with contextlib.closing(sqlite3.connect(tmp_path / str(number))) as copied:
            first = copied.execute("SELECT a FROM pair WHERE rowid = 1").fetchone()
            assert first == copied.execute("SELECT b FROM pair WHERE rowid = 4000").fetchone()


def test_of_a_damaged_database_no_backup_is_made(folder, tmp_path):
    with contextlib.closing(sqlite3.connect(folder.database)) as store:
        page = store.execute("SELECT rootpage FROM sqlite_master WHERE name = 'session'")
        number = page.fetchone()[0]
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with folder.database.open("r+b") as file:
        file.seek(4096 * (number - 1) + 8)
        file.write(random.Random(1).randbytes(2000))
    with pytest.raises(StoreUnusable, match="damaged"):
        backup.create(folder, tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["box"]


def test_a_box_that_was_replaced_meanwhile_is_not_mixed(folder, tmp_path, monkeypatch):
    def replace():
        other = tmp_path / "other.db"
        other.write_bytes(folder.database.read_bytes())
        other.replace(folder.database)

    during(monkeypatch, replace)
    with pytest.raises(Conflict, match="restored meanwhile"):
        backup.create(folder, tmp_path / "a")


def test_a_folder_that_is_there_gets_the_archive_with_its_time(folder, tmp_path):
    (tmp_path / "usb").mkdir()
    names = [backup.create(folder, tmp_path / "usb").path.name for _ in range(2)]
    assert len(set(names)) == 2 and all(name.startswith("scribebox-20") for name in names)
    assert sorted(path.name for path in (tmp_path / "usb").iterdir()) == sorted(names)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("file", "is no folder"),
        ("none/such", "there is no folder"),
        ("link", "is no folder"),
        ("box", "lies in the data folder"),
        ("box/audio/a", "lies in the data folder"),
        ("again/box/recordings", "lies in the data folder"),
        ("a", "is a backup already"),
    ],
)
def test_a_place_where_no_archive_can_be_is_refused(folder, tmp_path, target, said):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / archive.MANIFEST).touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Refused, match=said):
        backup.create(folder, tmp_path / target)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_a_box_is_told_of_and_none_is_made(tmp_path):
    with pytest.raises(NotFound, match="--data"):
        backup.create(DataFolder(tmp_path / "none"), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_without_room_nothing_is_made_and_nothing_stays(folder, tmp_path):
    with pytest.raises(NoRoom, match="make room"):
        backup.create(folder, tmp_path / "a", Options(reserve_bytes=1 << 60))
    assert [path.name for path in tmp_path.iterdir()] == ["box"]


def test_a_disk_that_fills_meanwhile_is_told_the_same(folder, tmp_path, monkeypatch):
    def fill(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gathering, "copy", fill)
    with pytest.raises(NoRoom, match="make room"):
        backup.create(folder, tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["box"]


def test_a_maker_that_is_killed_leaves_no_archive_and_the_next_sweeps(folder, tmp_path):
    script = (
        "import sys, time, pathlib; from appliance import backup, gathering\n"
        "from appliance.data_folder import DataFolder\n"
        "gathering.copy = lambda *_: (print('at work', flush=True), time.sleep(60))\n"
        "backup.create(DataFolder(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2]))"
    )
    target = tmp_path / "backups" / "a"
    target.parent.mkdir()
    maker = subprocess.Popen(
        [sys.executable, "-c", script, folder.path, target], stdout=subprocess.PIPE
    )
    try:
        assert maker.stdout.readline() == b"at work\n"
        backup.create(folder, target.with_name("b"))
        assert len(list(target.parent.glob(".a.*"))) == 1  # the living one is let be
    finally:
        maker.send_signal(signal.SIGKILL)
        maker.wait(WAIT_S)
        maker.stdout.close()
    (left,) = target.parent.glob(".a.*")
    assert not (left / archive.MANIFEST).exists()
    backup.create(folder, target.with_name("c"))
    assert sorted(path.name for path in target.parent.iterdir()) == ["b", "c"]


def test_an_archive_gets_its_name_last(folder, tmp_path, monkeypatch):
    seen = []

    def look(part, manifest):
        seen.extend(path.name for path in part.parent.iterdir())

    monkeypatch.setattr(archive, "seal", look)
    backup.create(folder, tmp_path / "a")
    assert "a" not in seen and (tmp_path / "a").is_dir()


def test_it_can_be_given_up_at_any_moment(folder, tmp_path):
    class GivenUp(Exception):
        pass

    ways = []
    backup.create(folder, tmp_path / "a", tell=lambda *_: ways.append(True))
    for number in range(0, len(ways), max(1, len(ways) // 12)):
        told = []

        def give_up(*_, last=number, told=told):
            told.append(True)
            if len(told) > last:
                raise GivenUp

        with pytest.raises(GivenUp):
            backup.create(folder, tmp_path / "b", tell=give_up)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "box"]


# Before a migration


@pytest.fixture
def old(tmp_path, monkeypatch):
    """Return the data folder of a box whose database is of the second step."""
    known = migrations.steps()
    monkeypatch.setattr(migrations, "steps", lambda: known[:2])
    path = tmp_path / "box"
    path.mkdir(mode=0o700)
    with contextlib.closing(sqlite3.connect(path / "scribebox.db", isolation_level=None)) as store:
        migrations.migrate(store, path)
        store.execute(
            "INSERT INTO account VALUES (1, 'default', 'selfhosted', 'UTC', '2026-01-01 00:00:00')"
        )
        store.execute(
            "INSERT INTO session (account_id, state, title, note, original_transcript, tags,"
            " source, captured_seconds, elapsed_seconds, created_at, labels, audio_path)"
            " VALUES (1, 'done', 'old', '', '', '', 'upload', 0, 0, '2026-01-01 00:00:00', 'a1',"
            " 'audio/x')"
        )
    monkeypatch.setattr(migrations, "steps", lambda: known)
    folder = DataFolder(path).make()
    write(folder.audio / "x", b"sound")
    return folder


def archives(folder):
    return sorted(path.name for path in folder.backups.iterdir()) if folder.backups.exists() else []


def open_and_close(folder, **more):
    _, database, _ = open_store(Settings(data_dir=folder.path), **more)
    database.close()


def test_an_older_database_is_backed_up_once_before_it_is_changed(old):
    open_and_close(old)
    assert archives(old) == ["before-step-0003"]
    manifest = archive.verify(old.backups / "before-step-0003")
    assert (manifest.step, manifest.sessions) == (2, 1)
    assert {entry.path for entry in manifest.files} >= {"scribebox.db", "audio/x"}
    open_and_close(old)
    assert archives(old) == ["before-step-0003"]


def test_a_new_box_and_one_of_today_make_none(tmp_path, folder):
    for path in (tmp_path / "new", folder.path):
        open_and_close(DataFolder(path))
        assert not (path / "backups").exists()


def test_a_migration_that_fails_again_and_again_makes_one_backup(old, monkeypatch):
    known = migrations.steps()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "steps", lambda: [*known[:2], "CREATE TABLE x (y);\nNONSENSE;"])
        for _ in range(3):
            with pytest.raises(StoreUnusable):
                open_and_close(old)
    assert archives(old) == ["before-step-0003"]
    with contextlib.closing(Database(old.database)):  # the next version gets it right
        pass


def test_a_database_that_has_changed_since_gets_a_backup_of_its_own(old):
    backup.before_migration(old, 3)
    with contextlib.closing(sqlite3.connect(old.database)) as store, store:
        store.execute("UPDATE session SET title = 'new'")
    open_and_close(old)
    assert archives(old) == ["before-step-0003", "before-step-0003-2"]


def test_without_room_for_the_backup_nothing_is_migrated(old, monkeypatch):
    monkeypatch.setattr(Gathering, "_check_room", lambda *_: raise_no_room())
    with pytest.raises(NoRoom, match=r"before a new version.*make room.*version from before"):
        open_and_close(old)
    assert migrations.pending(old.database) == 3
    assert archives(old) == []


def raise_no_room():
    raise NoRoom("the disk has 0 MB left; make room")


def test_nothing_is_migrated_under_a_server_that_runs(old):
    with old.held("serve", url="http://127.0.0.1:1"):
        with pytest.raises(FolderBusy, match="scribebox serve"):
            open_and_close(old)
        assert migrations.pending(old.database) == 3
        open_and_close(old, held=True)  # by that one itself
    assert migrations.pending(old.database) is None


def test_what_is_no_database_or_newer_is_not_pending(tmp_path):
    path = tmp_path / "x.db"
    assert migrations.pending(path) is None and not path.exists()
    path.write_bytes(b"nonsense" * 100)
    assert migrations.pending(path) is None
    with contextlib.closing(sqlite3.connect(tmp_path / "y.db")) as store:
        store.execute("PRAGMA user_version = 99")
    assert migrations.pending(tmp_path / "y.db") is None


# Figures: python -m pytest -m long -s -k seconds tests/test_backup.py


@pytest.mark.long
def test_a_thousand_sessions_with_a_megabyte_each_take_seconds(tmp_path):
    folder = filled(tmp_path / "box", count=0)
    with contextlib.closing(Database(folder.database)) as database:
        for number in range(1000):
            add_session(database, folder, f"upload{number}", os.urandom(1_000_000))
    for name, options in (("links", Options()), ("copies", Options(copies=True))):
        began = time.monotonic()
        made = backup.create(folder, tmp_path / name, options)
        print(f"create, {name}: {time.monotonic() - began:.1f} s, {made.manifest.total_bytes} B")
        began = time.monotonic()
        archive.verify(made.path)
        print(f"verify, {name}: {time.monotonic() - began:.1f} s")
        began = time.monotonic()
        restore(DataFolder(tmp_path / f"from {name}"), made.path)
        print(f"restore, {name}: {time.monotonic() - began:.1f} s")
        assert made.manifest.sessions == 1000 and made.manifest.missing == ()
