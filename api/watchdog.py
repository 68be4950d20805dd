"""The thread that shows systemd that the box lives, and only then.

Guarantee: while the box runs, systemd's watchdog is fed each third of its interval if the event
loop has answered since the last time, the engine is not stuck, and the clock runs. If not, systemd
is told why, gets no sign of life, and starts the box again. While the box starts or stops the
thread asks for more time, so that a migration or a long recovery isn't cut off, but not for ever.

One thread, named "watchdog"; there is none where no systemd listens.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from api import notify

log = logging.getLogger(__name__)
STUCK_S = 300.0  # no window takes that long to decode, also on a slow machine
ASK_EVERY_S = 10.0
MORE_S = 30.0  # asked for each time
LONGEST_S = {"starting": 3600.0, "stopping": 60.0}


class Engine(Protocol):
    """What is asked of the worker."""

    @property
    def alive(self) -> bool:
        """Tell whether its thread runs, or has nothing to do because there is no model."""

    @property
    def busy_s(self) -> float:
        """Return for how long it has been at the window at hand; 0 if it is at none."""


class Duties(Protocol):
    """What is asked of the clock."""

    @property
    def running(self) -> bool:
        """Tell whether duties are being carried out."""


class Watchdog:
    """Started before the box, told when it runs (`guard`) and when it stops (`stopping`)."""

    def __init__(
        self,
        tell: Callable[..., None] = notify.notify,
        interval_s: float | None = None,
        ask_every_s: float = ASK_EVERY_S,
    ) -> None:
        self._tell, self._interval_s = tell, interval_s
        self._pause_s = min(ask_every_s, interval_s / 3 if interval_s else ask_every_s)
        self._pulse: Pulse | None = None
        self._describe: Callable[[], str] = lambda: ""
        self._stopping = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> "Watchdog":
        """Begin with the time that the box takes to start."""
        self._tell(notify.status("starting"))
        self._thread.start()
        return self

    def guard(self, pulse: "Pulse", describe: Callable[[], str]) -> None:
        """Say that the box is ready; from now on its pulse is felt."""
        self._describe = describe
        self._pulse = pulse
        self._tell(notify.READY, notify.status(describe()))

    def stopping(self) -> None:
        """Say that the box stops. Called from a signal handler, so it takes no lock."""
        self._stopping = True
        self._tell(notify.STOPPING, notify.status("stopping: recordings and jobs are put away"))

    def close(self) -> None:
        """End the thread."""
        self._over.set()

    def _run(self) -> None:
        since_s, phase = time.monotonic(), ""
        while True:
            pulse = self._pulse
            now_in = "stopping" if self._stopping else "starting" if pulse is None else "running"
            if now_in != phase:
                since_s, phase = time.monotonic(), now_in
            if phase == "running" and pulse is not None:
                if self._interval_s is not None:
                    self._feed(pulse)
            elif time.monotonic() - since_s < LONGEST_S[phase]:
                self._tell(notify.ALIVE, notify.more_time(MORE_S))
            if self._over.wait(self._pause_s):
                return

    def _feed(self, pulse: "Pulse") -> None:
        """Pass on a sign of life, or say what is missing."""
        ailment = pulse.ailment()
        if ailment is None:
            self._tell(notify.ALIVE, notify.status(self._describe()))
        else:
            log.critical("%s: systemd gets no sign of life", ailment)
            self._tell(notify.status(f"{ailment}; without a change it is started again"))


class Pulse:
    """Feel whether event loop, engine and clock are alive. Made on the loop."""

    def __init__(self, engine: Engine, clock: Duties) -> None:
        self._loop = asyncio.get_running_loop()
        self._engine, self._clock = engine, clock
        self._answered = True

    def ailment(self) -> str | None:
        """Return what is wrong, None if nothing is; asked by one thread, again and again."""
        if not self._answered:
            return "the event loop does not answer"
        self._answered = False
        try:
            self._loop.call_soon_threadsafe(self._answer)
        except RuntimeError:
            return "the event loop has ended"
        if not self._engine.alive:
            return "the thread of the engine has ended"
        if self._engine.busy_s > STUCK_S:
            return f"the engine has been at one window for {self._engine.busy_s:.0f} s"
        if not self._clock.running:
            return "the clock has stopped"
        return None

    def _answer(self) -> None:
        self._answered = True
