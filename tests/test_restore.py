"""A restore puts the whole archive in the place of the box, or changes nothing."""

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filled_box import add_session, everything, filled, state_of
from running_box import SCRIBEBOX, WAIT_S, clean_environment, running

from appliance import archive, backup, restore
from appliance.data_folder import DataFolder
from appliance.errors import ArchiveDamaged, FolderBusy, NoRoom, StoreUnusable
from appliance.store import migrations
from appliance.store.database import Database
from engine.journal import take_lock


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make two boxes, and an archive of the first; copy what is changed."""
    folder = tmp_path_factory.mktemp("made")
    first = filled(folder / "first")
    (first.path / "scribebox.toml").write_text("port = 0\n")
    second = filled(folder / "second", count=2)
    (second.path / "models" / "tiny").mkdir()
    (second.path / "backups").mkdir()
    (second.path / "backups" / "one").touch()
    backup.create(first, folder / "archive")
    return folder


@pytest.fixture
def whole(made, tmp_path):
    """Return an archive of this test."""
    return shutil.copytree(made / "archive", tmp_path / "archive")


@pytest.fixture
def folder(made, tmp_path):
    """Return the data folder of another box, of this test."""
    return DataFolder(shutil.copytree(made / "second", tmp_path / "box"))


def kept(path):
    """Return the folders of what was there before."""
    return sorted(path.glob("replaced-*"))


def test_on_another_machine_the_box_is_the_same(whole, made, tmp_path):
    folder = DataFolder(tmp_path / "new")
    restored = restore.restore(folder, whole)
    assert state_of(folder.path) == state_of(made / "first")
    assert restored.replaced is None and kept(folder.path) == []
    assert (folder.path / "scribebox.toml").read_text() == "port = 0\n"
    for path in (whole, *whole.rglob("*")):
        there = folder.path / path.relative_to(whole)
        if there.exists():
            assert stat.S_IMODE(there.stat().st_mode) == (0o700 if there.is_dir() else 0o600)
            assert there.is_dir() or there.stat().st_nlink == 1  # never a link to the archive
    Database(folder.database).close()


def test_what_was_there_is_kept_beside_and_models_and_backups_stay(whole, made, folder):
    before = state_of(folder.path)
    restored = restore.restore(folder, whole)
    assert state_of(folder.path) == state_of(made / "first")
    assert [restored.replaced] == kept(folder.path)
    assert state_of(restored.replaced) == before
    assert (folder.models / "tiny").is_dir() and (folder.backups / "one").exists()
    assert not (restored.replaced / "models").exists()
    assert stat.S_IMODE(restored.replaced.stat().st_mode) == 0o700
    again = restore.restore(folder, whole)
    assert len(kept(folder.path)) == 2 and state_of(again.replaced) == state_of(made / "first")
    undo = backup.create(DataFolder(restored.replaced), folder.backups).path
    restore.restore(folder, undo)
    assert {**state_of(folder.path), "scribebox.toml": None} == {**before, "scribebox.toml": None}


def test_settings_stay_if_the_archive_has_none_and_an_admin_key_does_not(made, folder, tmp_path):
    first = DataFolder(shutil.copytree(made / "first", tmp_path / "other"))
    (first.path / "scribebox.toml").unlink()
    first.admin_key.unlink()
    whole = backup.create(first, tmp_path / "a").path
    (folder.path / "scribebox.toml").write_text("port = 1\n")
    restore.restore(folder, whole)
    assert (folder.path / "scribebox.toml").read_text() == "port = 1\n"
    assert not folder.admin_key.exists()  # it would open nothing


@pytest.mark.parametrize("number", range(12))
def test_a_damaged_byte_in_any_file_is_refused_and_nothing_is_changed(whole, folder, number):
    files = sorted(path for path in whole.rglob("*") if path.is_file())
    chance = random.Random(number)
    assert len(files) <= 13
    before = everything(folder.path)
    for path in files[number : number + 1]:
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= chance.randint(1, 255)
        path.write_bytes(content)
        with pytest.raises(ArchiveDamaged, match="take another one"):
            restore.restore(folder, whole)
    assert everything(folder.path) == before
    with pytest.raises(ArchiveDamaged):
        restore.restore(DataFolder(folder.path / "none"), whole)
    assert everything(folder.path) == before


def test_a_file_that_changes_after_it_was_verified_is_refused(whole, folder, monkeypatch):
    verify = archive.verify

    def and_then(*arguments):
        manifest = verify(*arguments)
        (whole / "secret").write_text("ab" * 32)
        return manifest

    before = everything(folder.path)
    monkeypatch.setattr(archive, "verify", and_then)
    with pytest.raises(ArchiveDamaged, match="since it was verified"):
        restore.restore(folder, whole)
    assert everything(folder.path) == before


def test_a_newer_database_is_refused_and_an_older_one_is_migrated(
    whole, folder, made, tmp_path, monkeypatch
):
    before, known = everything(folder.path), migrations.steps()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "steps", lambda: known[:-1])
        with pytest.raises(StoreUnusable, match=r"newer version.*install that version"):
            restore.restore(folder, whole)
    assert everything(folder.path) == before
    monkeypatch.setattr(migrations, "steps", lambda: [*known, "CREATE TABLE more (x);"])
    restore.restore(folder, whole)
    with contextlib.closing(Database(folder.database)) as database, database.read() as session:
        version = session.connection().exec_driver_sql("PRAGMA user_version").scalar()
    assert version == len(known) + 1


def test_a_running_server_is_not_restored_over(whole, folder):
    before = everything(folder.path)
    with folder.held("serve"), pytest.raises(FolderBusy, match="scribebox serve"):
        restore.restore(folder, whole)
    assert everything(folder.path) == before


def test_whoever_has_the_database_open_is_waited_for_and_then_told_of(
    whole, folder, made, monkeypatch
):
    monkeypatch.setattr(restore.snapshot, "BUSY_S", 0.1)
    before = state_of(folder.path)
    with contextlib.closing(Database(folder.database)) as database, database.read() as session:
        session.connection().exec_driver_sql("SELECT * FROM account").all()
        with pytest.raises(FolderBusy, match="in use by another process"):
            restore.restore(folder, whole)
    assert state_of(folder.path) == before
    restore.restore(folder, whole)
    assert state_of(folder.path) == state_of(made / "first")


def test_a_recording_that_goes_on_without_a_server_is_not_pulled_away(whole, folder):
    descriptor = take_lock(folder.recordings / "1")
    try:
        with pytest.raises(FolderBusy, match="recording 1 still goes on"):
            restore.restore(folder, whole)
    finally:
        os.close(descriptor)
    assert kept(folder.path) == []


def test_without_room_nothing_is_changed(whole, folder, monkeypatch):
    before = everything(folder.path)
    monkeypatch.setattr(restore, "free_bytes", lambda _: 1000)
    with pytest.raises(NoRoom, match="make room"):
        restore.restore(folder, whole)
    assert everything(folder.path) == before


def test_what_is_mounted_is_not_moved(whole, folder, monkeypatch):
    before = everything(folder.path)
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path).name == "audio")
    with pytest.raises(StoreUnusable, match="mount point"):
        restore.restore(folder, whole)
    assert everything(folder.path) == before


def test_a_database_that_is_damaged_can_be_restored_over(whole, folder, made):
    folder.database.write_bytes(b"no database at all" * 1000)
    restored = restore.restore(folder, whole)
    assert state_of(folder.path) == state_of(made / "first")
    assert (restored.replaced / "scribebox.db").read_bytes().startswith(b"no database")


def test_the_log_of_a_box_that_crashed_goes_with_its_database(whole, folder, made, tmp_path):
    with contextlib.closing(Database(folder.database)) as database:
        add_session(database, folder, "latest", b"sound")
        crashed = DataFolder(shutil.copytree(folder.path, tmp_path / "crashed"))
    assert (crashed.path / "scribebox.db-wal").stat().st_size > 0
    restored = restore.restore(crashed, whole)
    assert state_of(crashed.path) == state_of(made / "first")
    titles = [row[1] for row in state_of(restored.replaced)["sessions"]]
    assert "latest" in titles


def test_a_recording_comes_back_as_one_that_is_over(whole, folder):
    os.utime(whole / "recordings" / "1" / "audio.pcm")  # a moment ago
    restore.restore(folder, whole)
    age_s = time.time() - (folder.recordings / "1" / "audio.pcm").stat().st_mtime
    assert age_s > 3000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_restores_belongs_to_the_owner_of_the_data_folder(whole, folder):
    for path in (folder.path, *folder.path.rglob("*")):
        os.chown(path, 12345, 12345)
    restore.restore(folder, whole)
    assert {path.stat().st_uid for path in folder.path.rglob("*")} == {12345}


# Cut off


def test_what_gets_its_name_has_been_synced_before(made, folder, tmp_path, monkeypatch):
    synced, named, fsync, rename = set(), [], os.fsync, os.rename

    def and_note(descriptor):
        fsync(descriptor)
        synced.add(os.fstat(descriptor).st_ino)

    def and_check(source, target):
        if os.path.isdir(source) and str(source).endswith((restore.PART, "scribebox-part")):
            named.append(Path(target).name)
            for path in (Path(source), *Path(source).rglob("*")):
                linked = path.is_file() and path.stat().st_nlink > 1  # as it lies in the box
                assert linked or path.stat().st_ino in synced, path
        rename(source, target)

    monkeypatch.setattr(os, "fsync", and_note)
    monkeypatch.setattr(os, "rename", and_check)
    backup.create(DataFolder(made / "first"), tmp_path / "again")
    restore.restore(folder, tmp_path / "again")
    assert named == ["again", "restore.ready"]


CALLS = ("rename", "mkdir", "rmdir", "unlink", "fsync", "open")


def killed_at(number, action):
    """Carry an action out in a process of its own that dies at its n-th call; tell if it did."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        left = [number]

        def counting(call):
            def counted(*arguments, **named):
                if left[0] == 0:
                    os._exit(9)
                left[0] -= 1
                return call(*arguments, **named)

            return counted

        for name in CALLS:
            setattr(os, name, counting(getattr(os, name)))
        try:
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    return status == 9


def cut_off_everywhere(made, tmp_path, every, also_after=0):
    """Kill a restore at its calls; tell how often the old and the new state were found."""
    states = {name: state_of(made / name) for name in ("first", "second")}
    found, number, chance = [], 0, random.Random(7)
    while True:
        folder = DataFolder(shutil.copytree(made / "second", tmp_path / f"box{number}"))
        died = killed_at(number, lambda folder=folder: restore.restore(folder, made / "archive"))
        for _ in range(also_after):
            killed_at(chance.randrange(30), folder.make)
        folder.make()
        state = state_of(folder.path)
        found.append(next(name for name, one in states.items() if one == state))
        assert [path.name for path in folder.path.glob("restore.*")] == []
        if found[-1] == "first":
            (old,) = kept(folder.path)
            assert state_of(old) == states["second"]
        else:
            assert kept(folder.path) == []
        shutil.rmtree(folder.path)
        if not died:
            return found
        number += every


def test_killed_at_any_moment_the_old_or_the_new_is_there_whole(made, tmp_path):
    found = cut_off_everywhere(made, tmp_path, every=8)
    assert found == sorted(found, reverse=True)  # one moment decides
    assert {"first", "second"} == set(found)


@pytest.mark.long
@pytest.mark.parametrize("also_after", [0, 1, 3])
def test_killed_at_every_call_and_again_while_it_is_completed(made, tmp_path, also_after):
    found = cut_off_everywhere(made, tmp_path, every=1, also_after=also_after)
    print(len(found), "moments,", found.count("second"), "of them before the one that decides")
    assert found == sorted(found, reverse=True)


def test_nothing_runs_while_a_restore_is_under_way(folder):
    (folder.path / restore.PART).mkdir()
    with folder.held("backup restore"), pytest.raises(FolderBusy, match="backup restore"):
        DataFolder(folder.path).make()
    folder.make()
    assert not (folder.path / restore.PART).exists()


def test_a_restore_that_can_not_be_completed_says_why(folder):
    ready = folder.path / restore.READY
    ready.mkdir()
    plan = {"arriving": ["audio"], "leaving": ["audio"], "replaced": "none/such"}
    (ready / "audio").mkdir()
    (ready / restore.SWAP).write_text(json.dumps(plan))
    with pytest.raises(StoreUnusable, match=r"can't be completed.*none/such.*start again"):
        folder.make()


@pytest.mark.long
def test_kill_9_at_random_moments_leaves_the_old_or_the_new(tmp_path):
    chance = random.Random(11)
    first = filled(tmp_path / "first", count=40, audio_bytes=200_000)
    second = filled(tmp_path / "second", count=30, audio_bytes=200_000)
    whole = backup.create(first, tmp_path / "archive").path
    states = {"old": state_of(second.path), "new": state_of(first.path)}
    arguments = [*SCRIBEBOX, "backup", "restore", str(whole), "--data"]

    def start(path):
        return subprocess.Popen([*arguments, str(path)], env=clean_environment(),
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip

    timed = shutil.copytree(second.path, tmp_path / "timed")
    began = time.monotonic()
    assert start(timed).wait(WAIT_S) == 0
    whole_s, found = time.monotonic() - began, []
    for number in range(60):  # as many as it takes to have met both, on a machine of any speed
        if number >= 12 and set(found) == {"old", "new"}:
            break
        path = shutil.copytree(second.path, tmp_path / f"box{number}")
        process = start(path)
        while not list(path.glob("restore.*")) and process.poll() is None:
            pass  # it has begun to write
        time.sleep(chance.uniform(0, whole_s / 5))
        process.send_signal(signal.SIGKILL)
        process.wait(WAIT_S)
        DataFolder(path).make()
        state = state_of(path)
        found.append(next(name for name, one in states.items() if one == state))
        shutil.rmtree(path)
    print(found)
    assert set(found) == {"old", "new"}


@pytest.mark.long
def test_the_next_start_works_and_makes_a_session_of_what_was_being_recorded(made, tmp_path):
    data = tmp_path / "new"
    restore.restore(DataFolder(data), made / "archive")
    with running("--data", str(data), SCRIBEBOX_MODEL="tiny.en", SCRIBEBOX_PORT="0") as box:
        assert box.url
        box.wait_for(r"recording 1 done")
        box.stop()
    with contextlib.closing(sqlite3.connect(data / "scribebox.db")) as store:
        assert store.execute("SELECT id, state FROM recording").fetchall() == [(1, "recovered")]
