"""What the doctor finds: on healthy boxes, on broken ones, beside one that runs."""

import contextlib
import json
import os
import shlex
import socket
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from fake_deepgram import fake_deepgram
from recording_box import RecordingBox
from running_box import running, scribebox
from speech_fixtures import fixture
from virtual_microphone import VirtualMicrophone, missing

from api import cli
from appliance import (
    checkups_engine,
    checkups_machine,
    checkups_network,
    checkups_store,
    doctor,
    self_signed,
)
from appliance.archive import MANIFEST
from appliance.box import open_store
from appliance.finding import Finding, ok
from appliance.settings import Settings
from appliance.store.entities import Webhook

KEY = "0123456789abcdef-the-key-nobody-may-see"
WAIT_S = 60


def settings_of(data_dir, **more):
    return Settings(data_dir=data_dir, port=0, **more)


@pytest.fixture
def made(tmp_path):
    """Return the settings of a box that was started once and is not running."""
    settings = settings_of(tmp_path / "box")
    _, database, _ = open_store(settings)
    database.close()
    (settings.data_dir / "secret").write_text("00" * 32)
    (settings.data_dir / "secret").chmod(0o600)
    return settings


def findings(done):
    return {finding["check"]: finding for finding in json.loads(done.stdout)}


def state_of_files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_fresh_box_is_found_healthy_and_none_is_made(tmp_path):
    settings = {"SCRIBEBOX_PORT": "0", "SCRIBEBOX_MODEL": "tiny.en"}
    done = scribebox("doctor", "--json", "--data", tmp_path / "new", **settings)
    found = findings(done)
    assert done.returncode == 0, done.stdout
    assert list(found)[:4] == ["python", "time", "folder", "disk"]
    assert found["model"]["state"] == "ok" and found["decoder"]["state"] == "ok"
    assert not (tmp_path / "new" / "scribebox.db").exists()


@pytest.mark.parametrize("path", ["/proc/x", "/etc/hostname"])
def test_a_data_folder_that_can_not_be_is_found(path):
    assert checkups_machine.folder(settings_of(path)).state == "failed"


def test_a_data_folder_that_others_can_enter_is_found(tmp_path):
    tmp_path.chmod(0o755)
    found = checkups_machine.folder(settings_of(tmp_path))
    assert (found.state, found.mend) == ("warning", f"chmod 700 '{tmp_path}'")
    tmp_path.chmod(0o700)
    assert checkups_machine.folder(settings_of(tmp_path)).state == "ok"


def test_a_model_that_is_missing_or_of_another_language_is_found(tmp_path):
    found = checkups_engine.model(settings_of(tmp_path, model="large-v3"))
    assert found.state == "failed" and "scribebox models pull large-v3" in found.detail
    found = checkups_engine.model(settings_of(tmp_path, model="tiny.en", language="de"))
    assert found.state == "failed" and "English only" in found.detail


@pytest.mark.parametrize(("state", "status"), [("ok", 0), ("warning", 0), ("failed", 1)])
def test_only_what_has_failed_is_the_exit_code(tmp_path, monkeypatch, capsys, state, status):
    found = Finding("one", state, "detail", "the command that mends it")
    monkeypatch.setattr(doctor, "LOOKS", {"one": lambda _: found})
    assert cli.main(["doctor", "--data", str(tmp_path)]) == status
    assert "the command that mends it" in capsys.readouterr().out


def test_a_look_that_breaks_or_hangs_costs_the_others_nothing(tmp_path):
    go = threading.Event()

    def breaks(_):
        raise ValueError("two\nlines")

    def hangs(_):
        yield ok("hangs", "so far")
        go.wait(WAIT_S)

    looks = {"breaks": breaks, "hangs": hangs, "well": lambda _: ok("well", "fine")}
    found = doctor.examine(settings_of(tmp_path), looks, total_s=1.5)
    go.set()
    assert [(each.check, each.state) for each in found] == [
        ("breaks", "failed"), ("hangs", "ok"), ("hangs", "warning"), ("well", "ok"),
    ]  # fmt: skip
    assert found[0].detail == "two lines"


@pytest.mark.parametrize(
    ("now", "error_us", "state"),
    [
        (datetime(2026, 12, 1, tzinfo=UTC), 5000, "ok"),
        (datetime(2026, 12, 1, tzinfo=UTC), 16_000_000, "warning"),
        (datetime(2026, 12, 1, tzinfo=UTC), None, "skipped"),
        (datetime(1970, 1, 2, tzinfo=UTC), 5000, "failed"),
    ],
)
def test_a_clock_that_nobody_sets_is_found(tmp_path, monkeypatch, now, error_us, state):
    monkeypatch.setattr(checkups_machine, "clock_error_us", lambda: error_us)
    found = checkups_machine.time(settings_of(tmp_path), now)
    assert found.state == state
    assert (found.mend == "") == (state in ("ok", "skipped"))


def test_the_kernel_is_asked_how_well_the_clock_is_set():
    error_us = checkups_machine.clock_error_us()
    assert error_us is None or error_us >= 0


def test_too_little_room_is_found(tmp_path):
    assert checkups_machine.disk(settings_of(tmp_path)).state in ("ok", "warning")
    full = checkups_machine.disk(settings_of(tmp_path, disk_refuse_bytes=1 << 50))
    assert full.state == "failed" and "no recording begins" in full.detail


def test_a_sound_database_is_looked_at_whole_and_left_as_it_is(made):
    before = state_of_files(made.data_dir)
    found = checkups_store.database(made)
    assert found.state == "ok", found
    assert state_of_files(made.data_dir) == before


def test_the_database_of_a_running_box_is_looked_at_with_what_is_not_in_the_file_yet(tmp_path):
    settings = settings_of(tmp_path)
    _, database, _ = open_store(settings)
    assert (tmp_path / "scribebox.db-wal").stat().st_size > 0
    assert checkups_store.database(settings).state == "ok"
    with database.write() as session:
        values = {"url": "https://a.example", "events": [], "secret": b"x"}
        gone = {"enabled": False, "disabled_because": "gone"}
        session.add(Webhook(account_id=1, **values, **gone))
        session.add(Webhook(account_id=1, **values))
    found = checkups_store.webhooks(settings)
    database.close()
    assert (found.state, found.detail) == ("warning", "endpoints were disabled: 1 (gone)")
    assert "a.example" not in str(found)


def test_a_damaged_database_is_found(made):
    path = made.data_dir / "scribebox.db"
    content = bytearray(path.read_bytes())
    for page in range(3, len(content) // 4096, 2):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(content)
    found = checkups_store.database(made)
    assert found.state == "failed" and "restore" in found.mend
    path.write_bytes(b"no database at all, but long enough for a head" * 10)
    assert checkups_store.database(made).state == "failed"


def test_rows_without_their_owner_are_found(made):
    with contextlib.closing(sqlite3.connect(made.data_dir / "scribebox.db")) as other:
        other.execute("INSERT INTO vocabulary VALUES (99, '[]', '[]')")
        other.commit()
    found = checkups_store.database(made)
    assert found.state == "failed" and "vocabulary" in found.detail


def test_a_database_too_large_to_be_looked_at_whole_is_given_up(made, monkeypatch):
    monkeypatch.setattr(checkups_store, "LOOKS_S", -1.0)
    monkeypatch.setattr(checkups_store, "LOOK_EVERY", 1)
    found = checkups_store.database(made)
    assert found.state == "warning" and "integrity_check" in found.mend


def test_what_others_can_read_is_found_with_the_command_that_mends_it(made):
    assert checkups_store.permissions(made).state == "ok"
    secret = made.data_dir / "secret"
    secret.chmod(0o644)
    found = checkups_store.permissions(made)
    assert found.state == "warning"  # the folder is closed
    made.data_dir.chmod(0o755)
    found = checkups_store.permissions(made)
    assert (found.state, found.mend) == ("failed", f"chmod 600 '{secret}'")
    secret.chmod(0o600)
    config = made.data_dir / "scribebox.toml"
    config.write_text("port = 8080\n")
    config.chmod(0o644)
    assert checkups_store.permissions(made).state == "ok"  # there is no secret in it
    config.write_text(f'deepgram_api_key = "{KEY}"\n')
    assert checkups_store.permissions(made).state == "failed"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_that_the_box_can_not_read_is_found(made):
    os.chown(made.data_dir / "secret", 12345, 12345)
    found = checkups_store.permissions(made)
    assert found.state == "failed" and found.mend.startswith("sudo chown 0 ")


def test_the_newest_backup_and_its_age_are_told(made):
    assert checkups_store.backup(made).state == "warning"  # there is none
    folder = made.data_dir / "backups"
    for name in (
        "nightly-20261101T020000Z",
        "nightly-20261103T020000Z",
        "nightly-20261104T020000Z",
    ):
        (folder / name).mkdir(parents=True)
    for name in ("nightly-20261101T020000Z", "nightly-20261103T020000Z"):
        (folder / name / MANIFEST).touch()
    at = datetime(2026, 11, 3, 2, tzinfo=UTC)
    fresh = checkups_store.backup(made, at + timedelta(hours=20))
    assert fresh.state == "ok" and "20 hours old" in fresh.detail
    old = checkups_store.backup(made, at + timedelta(days=3))
    assert old.state == "warning" and "scribebox backup create" in old.mend
    off = made.model_copy(update={"backup_keep": 0})
    assert checkups_store.backup(off, at + timedelta(days=3)).state == "ok"


def test_a_port_that_somebody_else_holds_is_found(tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        found = checkups_network.port(Settings(data_dir=tmp_path, port=port))
        assert found.state == "failed" and "SCRIBEBOX_PORT" in found.mend
        said = {"pid": os.getpid(), "purpose": "serve", "url": f"http://127.0.0.1:{port}"}
        (tmp_path / "lock").write_text(json.dumps(said))
        assert checkups_network.port(Settings(data_dir=tmp_path, port=port)).state == "ok"


def certificate(folder, monkeypatch, valid=timedelta(days=900)):
    monkeypatch.setattr(self_signed, "VALID", valid)
    self_signed.make(folder, ["box.lan"])
    return folder / "cert.pem", folder / "key.pem"


def test_a_certificate_is_told_by_its_names_and_the_days_it_has_left(tmp_path, monkeypatch):
    cert, key = certificate(tmp_path / "mine", monkeypatch)
    settings = settings_of(tmp_path, host="0.0.0.0", tls_cert=cert, tls_key=key)
    monkeypatch.setattr(checkups_network, "own_addresses", frozenset)
    monkeypatch.setattr(checkups_network.socket, "gethostname", lambda: "other")
    strange = checkups_network.certificate(settings)
    assert strange.state == "warning" and "none of this machine's names" in strange.detail
    settings = settings.model_copy(update={"allowed_hosts": ("box.lan",)})
    found = checkups_network.certificate(settings)
    assert found.state == "ok" and "box.lan" in found.detail and " days left" in found.detail
    soon = datetime.now(UTC) + timedelta(days=895)
    assert checkups_network.certificate(settings, soon).state == "warning"
    late = checkups_network.certificate(settings, soon + timedelta(days=6))
    assert late.state == "failed" and "expired" in late.detail
    early = checkups_network.certificate(settings, soon - timedelta(days=900))
    assert early.state == "failed" and "clock" in early.detail


def test_a_certificate_without_its_key_is_found(tmp_path, monkeypatch):
    cert, _ = certificate(tmp_path / "mine", monkeypatch)
    _, other = certificate(tmp_path / "other", monkeypatch)
    settings = settings_of(tmp_path, host="0.0.0.0", tls_cert=cert, tls_key=other)
    assert checkups_network.certificate(settings).state == "failed"
    cert.write_text("nothing of the kind")
    assert checkups_network.certificate(settings).state == "failed"


def test_the_self_signed_certificate_is_told_by_its_fingerprint(tmp_path, monkeypatch):
    settings = settings_of(tmp_path, host="0.0.0.0")
    found = checkups_network.certificate(settings)
    assert found.state == "ok" and "next start" in found.detail
    assert not (tmp_path / "tls").exists()
    certificate(tmp_path / "tls", monkeypatch)
    assert "SHA-256" in checkups_network.certificate(settings).detail
    assert checkups_network.certificate(settings_of(tmp_path)).detail.startswith("none is needed")


@pytest.mark.parametrize(
    ("behave", "state", "said"),
    [
        ("200", "ok", "gives tokens"),
        ("401", "failed", "refused"),
        ("403", "failed", "Member"),
        ("500", "warning", "unreachable"),
    ],
)
def test_the_cloud_is_asked_for_a_token_and_its_key_is_never_shown(tmp_path, behave, state, said):
    with fake_deepgram() as cloud:
        cloud.behave = behave
        url = {"deepgram_url": cloud.url, "deepgram_api_key": KEY}
        found = checkups_network.cloud(settings_of(tmp_path, **url))
    assert found.state == state and said in found.detail
    assert KEY not in str(found) and cloud.requests[0][2]["authorization"] == f"Token {KEY}"


def test_a_failover_without_a_key_is_warned_of(tmp_path):
    found = checkups_network.cloud(settings_of(tmp_path, failover="when-down"))
    assert found.state == "warning" and "SCRIBEBOX_DEEPGRAM_API_KEY" in str(found)


def test_without_a_key_no_cloud_is_asked(tmp_path):
    assert checkups_network.cloud(settings_of(tmp_path)).state == "ok"


needs_a_microphone = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def sound(microphone, data, **more) -> dict[str, Finding]:
    done = scribebox(
        "doctor", "--json", "--data", data, SCRIBEBOX_MODEL="tiny.en", **microphone.environment,
        **more,
    )  # fmt: skip
    return findings(done)


@pytest.mark.long
@needs_a_microphone
def test_the_level_of_the_microphone_is_told_and_silence_is_a_warning(tmp_path):
    with VirtualMicrophone() as microphone:
        silent = sound(microphone, tmp_path)
        assert silent["microphone"]["state"] == "ok"
        assert silent["level"]["state"] == "warning" and "unmute" in silent["level"]["mend"]
        command = ["paplay", "--device=mic", str(fixture("meeting").path)]
        with subprocess.Popen(command, env={**os.environ, **microphone.environment}) as player:
            heard = sound(microphone, tmp_path)
            player.kill()
        assert heard["level"]["state"] == "ok" and "dBFS" in heard["level"]["detail"]
        wrong = sound(microphone, tmp_path, SCRIBEBOX_INPUT_DEVICE="Jabra")
        assert wrong["microphone"]["state"] == "failed" and "level" not in wrong


@pytest.mark.long
@needs_a_microphone
def test_a_recording_that_runs_keeps_its_microphone(tmp_path):
    with VirtualMicrophone() as microphone, RecordingBox(tmp_path / "box", microphone) as box:
        number = box.start()
        box.wait_for_seconds(number, 1)
        found = sound(microphone, tmp_path / "box")
        assert found["level"]["state"] == "skipped" and found["database"]["state"] == "ok"
        box.stop(number)
        assert box.wait_for_state(number, "done")["gaps"] == []


@pytest.mark.long
def test_beside_a_running_box_all_is_well(tmp_path):
    with running("--port", "0", "--data", str(tmp_path), SCRIBEBOX_MODEL="tiny.en") as box:
        port = box.url.rpartition(":")[2]
        done = scribebox(
            "doctor", "--json", "--data", tmp_path, SCRIBEBOX_MODEL="tiny.en", SCRIBEBOX_PORT=port
        )
        box.stop()
    assert done.returncode == 0, done.stdout
    assert "the box itself" in findings(done)["port"]["detail"]


def test_a_backup_that_was_made_is_found_and_the_advice_without_one_makes_one(made):
    none = checkups_store.backup(made)
    assert none.state == "warning"
    told = none.mend.replace("scribebox", f"{shlex.quote(sys.executable)} -m api.cli", 1)
    subprocess.run(["sh", "-c", told], check=True, capture_output=True, timeout=240)
    assert checkups_store.backup(made).state == "ok"


def test_a_secret_that_can_not_be_used_is_a_failure(made):
    secret = made.data_dir / "secret"
    secret.write_text("xx")
    secret.chmod(0o600)
    found = checkups_store.permissions(made)
    assert found.state == "failed" and "secret" in found.detail
