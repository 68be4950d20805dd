"""The process that records: `python -m engine.capture --journal DIR [--device NAME] ...`.

It is a process of its own so that a meeting outlives the server, and because PortAudio's callback
needs the interpreter at once. The audio thread only leaves blocks in an `Inbox`, a `Take` writes
them, and this module watches both. When the device is lost it executes itself anew and opens the
device by its name, for ever: PortAudio lists the devices only when it starts, and closing a stream
of a device that has gone can hang inside the library, which only a new process image gets rid of.
The process number and the lock stay the same.

It ends with status 0 when asked to (SIGTERM, SIGINT), when the heartbeat stops or the disk is full,
and with 1 and one line on standard error when it can't begin.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

from engine.errors import EngineError, MicrophoneUnavailable
from engine.journal import JournalWriter, beat, take_lock
from engine.loss import OPTION, Loss
from engine.microphone import Stream, open_stream, sound_environment
from engine.take import Inbox, Take, wall
from engine.watch import FIRST_BLOCK_S, Ending, Watchdog

OPENING_S = 10.0
BACK_OFF_S = (0.5, 1.0, 2.0, 5.0)
ORPHAN_S = 600.0
SYNC_MS = 1000
DISK_STOP_BYTES = 200_000_000


class JournalBusy(EngineError):
    """Another capture records into this journal."""


def launch(
    folder: Path,
    device: str | None,
    *,
    gap_cause: str | None = None,
    sync_ms: int = SYNC_MS,
    disk_stop_bytes: int = DISK_STOP_BYTES,
) -> "subprocess.Popen[str]":
    """Start a capture that outlives this process; what it can't begin for stands on its stderr."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    beat(folder)
    return subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "engine.capture", "--journal", str(folder)),
            *((f"--device={device}",) if device else ()),
            *(("--gap-cause", gap_cause) if gap_cause else ()),
            *("--sync-ms", str(sync_ms), "--disk-stop-bytes", str(disk_stop_bytes)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=sound_environment(),
        start_new_session=True,
    )


class Capture:
    """One life of the process: from opening the device until there is an end, or no device."""

    def __init__(self, options: argparse.Namespace, loss: Loss | None) -> None:
        folder: Path = options.journal
        self._folder, self._options = folder, options
        self._device: str | None = loss.device if loss else options.device
        self._attempt = loss.attempt if loss else 0
        if loss is None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = take_lock(folder)
            if lock is None:
                raise JournalBusy(f"{folder}: another capture records here")
            self._lock = lock
        else:
            self._lock = loss.lock
        self._ending = Ending(folder, options.orphan_seconds, options.disk_stop_bytes)
        self._writer = JournalWriter(folder, options.sync_ms / 1000)
        self._last_at: float | None = None
        self._cause: str = options.gap_cause
        self._lost = loss is not None  # and the journal says so
        self._closed_at: float | None = None  # the microphone, before what is left is synced
        if loss is not None:
            self._last_at, self._cause = loss.last_at, loss.cause
            self._ending.beaten_at = loss.beaten_at
        elif self._writer.last_at is not None:
            self._last_at = time.monotonic() - max(time.time() - self._writer.last_at, 0)

    def run(self) -> None:
        """Record until there is a cause to end, and write it down."""
        try:
            cause = self._record() or self._recover()
        except OSError:  # the journal's: what PortAudio raises is not of this kind
            cause = "disk"
        with contextlib.suppress(OSError):
            self._writer.note("stopped", cause=cause, at=self._closed_at)
        with contextlib.suppress(OSError):
            self._writer.close()

    def _record(self) -> str | None:
        """Record from the device; return the cause to end, or None when the device is lost."""
        inbox, finished = Inbox(), threading.Event()
        try:
            stream = self._open(inbox, finished)
            if isinstance(stream, str):
                return stream
            self._device = stream.device
            take = Take(inbox, self._writer, stream, self._last_at, self._cause)
            take.start()
            watchdog = Watchdog(inbox, finished)
            cause = self._ending.wait(lambda: watchdog.bites() or not take.is_alive())
            if cause:
                stream.close()
                self._closed_at = time.time()
            take.finish()
            if take.failure:
                raise take.failure
            if take.blocks:
                self._last_at, self._cause = take.last_at, "device lost"
                self._attempt, self._lost = 0, False
            elif cause is None:
                raise MicrophoneUnavailable(
                    f"{stream.device!r} opens but gives no sound in {FIRST_BLOCK_S:.0f} s; "
                    "is it switched on, and the sound server alive?"
                )
        except MicrophoneUnavailable:
            if self._last_at is None:
                raise
            return None
        if cause is None:
            self._tell_loss()
            stream.close()
        return cause

    def _open(self, inbox: Inbox, finished: threading.Event) -> Stream | str:
        """Open the stream on a thread, where it may hang; or return the cause to end meanwhile."""
        opening: Future[Stream] = Future()

        def open_it() -> None:
            try:
                opening.set_result(
                    open_stream(self._device, inbox.put, inbox.put_overflow, finished.set)
                )
            except Exception as error:
                opening.set_exception(error)

        threading.Thread(target=open_it, daemon=True, name="microphone opening").start()
        if cause := self._ending.wait(opening.done, OPENING_S):
            return cause
        if not opening.done():
            raise MicrophoneUnavailable(
                f"{self._device or 'the default device'} did not open in {OPENING_S:.0f} s; "
                "restart the sound server, or unplug it and plug it in again"
            )
        return opening.result()

    def _tell_loss(self) -> None:
        if not self._lost:
            assert self._last_at is not None
            self._writer.note("lost", at=wall(self._last_at), cause="device lost")
            self._lost = True

    def _recover(self) -> str:
        """Wait a moment and start anew; return only if there is a cause to end before that."""
        self._tell_loss()
        pause_s = BACK_OFF_S[min(self._attempt, len(BACK_OFF_S) - 1)]
        if cause := self._ending.wait(lambda: False, pause_s):
            return cause
        self._ending.hold_signals()
        if self._ending.asked:  # one that came just before
            return "asked"
        assert self._last_at is not None
        self._writer.sync()
        Loss(
            lock=self._lock,
            device=self._device,
            last_at=self._last_at,
            cause=self._cause,
            attempt=self._attempt + 1,
            beaten_at=self._ending.beaten_at,
        ).start_anew()


def quiet_libraries() -> None:
    """Keep ALSA and PortAudio, which print what they think of each device, from standard error."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)


def parser() -> argparse.ArgumentParser:
    """Return what the command line takes."""
    made = argparse.ArgumentParser(prog="python -m engine.capture", description="Record a take.")
    made.add_argument("--journal", type=Path, required=True, help="the folder to write")
    made.add_argument("--device", help="the name of the input; without it the default one")
    made.add_argument("--sync-ms", type=int, default=SYNC_MS)
    made.add_argument("--disk-stop-bytes", type=int, default=DISK_STOP_BYTES)
    made.add_argument("--gap-cause", default="capture killed", help="if the take goes on")
    made.add_argument("--orphan-seconds", type=float, default=ORPHAN_S)
    made.add_argument(OPTION, dest="loss", type=Loss.parse, help=argparse.SUPPRESS)
    return made


def main() -> int:
    """Record until the end; return the exit status."""
    options = parser().parse_args()
    quiet_libraries()
    try:
        Capture(options, options.loss).run()
        return 0
    except EngineError as error:
        reason = str(error)
    except OSError as error:
        reason = f"{options.journal}: {error.strerror}"
    with contextlib.suppress(OSError):  # whoever launched it may have gone
        print(f"capture: {reason}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    os._exit(main())  # PortAudio may hang on its way out
