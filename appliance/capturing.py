"""The capture process of one take: launched, adopted, kept alive, ended.

A capture outlives the server on purpose. Whether one runs is told by the lock on its folder, never
by memory of having started it.
"""

import contextlib
import logging
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from engine.capture import launch
from engine.errors import MicrophoneUnavailable
from engine.journal import PCM, JournalEvent, JournalReader, beat, capture_pid

log = logging.getLogger(__name__)
BEAT_EVERY_S = 5.0
BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 5.0)
STEADY_S = 10.0  # a capture that ran for so long may be started again at once
FIRST_SOUND_S = 15.0  # the capture itself gives up before
END_S = 5.0
LOOK_S = 0.02
KILLED, OUTAGE = "capture killed", "outage"
FINAL = ("asked", "disk")


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """How captures write."""

    sync_ms: int = 1000
    disk_stop_bytes: int = 200_000_000


class Capturing:
    """Know the folder of one take, and whether somebody writes to it."""

    def __init__(self, folder: Path, device: str | None, options: CaptureOptions) -> None:
        self.folder, self._device, self._options = folder, device, options
        self.events: list[JournalEvent] = []
        self._reader = JournalReader(folder)
        self._process: subprocess.Popen[str] | None = None
        self._beaten_s = self._launched_s = 0.0
        self._launches = 0

    @property
    def alive(self) -> bool:
        """Tell whether a capture writes, or is about to."""
        starting = self._process is not None and self._process.poll() is None
        return starting or capture_pid(self.folder) is not None

    @property
    def ended(self) -> bool:
        """Tell whether the capture has ended for good: it was asked to, or the disk is full."""
        last = self.events[-1] if self.events else None
        return last is not None and last.kind == "stopped" and last.cause in FINAL

    @property
    def device_lost(self) -> bool:
        """Tell whether the device is away."""
        return bool(self.events) and self.events[-1].kind == "lost"

    @property
    def elapsed_seconds(self) -> float:
        """Return the time from the first sample to the last, or to now while it runs."""
        began = next((event.at for event in self.events if event.kind == "started"), None)
        if began is None:
            return 0.0
        last = self.events[-1]
        if last.kind == "stopped":
            return max(0.0, last.at - began)
        return max(0.0, (time.time() if self.alive else self.last_sample_s) - began)

    @property
    def last_sample_s(self) -> float:
        """Return when the last sound was written, in seconds since 1970; 0 if there is none."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / PCM).stat().st_mtime
        return 0.0

    def begin(self) -> None:
        """Launch the first capture of a take; raise MicrophoneUnavailable if it finds none."""
        self._launch(None)
        deadline = time.monotonic() + FIRST_SOUND_S
        while time.monotonic() < deadline and not self.events:
            self.look()
            assert self._process is not None
            if self._process.poll() is not None and not self.events:
                raise MicrophoneUnavailable(self._complaint())
            time.sleep(LOOK_S)
        if not self.events:
            raise MicrophoneUnavailable(
                f"no sound came within {FIRST_SOUND_S:g} s; is the sound server alive?"
            )

    def _complaint(self) -> str:
        """Return what a capture said that could not begin."""
        assert self._process is not None and self._process.stderr is not None
        said = self._process.stderr.read().strip().splitlines()
        if said:
            return said[-1].removeprefix("capture: ")
        status = self._process.wait(END_S)
        return f"the capture could not begin (exit status {status}); see scribebox devices"

    def look(self) -> None:
        """Read what the capture has told since."""
        self.events += self._reader.events()

    def keep_alive(self, cause: str = KILLED) -> None:
        """Show that a server is there; launch the capture again if it is gone."""
        if time.monotonic() - self._beaten_s >= BEAT_EVERY_S:
            beat(self.folder)
            self._beaten_s = time.monotonic()
        if self.alive:
            return
        self.look()  # its last words
        if self.ended:
            return
        ran_s = time.monotonic() - self._launched_s
        self._launches = 0 if ran_s > STEADY_S else self._launches
        if ran_s >= BACK_OFF_S[min(self._launches, len(BACK_OFF_S) - 1)]:
            log.warning(
                "the capture of %s is gone (%s): starting it again", self.folder.name, cause
            )
            self._launch(cause)

    def ask_to_end(self) -> int | None:
        """Send the capture its signal, from any thread, and don't wait; return its process."""
        pid, process = capture_pid(self.folder), self._process
        if pid is None and process is not None and process.poll() is None:
            pid = process.pid  # it has not taken its lock yet
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        return pid

    def end(self) -> None:
        """End the capture; what it has captured is on the disk then."""
        pid = self.ask_to_end()
        if pid is not None:
            deadline = time.monotonic() + END_S
            while self.alive and time.monotonic() < deadline:
                time.sleep(LOOK_S)
            if self.alive:
                log.error("the capture of %s did not end: killed", self.folder.name)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._bury()
        self.look()

    def _bury(self) -> None:
        """Let go of a process that has ended."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_S)
            if self._process.stderr is not None:
                self._process.stderr.close()

    def _launch(self, cause: str | None) -> None:
        self._bury()
        beat(self.folder)
        self._launched_s, self._launches = time.monotonic(), self._launches + 1
        self._process = launch(
            self.folder,
            self._device,
            gap_cause=cause,
            sync_ms=self._options.sync_ms,
            disk_stop_bytes=self._options.disk_stop_bytes,
        )
