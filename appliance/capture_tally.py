"""What this box has recorded since it started, in plain numbers for whoever shows them.

Written by the takes, each from its own thread; read by anybody.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.capturing import KILLED, OUTAGE
from engine.tally import Distribution, Spread

CAUSES = ("device lost", KILLED, OUTAGE, "overflow", "disk", "no server")
OTHER = "other"
DELAYS_S = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True)
class Captured:
    """Sound and gaps by cause; how long after the end of an utterance its text was there."""

    seconds: float
    gaps: Mapping[str, int]
    gap_seconds: Mapping[str, float]
    text_delays: Spread


class CaptureTally:
    """Add up what all takes capture."""

    def __init__(self) -> None:
        self.text_delays = Distribution(DELAYS_S)
        self._lock = threading.Lock()
        self._seconds = 0.0
        self._gaps: Counter[str] = Counter(dict.fromkeys(CAUSES, 0))
        self._gap_seconds: dict[str, float] = dict.fromkeys(CAUSES, 0.0)

    def captured(self, seconds: float) -> None:
        """Note sound that has come."""
        with self._lock:
            self._seconds += seconds

    def gap(self, cause: str, seconds: float) -> None:
        """Note a stretch without sound."""
        cause = cause if cause in CAUSES else OTHER
        with self._lock:
            self._gaps[cause] += 1
            self._gap_seconds[cause] = self._gap_seconds.get(cause, 0.0) + seconds

    def now(self) -> Captured:
        """Return the sums so far."""
        delays = self.text_delays.now()
        with self._lock:
            return Captured(self._seconds, dict(self._gaps), dict(self._gap_seconds), delays)
