"""What a capture watches while it records: the reasons to end, and signs that the device died."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from engine.journal import HEARTBEAT
from engine.take import Inbox

POLL_S = 0.05
STUCK_S = 1.0  # without a block: the device is lost
FIRST_BLOCK_S = 3.0  # a sound server may need 2 s to wake a sleeping source
GUARD_S = 1.0
SIGNALS = {signal.SIGTERM, signal.SIGINT}


class Ending:
    """The reasons to end: a signal, a heartbeat that stopped, a disk that fills up."""

    def __init__(self, folder: Path, orphan_s: float, disk_stop_bytes: int) -> None:
        self._folder, self._orphan_s, self._disk_stop_bytes = folder, orphan_s, disk_stop_bytes
        self.asked = False
        for sign in SIGNALS:
            signal.signal(sign, self._ask)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self._looked_at = -GUARD_S
        self._beat = self._last_beat()
        self.beaten_at = time.monotonic()

    def _ask(self, *_: object) -> None:
        self.asked = True  # no more than this: an Event's lock might be held where it interrupts

    def hold_signals(self) -> None:
        """Let signals wait, also across an exec, for the next `Ending` of this process."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def wait(self, until: Callable[[], bool], timeout_s: float = float("inf")) -> str | None:
        """Wait for a condition, or so long; return the cause to end if there is one before."""
        deadline = time.monotonic() + timeout_s
        while True:
            if cause := self._cause():
                return cause
            if until() or time.monotonic() > deadline:
                return None
            time.sleep(POLL_S)

    def _cause(self) -> str | None:
        if self.asked:
            return "asked"
        now = time.monotonic()
        if now - self._looked_at < GUARD_S:
            return None
        self._looked_at = now
        if (beat_now := self._last_beat()) != self._beat:
            self._beat, self.beaten_at = beat_now, now
        # without a heartbeat it was started by hand; its age is counted here, not by its date,
        # because the wall clock of a box may jump
        if self._beat is not None and now - self.beaten_at > self._orphan_s:
            return "no server"
        return "disk" if self._free_bytes() < self._disk_stop_bytes else None

    def _last_beat(self) -> int | None:
        with contextlib.suppress(OSError):
            return (self._folder / HEARTBEAT).stat().st_mtime_ns
        return None

    def _free_bytes(self) -> int:
        state = os.statvfs(self._folder)
        return state.f_bavail * state.f_frsize


class Watchdog:
    """Tell when a stream has died; it counts rounds, because a process may have been paused."""

    def __init__(self, inbox: Inbox, finished: threading.Event) -> None:
        self._inbox, self._finished = inbox, finished
        self._seen, self._rounds = -1, 0

    def bites(self) -> bool:
        """Return whether the stream has ended or has been silent for too long."""
        blocks = self._inbox.blocks
        self._rounds = 0 if blocks != self._seen else self._rounds + 1
        self._seen = blocks
        patience_s = STUCK_S if blocks else FIRST_BLOCK_S
        return self._finished.is_set() or self._rounds * POLL_S >= patience_s
