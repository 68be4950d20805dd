"""Look at everything the box needs, and say for what is missing which command mends it."""

import os
import platform
import shutil
import socket
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from appliance.errors import SettingRefused
from appliance.settings import LOOPBACK, Settings
from engine.audio import SAMPLE_RATE, read
from engine.models import Shelf
from engine.whisper import Hardware, check_language, cuda_devices

LOW_DISK_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look gave: ok, a warning (the box works without) or a failure."""

    check: str
    state: str  # "ok", "warning" or "failed"
    detail: str
    mend: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Carry out every check; one that breaks is a failure, never a trace."""
    checks: list[Callable[[Settings], Finding]] = [
        python, folder, disk, database, decoder, model, hardware, microphone, port,
    ]  # fmt: skip
    findings = []
    for check in checks:
        try:
            findings.append(check(settings))
        except Exception as error:  # a look must never end the examination
            findings.append(Finding(check.__name__, "failed", str(error)))
    return findings


def python(_: Settings) -> Finding:
    """Check the interpreter."""
    found = f"{platform.python_version()} on {platform.machine()}"
    return Finding("python", "ok", found)


def folder(settings: Settings) -> Finding:
    """Check that the data folder can be written and read by its owner only."""
    path = settings.data_dir
    if path.exists() and not path.is_dir():
        return Finding(
            "folder", "failed", f"{path} is a file", "choose a folder with SCRIBEBOX_DATA_DIR"
        )
    if not path.exists():
        above = path.parent
        while not above.exists():
            above = above.parent
        if os.access(above, os.W_OK | os.X_OK) and above.stat().st_dev != os.stat("/proc").st_dev:
            return Finding("folder", "ok", f"{path} will be made at the first start")
        mend = "choose another with SCRIBEBOX_DATA_DIR"
        return Finding("folder", "failed", f"{path} can't be made in {above}", mend)
    if not os.access(path, os.W_OK | os.X_OK):
        return Finding(
            "folder", "failed", f"{path} can't be written", f"chown {os.getuid()} {path}"
        )
    if path.stat().st_mode & 0o077:
        return Finding(
            "folder", "warning", f"others of this machine can look into {path}", f"chmod 700 {path}"
        )
    return Finding("folder", "ok", str(path))


def disk(settings: Settings) -> Finding:
    """Check the room for audio."""
    path = settings.data_dir
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free
    if free < LOW_DISK_BYTES:
        mend = "delete old sessions, or choose another disk with SCRIBEBOX_DATA_DIR"
        return Finding("disk", "warning", f"only {free // 10**6} MB free", mend)
    return Finding("disk", "ok", f"{free // 10**9} GB free")


def database(settings: Settings) -> Finding:
    """Check the file without changing it."""
    path = settings.data_dir / "scribebox.db"
    if not path.exists():
        return Finding("database", "ok", "will be made at the first start")
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as connection:
        said = connection.execute("PRAGMA quick_check").fetchone()[0]
    connection.close()
    if said != "ok":
        return Finding("database", "failed", f"is damaged: {said}", "restore a backup")
    return Finding("database", "ok", f"{path.stat().st_size // 1000} kB, sound")


def decoder(_: Settings) -> Finding:
    """Decode the sample in a child process."""
    with as_file(files("appliance").joinpath("sample", "welcome.flac")) as path:
        seconds = len(read(Path(path))) / SAMPLE_RATE
    return Finding("decoder", "ok", f"the sample of {seconds:.1f} s decodes")


def model(settings: Settings) -> Finding:
    """Check the files of the model that would be loaded."""
    found = Shelf(settings.data_dir / "models").find(settings.model)
    check_language(found, settings.language)
    found.verify()
    languages = "English only" if found.english_only else "many languages"
    return Finding("model", "ok", f"{found.name} ({languages}), every digest right")


def hardware(settings: Settings) -> Finding:
    """Tell what the model runs on."""
    if settings.device == "cuda" and not cuda_devices():
        return Finding(
            "hardware", "failed", "device is cuda, and there is none", "set SCRIBEBOX_DEVICE=auto"
        )
    found = Hardware(settings.device, settings.threads).resolved()
    cores = len(os.sched_getaffinity(0))
    return Finding("hardware", "ok", f"{found.device}, {found.threads} threads of {cores} cores")


def microphone(_: Settings) -> Finding:
    """Look for PortAudio and an input device."""
    try:
        import sounddevice
    except OSError:
        mend = "sudo apt install libportaudio2"
        return Finding("microphone", "warning", "PortAudio is missing", mend)
    names = [d["name"] for d in sounddevice.query_devices() if d["max_input_channels"] > 0]
    if not names:
        return Finding("microphone", "warning", "no input device", "plug a microphone in")
    return Finding("microphone", "ok", ", ".join(names))


def port(settings: Settings) -> Finding:
    """Check that the port can be had, or that the box holds it already."""
    if settings.host not in LOOPBACK and settings.tls_cert is None:
        raise SettingRefused("beyond loopback without TLS")
    kind = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            return Finding(
                "port",
                "warning",
                f"{settings.host}:{settings.port} can't be had: {error.strerror}",
                "fine if the box runs; else choose another: SCRIBEBOX_PORT=8081",
            )
    return Finding("port", "ok", f"{settings.host}:{settings.port} is free")
