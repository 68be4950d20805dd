"""Listen to a microphone for a second: `python -m engine.level_check [NAME]` in a child process.

The same way in as a recording has, so what is heard here would be recorded. A child, because
PortAudio may hang, and because a list of devices is that of the process.
"""

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine.capture import quiet_libraries
from engine.errors import MicrophoneUnavailable
from engine.levels import FULL_SCALE, dbfs_of
from engine.microphone import open_stream, sound_environment
from engine.watch import FIRST_BLOCK_S

LISTENS_S = 1.0
TOTAL_S = 7.0


@dataclass(frozen=True, slots=True)
class Level:
    """What came from a microphone: its mean level in dBFS, and the share at full scale."""

    device: str
    rate: int  # Hz
    seconds: float
    dbfs: float
    clipped: float


def measure(name: str | None, timeout_s: float = TOTAL_S) -> Level:
    """Return what a microphone gives, asked in a new process; raise MicrophoneUnavailable."""
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-m", "engine.level_check", *([name] if name else [])],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            env=sound_environment(),
            check=False,
        )
        told = json.loads(child.stdout)
    except subprocess.TimeoutExpired as error:
        raise MicrophoneUnavailable(
            f"it did not open in {timeout_s:.0f} s; restart the sound server, "
            "or unplug the microphone and plug it in again"
        ) from error
    except ValueError as error:
        raise MicrophoneUnavailable(
            f"PortAudio broke while it listened (exit status {child.returncode})"
        ) from error
    if "error" in told:
        raise MicrophoneUnavailable(told["error"])
    return Level(**told)


def listen(name: str | None) -> Level:
    """Return what a microphone gives, heard by this process."""
    blocks: list[bytes] = []
    begun, over = threading.Event(), threading.Event()

    def take(block: bytes) -> None:
        blocks.append(block)
        begun.set()

    stream = open_stream(name, take, lambda: None, over.set)
    if not begun.wait(FIRST_BLOCK_S):
        raise MicrophoneUnavailable(
            f"{stream.device!r} opens but gives no sound in {FIRST_BLOCK_S:.0f} s; "
            "is it switched on, and the sound server alive?"
        )
    over.wait(LISTENS_S)
    samples = np.frombuffer(b"".join(blocks), "<i2")
    return Level(
        device=stream.device,
        rate=stream.rate,
        seconds=round(len(samples) / stream.channels / stream.rate, 2),
        dbfs=round(dbfs_of(samples), 1),
        clipped=float(np.mean(np.abs(samples.astype(np.int32)) >= FULL_SCALE)),
    )


if __name__ == "__main__":
    answer: dict[str, Any]
    quiet_libraries()
    try:
        answer = asdict(listen(sys.argv[1] if len(sys.argv) > 1 else None))
    except MicrophoneUnavailable as refused:
        answer = {"error": str(refused)}
    print(json.dumps(answer), flush=True)
    os._exit(0)  # PortAudio may hang on its way out
