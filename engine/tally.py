"""What the engine has done since it started, in plain numbers for whoever shows them.

Written by the thread of the engine (and `Distribution` by any thread), read by anybody: what is
read is a copy of one moment.
"""

import bisect
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

WAITS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True)
class Spread:
    """How many times were at most so long, bound by bound, all of them last; and their sum."""

    bounds_s: tuple[float, ...]
    counts: tuple[int, ...]  # cumulative, one more than there are bounds
    sum_s: float


class Distribution:
    """Count times by how long they were."""

    def __init__(self, bounds_s: tuple[float, ...] = WAITS_S) -> None:
        self._bounds_s = bounds_s
        self._lock = threading.Lock()
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_s = 0.0

    def note(self, seconds: float) -> None:
        """Count one."""
        place = bisect.bisect_left(self._bounds_s, seconds)
        with self._lock:
            self._counts[place] += 1
            self._sum_s += seconds

    def now(self) -> Spread:
        """Return what has been counted so far."""
        with self._lock:
            counts, sum_s = list(self._counts), self._sum_s
        for place in range(1, len(counts)):
            counts[place] += counts[place - 1]
        return Spread(self._bounds_s, tuple(counts), sum_s)


@dataclass(frozen=True, slots=True)
class Work:
    """What was done: windows and waits by priority, text held back by the gate that did."""

    windows: Mapping[str, int]
    failed: int  # windows without a result
    audio_s: float
    busy_s: float
    suppressed: Mapping[str, int]
    waits: Mapping[str, Spread]


class Tally:
    """Add up what a worker does; `priorities` are the names it serves by."""

    def __init__(self, priorities: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self._windows: Counter[str] = Counter(dict.fromkeys(priorities, 0))
        self._suppressed: Counter[str] = Counter()
        self._failed = 0
        self._audio_s = self._busy_s = 0.0
        self._waits = {name: Distribution() for name in priorities}

    def began(self, priority: str, waited_s: float) -> None:
        """Note that a window has its turn."""
        self._waits[priority].note(waited_s)

    def ended(
        self, priority: str, audio_s: float, busy_s: float, suppressed: tuple[str, ...]
    ) -> None:
        """Note that a window has its result, and why text of it was held back."""
        with self._lock:
            self._windows[priority] += 1
            self._audio_s += audio_s
            self._busy_s += busy_s
            self._suppressed.update(suppressed)

    def failed(self, busy_s: float) -> None:
        """Note that a window broke."""
        with self._lock:
            self._failed += 1
            self._busy_s += busy_s

    def now(self) -> Work:
        """Return the sums so far."""
        with self._lock:
            return Work(
                windows=dict(self._windows),
                failed=self._failed,
                audio_s=self._audio_s,
                busy_s=self._busy_s,
                suppressed=dict(self._suppressed),
                waits={name: waits.now() for name, waits in self._waits.items()},
            )
