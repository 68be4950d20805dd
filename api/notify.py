"""Tell systemd how the service is: the protocol of sd_notify(3), which is a datagram to a socket.

Where nobody listens, nothing happens; a message that can't be sent is no reason to stop.
"""

import contextlib
import os
import socket

SOCKET, INTERVAL, WATCHED = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
SEND_S = 1.0  # systemd reads at once, unless the machine is in trouble
READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"


def notify(*assignments: str) -> None:
    """Send assignments such as READY=1, all in one message."""
    address = os.environ.get(SOCKET, "")
    if not address.startswith(("/", "@")):  # nobody listens, or not on a Unix socket
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # of the abstract namespace
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
    ):
        sender.settimeout(SEND_S)
        sender.sendto("\n".join(assignments).encode(), address)


def status(text: str) -> str:
    """Return the assignment that `systemctl status` shows, on one line."""
    return "STATUS=" + " ".join(text.split())


def more_time(seconds: float) -> str:
    """Return the assignment that asks for so much more time to start or to stop."""
    return f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}"


def is_listening() -> bool:
    """Tell whether there is somebody to tell."""
    return bool(os.environ.get(SOCKET))


def watchdog_interval_s() -> float | None:
    """Return how long systemd waits for a sign of life; None if it waits for none of ours."""
    interval, watched = os.environ.get(INTERVAL, ""), os.environ.get(WATCHED)
    if not interval.isdecimal() or int(interval) == 0:
        return None
    if watched is not None and watched != str(os.getpid()):
        return None
    return int(interval) / 1e6
