"""The doctor's looks at the machine: interpreter, clock, data folder, disk."""

import ctypes
import os
import platform
import shlex
import shutil
import sqlite3
import sys
from datetime import UTC, datetime

from appliance.finding import Finding, failed, ok, skipped, warning
from appliance.settings import Settings

LOW_DISK_BYTES = 2_000_000_000
OLDEST_PYTHON = (3, 11)
BUILT = datetime(2026, 11, 1, tzinfo=UTC)  # a clock before that is wrong
UNKNOWN_US = 16_000_000  # the error that the kernel assumes of a clock that nobody sets


def python(_: Settings) -> Finding:
    """Look at the interpreter."""
    found = f"{platform.python_version()} on {platform.machine()}, SQLite {sqlite3.sqlite_version}"
    if sys.version_info < OLDEST_PYTHON:
        return failed("python", f"{found} is too old", "sudo apt install python3.11-venv")
    return ok("python", found)


def time(_: Settings, now: datetime | None = None) -> Finding:
    """Look whether the clock can be right, and whether something keeps it so."""
    now = now or datetime.now(UTC)
    if now < BUILT:
        said = f"the clock says {now:%Y-%m-%d}, before this version was made"
        return failed("time", said, "sudo timedatectl set-ntp true")
    error_us = clock_error_us()
    if error_us is None:
        return skipped("time", f"{now:%Y-%m-%d %H:%M} UTC; the kernel tells nothing of it")
    if error_us >= UNKNOWN_US:
        said = "nothing sets the clock: times will drift, and TLS and signatures fail in the end"
        return warning("time", said, "sudo timedatectl set-ntp true")
    return ok("time", f"{now:%Y-%m-%d %H:%M} UTC, set to within {error_us / 1000:.0f} ms")


class Timex(ctypes.Structure):
    """The beginning of what adjtimex(2) tells, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maximal_error", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),
    )


def clock_error_us() -> int | None:
    """Return by how much the clock may be wrong, as the kernel knows it; None if it doesn't say."""
    told = Timex()  # modes 0: nothing is set
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(told))
    except (OSError, AttributeError):
        return None
    return int(told.maximal_error) if state >= 0 else None


def folder(settings: Settings) -> Finding:
    """Look whether the data folder can be written, and read by its owner only."""
    path = settings.data_dir
    if path.exists() and not path.is_dir():
        return failed("folder", f"{path} is a file", "choose a folder with SCRIBEBOX_DATA_DIR")
    if not path.exists():
        above = path.parent
        while not above.exists():
            above = above.parent
        if os.access(above, os.W_OK | os.X_OK) and above.stat().st_dev != os.stat("/proc").st_dev:
            return ok("folder", f"{path} will be made at the first start")
        mend = "choose another with SCRIBEBOX_DATA_DIR"
        return failed("folder", f"{path} can't be made in {above}", mend)
    if not os.access(path, os.W_OK | os.X_OK):
        owner = path.stat().st_uid
        mend = f"sudo -u '#{owner}' scribebox doctor --data {shlex.quote(str(path))}"
        if owner == os.getuid():
            mend = f"chmod 700 {shlex.quote(str(path))}"
        return failed("folder", f"{path} can't be written; it is of user {owner}", mend)
    if path.stat().st_mode & 0o077:
        said = f"others of this machine can look into {path}"
        return warning("folder", said, f"chmod 700 '{path}'")
    return ok("folder", str(path))


def disk(settings: Settings) -> Finding:
    """Look at the room for audio."""
    path = settings.data_dir
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free
    mend = "delete old sessions, or choose another disk with SCRIBEBOX_DATA_DIR"
    if free < settings.disk_refuse_bytes:
        said = f"only {free // 10**6} MB free: no upload and no recording begins"
        return failed("disk", said, mend)
    if free < LOW_DISK_BYTES:
        return warning("disk", f"only {free // 10**6} MB free", mend)
    return ok("disk", f"{free // 10**9} GB free")
