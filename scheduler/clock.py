"""What the box does by the clock: one table of duties and their intervals.

APScheduler only wakes a duty; what there is to do is always read from rows, so a missed or late
wake-up loses nothing. A duty never runs twice at once, and one that fails runs again.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy.exc import OperationalError

from appliance.errors import ScribeboxError

log = logging.getLogger(__name__)
logging.getLogger("apscheduler").setLevel(logging.ERROR)  # an overrun is not worth a line each time


@dataclass(frozen=True, slots=True)
class Duty:
    """Something done every so often; `at_stop`: a last time when the box stops, too."""

    name: str
    every_s: float
    carry_out: Callable[[], None]
    at_stop: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """How a duty went the last time."""

    at: datetime
    seconds: float
    error: str | None


class Clock:
    """Carry out duties until stopped; at the stop those that ask for it, once more."""

    def __init__(self, duties: tuple[Duty, ...]) -> None:
        self.duties = duties
        self.last: dict[str, Run] = {}
        self.started_at: datetime | None = None
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for duty in duties:
            self._scheduler.add_job(
                self.carry_out, "interval", seconds=duty.every_s, args=[duty], id=duty.name
            )

    @property
    def running(self) -> bool:
        """Tell whether duties are being carried out."""
        return bool(self._scheduler.running)

    def start(self) -> "Clock":
        """Begin; the first run of a duty comes after its interval."""
        self.started_at = datetime.now(UTC)
        self._scheduler.start()
        return self

    def stop(self, timeout_s: float = 5.0) -> None:
        """Wait so long for what runs, then carry out a last time what wants it."""
        waiting = threading.Thread(target=self._scheduler.shutdown, name="clock stop", daemon=True)
        waiting.start()
        waiting.join(timeout_s)
        if waiting.is_alive():
            log.warning("a duty goes on for too long; the box stops without it")
        for duty in self.duties:
            if duty.at_stop:
                self.carry_out(duty)

    def carry_out(self, duty: Duty) -> None:
        """Run a duty and note how it went."""
        started, at, error = time.monotonic(), datetime.now(UTC), None
        try:
            duty.carry_out()
        except Exception as failure:
            error = type(failure).__name__
            known = isinstance(failure, ScribeboxError | OperationalError)
            said = getattr(failure, "orig", None) or failure
            log.error("the duty %s failed: %s", duty.name, said, exc_info=not known)
        self.last[duty.name] = Run(at, time.monotonic() - started, error)
