"""What is told to systemd, and that nothing happens where there is none."""

import os
import socket
import subprocess
import sys

import pytest
from service_manager import ServiceManager

from api import notify


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_assignments_come_in_one_message(tmp_path, monkeypatch, kind):
    address = str(tmp_path / "notify") if kind == "path" else f"@scribebox-test-{os.getpid()}"
    with ServiceManager(address) as systemd:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify.notify(notify.READY, notify.status("at home;\n two recordings"))
        assert systemd.read() == ["READY=1", "STATUS=at home; two recordings"]
        notify.notify(notify.more_time(1.5))
        assert systemd.read() == ["EXTEND_TIMEOUT_USEC=1500000"]


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "/no/such/socket", "@nobody", "x"])
def test_without_a_listener_nothing_happens(monkeypatch, address):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert notify.is_listening() == bool(address)
    notify.notify(notify.READY)


def test_a_listener_that_does_not_read_is_not_waited_for(tmp_path, monkeypatch):
    address = str(tmp_path / "full")
    monkeypatch.setattr(notify, "SEND_S", 0.01)
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with (
        ServiceManager(address) as systemd,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other,
    ):
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                other.sendto(b"x", address)
        notify.notify(notify.ALIVE)
        assert notify.ALIVE not in systemd.lines()


@pytest.mark.parametrize(
    ("usec", "pid", "interval_s"),
    [
        (None, None, None),
        ("30000000", None, 30.0),
        ("30000000", str(os.getpid()), 30.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
    ],
)
def test_the_interval_of_the_watchdog_is_read_from_the_environment(
    monkeypatch, usec, pid, interval_s
):
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert notify.watchdog_interval_s() == interval_s


def test_children_do_not_learn_of_it(monkeypatch, tmp_path):
    from engine.audio import bare_environment

    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    code = "import os; print(os.environ.get('NOTIFY_SOCKET'))"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=bare_environment(), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.strip() == "None"
