"""The doctor's looks at the microphone: PortAudio, the devices, and what can be heard."""

from collections.abc import Iterator
from pathlib import Path

from appliance.finding import Finding, failed, ok, skipped, warning
from appliance.settings import Settings
from engine import level_check, microphone
from engine.errors import MicrophoneUnavailable
from engine.journal import capture_pid
from engine.levels import FLOOR_DBFS, QUIET_DBFS
from engine.microphone import Device, find

CLIPPED_SHARE = 0.001
UNMUTE = (
    "unmute it and turn it up (alsamixer, then F4), or choose another one of scribebox devices "
    "with SCRIBEBOX_INPUT_DEVICE"
)


def sound(settings: Settings) -> Iterator[Finding]:
    """Look at all of it, one after the other: devices can't be listed while one is being opened."""
    if is_recording(settings.data_dir / "recordings"):
        yield ok("microphone", "in use: a recording runs")
        yield skipped("level", "the microphone is left to the recording that runs")
        return
    try:
        devices = microphone.devices()
    except MicrophoneUnavailable as error:
        said, _, mend = str(error).partition(": sudo ")
        yield warning("microphone", said, f"sudo {mend}" if mend else "")
        return
    names = ", ".join(device.name for device in devices)
    if not devices:
        mend = "plug one in; if there is one: sudo usermod -aG audio $USER, then log in again"
        yield warning("microphone", "there is no input device", mend)
        return
    if settings.input_device is not None and not is_there(devices, settings.input_device):
        said = f"there is no {settings.input_device!r} (input_device); there are: {names}"
        yield failed("microphone", said, "choose one of scribebox devices")
        return
    yield ok("microphone", names)
    yield level(settings.input_device)


def is_recording(folder: Path) -> bool:
    """Tell whether a capture holds a microphone, with a server or without one."""
    journals = [journal for journal in folder.glob("*") if journal.is_dir()]
    try:
        return any(capture_pid(journal) is not None for journal in journals)
    except TimeoutError:
        return True  # one is about to begin


def is_there(devices: list[Device], name: str) -> bool:
    """Tell whether a recording would find this microphone."""
    try:
        find(list(enumerate(devices)), name)
    except MicrophoneUnavailable:
        return False
    return True


def level(name: str | None) -> Finding:
    """Record for a second and tell how loud it was."""
    try:
        heard = level_check.measure(name)
    except MicrophoneUnavailable as error:
        return warning("level", str(error), "scribebox devices")
    said = f"{heard.device} gives {heard.dbfs:.0f} dBFS at {heard.rate} Hz"
    if heard.dbfs <= FLOOR_DBFS:
        return warning("level", f"{heard.device} is silent: it gives nothing but zeros", UNMUTE)
    if heard.dbfs < QUIET_DBFS:
        return warning("level", f"{said}: hardly anything", UNMUTE)
    if heard.clipped > CLIPPED_SHARE:
        return warning("level", f"{said} and is clipped: too loud", "turn it down: alsamixer, F4")
    return ok("level", said)
