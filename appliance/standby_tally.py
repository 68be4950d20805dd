"""What the cloud has heard for this box since it started, in plain numbers for whoever shows them.

Written by the thread of the standby, read by anybody.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from engine.failover import CAUSES, HINDRANCES

HEARD, UNREACHABLE, REFUSED = "heard", "cloudUnreachable", "cloudRefused"


@dataclass(frozen=True, slots=True)
class Backed:
    """Requests by outcome, sound the cloud heard by cause, times it was needed in vain, by why."""

    requests: Mapping[str, int]
    seconds: Mapping[str, float]
    hindered: Mapping[str, int]


class StandbyTally:
    """Add up what all lanes have the cloud hear."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter(dict.fromkeys((HEARD, UNREACHABLE, REFUSED), 0))
        self._hindered: Counter[str] = Counter(dict.fromkeys(HINDRANCES, 0))
        self._seconds: dict[str, float] = dict.fromkeys(CAUSES, 0.0)

    def heard(self, cause: str, seconds: float) -> None:
        """Note a stretch that the cloud heard."""
        with self._lock:
            self._requests[HEARD] += 1
            self._seconds[cause] = self._seconds.get(cause, 0.0) + seconds

    def failed(self, why: str) -> None:
        """Note a request without a text."""
        with self._lock:
            self._requests[why] += 1

    def hindered(self, why: str) -> None:
        """Note that a take or a file needs the cloud and can't have it."""
        with self._lock:
            self._hindered[why] += 1

    def now(self) -> Backed:
        """Return the sums so far."""
        with self._lock:
            return Backed(dict(self._requests), dict(self._seconds), dict(self._hindered))
