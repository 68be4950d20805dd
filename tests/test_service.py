"""The unit: as strict as it is said to be, whole once installed, and the box runs under it."""

import ctypes.util
import itertools
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
import running_box
from recording_box import RECORDINGS, SESSIONS, RecordingBox
from service_manager import ServiceManager
from speech_fixtures import SPEECH
from virtual_microphone import VirtualMicrophone, missing

from api.notify import READY
from appliance.addresses import own_addresses

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "systemd" / "scribebox.service"
MOST_EXPOSED = 20  # tenths
USER = 64_321  # nobody has this number
WAIT_S = 120
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is missing: apt install systemd"
)


def run(*command, **more):
    """Run a command that must not wait for anybody."""
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=WAIT_S, check=False, **more
    )


def settings():
    """Return the lines of the unit that set something."""
    lines = UNIT.read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "["))]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install below a folder; put a stand-in where the environment would have its command."""
    folder = tmp_path_factory.mktemp("installed")
    done = run("make", "-C", ROOT, "install-service", f"DESTDIR={folder}")
    assert done.returncode == 0, done.stderr
    command = folder / "opt/scribebox/.venv/bin/scribebox"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    return folder


@needs_systemd
def test_the_installed_unit_is_verified_without_a_word(installed):
    targets = installed / "usr/lib/systemd/system"  # of the machine that the folder stands for
    targets.mkdir(parents=True)
    for path in Path("/lib/systemd/system").glob("*.target"):
        shutil.copy(path, targets)
    done = run("systemd-analyze", "verify", f"--root={installed}", "scribebox.service")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
def test_it_is_exposed_to_2_of_10_at_most():
    done = run(
        "systemd-analyze", "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", UNIT
    )  # fmt: skip
    said = done.stdout.splitlines()[-1]
    assert done.returncode == 0, said
    assert float(re.search(r"(\d+\.\d) OK", said)[1]) <= MOST_EXPOSED / 10


def test_the_microphone_can_be_reached():
    lines = settings()
    for line in ("DeviceAllow=char-alsa rw", "SupplementaryGroups=audio", "DevicePolicy=closed"):
        assert line in lines
    names = {line.partition("=")[0] for line in lines}
    assert not names & {"PrivateDevices", "PrivateUsers", "MemoryDenyWriteExecute", "RemoveIPC"}


def test_a_capture_outlives_a_crash_and_no_start_is_the_last():
    lines = settings()
    for line in (
        "KillMode=process", "OOMPolicy=continue", "Restart=on-failure", "RestartSec=2",
        "StartLimitIntervalSec=0", "TimeoutStopSec=30", "Type=notify", "NotifyAccess=main",
        "WatchdogSec=30", "StateDirectory=scribebox", "StateDirectoryMode=0700",
    ):  # fmt: skip
        assert line in lines


def test_every_line_that_confines_has_its_reason():
    lines = UNIT.read_text().splitlines()
    confining = lines[lines.index("UMask=0077") : lines.index("[Install]")]
    for before, line in itertools.pairwise(lines):
        if line in confining and not line.startswith("#") and line:
            assert before.startswith("# "), line


def test_what_is_installed_is_all_that_is_needed_and_readable_by_all(installed):
    target = installed / "opt/scribebox"
    for path in ("api/cli.py", "engine/decoder.py", "appliance/sample/welcome.flac", ".ci/prepare"):
        assert (target / path).is_file()
    assert list((target / "appliance/store/steps").glob("*.sql"))
    assert not list(target.rglob("__pycache__"))
    for path in (target, *target.rglob("*")):
        wanted = 0o755 if path.is_dir() else 0o444
        assert path.stat().st_mode & wanted == wanted, path
    link = installed / "usr/local/bin/scribebox"
    assert str(link.readlink()) == "/opt/scribebox/.venv/bin/scribebox"


def test_installing_again_replaces_the_code_and_keeps_the_environment(installed):
    target = installed / "opt/scribebox"
    left_over = target / "api" / "of_an_older_version.py"
    left_over.touch()
    before = sorted(path.name for path in target.iterdir())
    done = run("make", "-C", ROOT, "install-service", f"DESTDIR={installed}")
    assert done.returncode == 0, done.stderr
    assert not left_over.exists()
    assert (target / ".venv/bin/scribebox").exists()
    assert sorted(path.name for path in target.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_without_root_nothing_is_installed():
    done = run("sh", ROOT / "systemd" / "install")
    assert done.returncode == 1 and "sudo make install-service" in done.stderr


@needs_systemd
@pytest.mark.skipif(os.geteuid() != 0, reason="making users needs root")
def test_the_user_may_use_the_microphone_and_owns_what_is_kept(installed):
    for program in (("systemd-sysusers",), ("systemd-tmpfiles", "--create")):
        done = run(*program, f"--root={installed}", "scribebox.conf")
        assert done.returncode == 0, done.stderr
    user = (installed / "etc/passwd").read_text().partition("scribebox:x:")[2].split(":")
    groups = (installed / "etc/group").read_text().splitlines()
    assert any(re.fullmatch(r"audio:x:\d+:scribebox", line) for line in groups)
    kept = (installed / "var/lib/scribebox").stat()
    assert (kept.st_mode & 0o777, kept.st_uid) == (0o700, int(user[0]))
    secrets = (installed / "etc/scribebox").stat()
    assert (secrets.st_mode & 0o777, secrets.st_uid, secrets.st_gid) == (0o750, 0, int(user[1]))


def test_the_guide_names_only_what_is_there():
    guide = (ROOT / "systemd" / "README.md").read_text()
    for name in re.findall(r"\| `([\w.]+)` \|", guide):
        assert (ROOT / "systemd" / name).is_file(), name
    assert {path.name for path in (ROOT / "systemd").iterdir()} - {"README.md"} == set(
        re.findall(r"\| `([\w.]+)` \|", guide)
    )
    for line in ("LoadCredential=deepgram_api_key:", "LoadCredentialEncrypted=deepgram_api_key:"):
        assert line in guide


def reason_not_to_confine():
    """Return why the unit's restrictions can't be had here, None if they can."""
    if missing():
        return missing()
    if os.geteuid() != 0:
        return "confining needs root"
    if shutil.which("systemd-analyze") is None:
        return "systemd is missing: apt install systemd"
    if ctypes.util.find_library("seccomp") is None:
        return "libseccomp is missing: apt install libseccomp2"
    made = run("unshare", "--mount", "--uts", "mount", "-t", "tmpfs", "tmpfs", "/mnt")
    return f"no namespaces can be made here: {made.stderr}" if made.returncode else None


def confined(state):
    """Return what to put before a command so that it runs as the unit lets it."""
    return (sys.executable, str(ROOT / "tests/confined.py"), str(UNIT), str(USER), str(state))


@pytest.mark.long
def test_the_box_does_all_it_does_under_the_unit(monkeypatch):
    if why := reason_not_to_confine():
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(dir="/run", prefix="scribebox-test-"))  # /tmp is private there
    folder.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    state = folder / "state"
    state.mkdir(mode=0o700)
    os.chown(state, USER, USER)
    monkeypatch.setattr(running_box, "SCRIBEBOX", (*confined(state), *running_box.SCRIBEBOX))
    notify = folder / "notify"
    try:
        with ServiceManager(str(notify)) as systemd, VirtualMicrophone() as microphone:
            notify.chmod(0o666)
            microphone.folder.chmod(0o755)
            live_through(state, microphone, systemd, str(notify))
        open_to_the_network(state / "open")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def live_through(state, microphone, systemd, address):
    """Let a confined box decode, record, crash, adopt, and stop."""
    more = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000"}
    with RecordingBox(state / "box", microphone, **more) as box:
        systemd.wait_for(READY)
        devices = box.client.get(f"{RECORDINGS}/devices").json()
        assert [device["default"] for device in devices].count(True) == 1
        sample = SPEECH / "dictation.flac"
        answer = box.client.post(
            f"{SESSIONS}/?wait=true", content=sample.read_bytes(), timeout=WAIT_S
        )
        assert answer.status_code == 201, answer.text
        number = box.start()
        box.play(sample)
        box.wait_for_seconds(number, 4)
        box.kill()
        box.up()
        systemd.wait_for(READY)
        box.wait_for_seconds(number, 7)
        box.stop(number)
        done = box.wait_for_state(number, "done")
        assert done["gaps"] == [] and "finance" in box.session_of(number)["originalTranscript"]
        number = box.start()
        box.wait_for_seconds(number, 2)
        assert box.kill(signal.SIGTERM) == -signal.SIGTERM
        assert "Traceback" not in "".join(box.outputs)
    owners = {path.stat().st_uid for path in (state / "box").rglob("*")}
    assert owners == {USER}


def open_to_the_network(data):
    """Let a confined box make its certificate, which needs the machine's addresses."""
    arguments = ("--host", "0.0.0.0", "--port", "0", "--data", str(data))
    with running_box.running(*arguments, SCRIBEBOX_MODEL="absent") as box:
        port = box.url.rpartition(":")[2]
        trusted = ssl.create_default_context(cafile=str(data / "tls" / "cert.pem"))
        for address in own_addresses():
            if address.version == 4:
                url = f"https://{address}:{port}/health"
                with httpx.Client(verify=trusted, trust_env=False) as client:
                    assert client.get(url).json()["status"] == "degraded"
