"""`scribebox backup` on the command line, beside a server that runs."""

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import threading
import time

import httpx
import pytest
from filled_box import everything, filled, state_of
from running_box import WAIT_S, running, scribebox
from virtual_microphone import wait_until

from api import cli
from appliance import archive
from appliance.data_folder import DataFolder
from appliance.settings import Settings
from scheduler.backup import Nightly

SESSIONS = "/api/v1/audioscribe/sessions"
HISTORY = "/v1/transcribe/history"
ARCHIVES = 3


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("template") / "box").path


@pytest.fixture(autouse=True)
def umask():
    """Keep what a command does to its process from the tests of others."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def data(template, tmp_path):
    """Return the data folder of a box with something in it."""
    return shutil.copytree(template, tmp_path / "box")


def command(capsys, *arguments):
    """Run a command in this process; return its status, its JSON and what it said."""
    status = cli.main(["backup", *map(str, arguments), "--json"])
    told = capsys.readouterr()
    return status, json.loads(told.out) if told.out else None, told.err


def test_made_verified_and_restored(data, tmp_path, capsys):
    status, (row,), said = command(capsys, "create", tmp_path / "a", "--data", data)
    assert (status, said) == (0, "")
    assert row["archive"] == str(tmp_path / "a")
    assert (row["sessions"], row["recordings"], row["linked"]) == (3, 1, 4)
    assert (row["missing"], row["changed"]) == (0, 0)
    status, (row,), said = command(capsys, "verify", tmp_path / "a", "--data", data)
    assert (status, row["state"], said) == (0, "ok", "")
    before = state_of(data)
    status, (row,), said = command(capsys, "restore", tmp_path / "a", "--data", data)
    assert (status, said) == (0, "")
    assert re.fullmatch(rf"{data}/replaced-\d{{8}}T\d{{6}}Z", row["replaced"])
    assert state_of(data) == before == state_of(tmp_path / "box" / row["replaced"])


def test_where_the_old_box_lies_is_told_in_plain_lines(data, tmp_path, capsys):
    command(capsys, "create", tmp_path / "a", "--data", data)
    assert cli.main(["backup", "restore", str(tmp_path / "a"), "--data", str(data)]) == 0
    told = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert told["archive"] == str(tmp_path / "a") and told["sessions"] == "3"
    assert DataFolder(data / told["replaced"]).database.exists()


def test_copies_are_made_if_asked_for(data, tmp_path, capsys):
    _, (row,), _ = command(capsys, "create", tmp_path / "a", "--copy", "--data", data)
    assert row["linked"] == 0


def test_lost_audio_is_told_and_is_no_failure(data, tmp_path, capsys):
    (data / "audio" / "upload0").unlink()
    (data / "audio" / "upload1").write_bytes(b"rotten")
    status, (row,), said = command(capsys, "create", tmp_path / "a", "--data", data)
    assert (status, row["missing"], row["changed"]) == (0, 1, 1)
    assert "audio/upload0: is missing" in said and "audio/upload1: is not what it was" in said


def test_a_damaged_archive_is_exit_code_1_and_each_damage_a_line(data, tmp_path, capsys):
    command(capsys, "create", tmp_path / "a", "--copy", "--data", data)
    for name in ("upload0", "upload1"):
        (tmp_path / "a" / "audio" / name).write_bytes(b"x")
    status, rows, said = command(capsys, "verify", tmp_path / "a", "--data", data)
    assert (status, rows[0]["state"]) == (1, "damaged")
    assert len(said.splitlines()) == 3 and "audio/upload1" in said
    before = everything(data)
    status, rows, said = command(capsys, "restore", tmp_path / "a", "--data", data)
    assert (status, rows) == (1, None)
    assert "audio/upload0" in said and "take another one" in said
    assert everything(data) == before


def test_without_a_name_the_newest_of_the_nights_is_verified(data, capsys):
    status, rows, said = command(capsys, "verify", "--data", data)
    assert (status, rows) == (1, None) and "no nightly backup" in said
    folder = DataFolder(data)
    nightly = Nightly(Settings(data_dir=data), folder)
    nightly._started_s -= 7200
    nightly.carry_out()
    status, (row,), _ = command(capsys, "verify", "--data", data)
    assert (status, row["archive"]) == (0, str(nightly.last.archive))
    (nightly.last.archive / archive.MANIFEST).write_text("x")
    assert command(capsys, "verify", "--data", data)[0] == 1


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("create", "none/such"), 2, "there is no folder"),
        (("create", "box/x"), 2, "lies in the data folder"),
        (("create", "a", "--data", "nobox"), 1, "holds no box"),
        (("restore", "none"), 1, "no backup is there"),
        (("verify", "none"), 1, "no backup is there"),
    ],
)
def test_what_can_not_be_done_is_told(data, tmp_path, capsys, monkeypatch, arguments, status, said):
    monkeypatch.chdir(tmp_path)
    arguments = (*arguments, *(() if "--data" in arguments else ("--data", data)))
    before = sorted(tmp_path.rglob("*"))
    done = command(capsys, *arguments)
    assert done[0] == status and said in done[2]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.long
def test_a_server_that_runs_is_backed_up_and_not_restored_over(tmp_path):
    data = tmp_path / "box"
    with running("--data", str(data), SCRIBEBOX_MODEL="absent", SCRIBEBOX_PORT="0") as box:
        assert box.url
        made = scribebox("backup", "create", tmp_path / "a", "--data", data)
        assert (made.returncode, made.stderr) == (0, "")
        refused = scribebox("backup", "restore", tmp_path / "a", "--data", data)
        assert refused.returncode == 1 and f"process {box.process.pid}" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert box.stop() in (0, -signal.SIGTERM)
    archive.verify(tmp_path / "a")


# Under load


class Load:
    """Clients that upload, dictate and delete; they know the digest of all they ever sent."""

    def __init__(self, url, key, seed):
        self.digests: set[str] = set()
        self.done = 0
        self._chance = random.Random(seed)
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=WAIT_S,
            trust_env=False,
        )  # fmt: skip
        self._stop = threading.Event()
        self.failed: BaseException | None = None
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def stop(self):
        """End, and raise what went wrong."""
        self._stop.set()
        self._thread.join(WAIT_S)
        self._client.close()
        if self.failed is not None:
            raise self.failed

    def _work(self):
        try:
            while not self._stop.is_set():
                self._chance.choice((self._upload, self._dictate, self._cancel))()
                self.done += 1
        except BaseException as error:
            self.failed = error

    def _sound(self):
        """Return a WAV file that is like no other."""
        samples = self._chance.randbytes(2 * self._chance.randint(8000, 400_000))
        head = b"RIFF" + (36 + len(samples)).to_bytes(4, "little") + b"WAVEfmt " + bytes(
            [16, 0, 0, 0, 1, 0, 1, 0, 0x80, 0x3E, 0, 0, 0, 0x7D, 0, 0, 2, 0, 16, 0]
        )  # fmt: skip
        sound = head + b"data" + len(samples).to_bytes(4, "little") + samples
        self.digests.add(hashlib.sha256(sound).hexdigest())
        return sound

    def _upload(self):
        answer = self._client.post(f"{SESSIONS}/", content=self._sound()).raise_for_status()
        return answer.headers["Location"]

    def _cancel(self):
        self._client.post(f"{self._upload()}/cancel").raise_for_status()

    def _dictate(self):
        entry = {"rawTranscript": "two words", "cleanedText": "two words", "durationMs": 900}
        entry = self._client.post(HISTORY, json=entry).raise_for_status().json()["id"]
        link = self._client.post(f"{HISTORY}/audio/upload-url").raise_for_status().json()
        link = link["uploadUrl"]
        self._client.put(link, content=self._sound()).raise_for_status()
        storage_id = link.partition("?")[0].rpartition("/")[2]
        attached = self._client.post(f"{HISTORY}/{entry}/audio", json={"storageId": storage_id})
        attached.raise_for_status()
        if self._chance.random() < 0.6:
            self._client.delete(f"{HISTORY}/{entry}").raise_for_status()


@pytest.mark.long
@pytest.mark.parametrize("how", [(), ("--copy",)])
def test_backups_under_load_are_each_of_one_moment(tmp_path, how):
    data, made = tmp_path / "box", []
    filled(data, count=100, audio_bytes=500_000)
    started = {"SCRIBEBOX_MODEL": "absent", "SCRIBEBOX_PORT": "0"}
    with running("--data", str(data), **started) as box:
        key = (data / "admin.key").read_text().strip()
        load = [Load(box.url, key, seed) for seed in range(3)]
        try:
            for number in range(ARCHIVES):
                done = scribebox(
                    "backup", "create", tmp_path / f"a{number}", *how, "--data", data, "--json"
                )
                assert (done.returncode, done.stderr) == (0, "")
                made.append(json.loads(done.stdout)[0])
        finally:
            for one in load:
                one.stop()
        assert box.stop() in (0, -signal.SIGTERM)
        assert "Traceback" not in box.output
    digests = set().union(*(one.digests for one in load))
    print(sum(one.done for one in load), [(row["files"], row["linked"]) for row in made])
    digests |= set(named(data).values())
    for number in range(ARCHIVES):
        path = tmp_path / f"a{number}"
        assert scribebox("backup", "verify", path, "--data", data).returncode == 0
        elsewhere = tmp_path / f"box{number}"
        done = scribebox("backup", "restore", path, "--data", elsewhere)
        assert (done.returncode, done.stderr) == (0, "")
        assert state_of(elsewhere) == state_of(path)
        rows = named(elsewhere)
        assert {*rows.values()} <= digests
        for name, sha256 in rows.items():
            assert hashlib.sha256((elsewhere / name).read_bytes()).hexdigest() == sha256
        assert {f"audio/{one.name}" for one in (elsewhere / "audio").iterdir()} == rows.keys()
    with running("--data", str(elsewhere), **started) as box:
        key = (elsewhere / "admin.key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=box.url, headers=headers, trust_env=False) as client:
            answer = client.get(f"{SESSIONS}/").raise_for_status()
            total = len(state_of(path)["sessions"])
            assert int(answer.headers["X-Total-Count"]) == total
            for session in answer.json():
                sound = client.get(f"{SESSIONS}/{session['id']}/audio").raise_for_status().content
                assert hashlib.sha256(sound).hexdigest() in digests


def named(data):
    """Return the audio that rows name, with the digests they give."""
    with contextlib.closing(sqlite3.connect(data / "scribebox.db")) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(store.execute(
            "SELECT audio_path, audio_sha256 FROM session WHERE audio_path NOT NULL"
            " UNION SELECT path, sha256 FROM audio_file"))  # fmt: skip


@pytest.mark.long
def test_a_database_of_100_mb_is_copied_under_writes_in_about_a_second(tmp_path):
    folder = filled(tmp_path / "box", count=0)
    with contextlib.closing(sqlite3.connect(folder.database)) as store, store:
        store.execute("CREATE TABLE filling (x BLOB)")
        for _ in range(100_000):
            store.execute("INSERT INTO filling VALUES (randomblob(1000))")
    stop, took_ms = threading.Event(), []

    def keep_writing():
        with contextlib.closing(sqlite3.connect(folder.database, isolation_level=None)) as store:
            while not stop.is_set():
                began = time.monotonic()
                store.execute("BEGIN IMMEDIATE")
                store.execute(
                    "UPDATE filling SET x = randomblob(1000) WHERE rowid = 1 + abs(random()) % 1000"
                )
                store.execute("COMMIT")
                took_ms.append(1000 * (time.monotonic() - began))
                stop.wait(0.002)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        wait_until(lambda: len(took_ms) >= 300, "commits alone")
        alone = sorted(took_ms)
        before, began = len(took_ms), time.monotonic()
        done = scribebox("backup", "create", tmp_path / "a", "--data", folder.path)
        took_s = time.monotonic() - began
        beside = sorted(took_ms[before:])
    finally:
        stop.set()
        writer.join(WAIT_S)
    assert done.returncode == 0, done.stderr
    print(
        f"{took_s:.1f} s, start of the command included; commits p95 "
        f"{alone[int(0.95 * len(alone))]:.1f} ms alone, {beside[int(0.95 * len(beside))]:.1f} ms "
        f"beside it (most: {alone[-1]:.0f} and {beside[-1]:.0f})"
    )
