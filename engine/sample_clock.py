"""Find out from the clock how much sound a stream has lost on its way."""

import math
from dataclasses import dataclass

WINDOW_S = 1.0
FLAGGED_S = 0.02  # less than this, after the library told of a loss, is no loss
UNFLAGGED_S = 0.15  # less than this, when it told of none, is a machine that is busy
NOWHERE = (-math.inf, 0)


@dataclass(frozen=True, slots=True)
class Missing:
    """So many seconds are missing before that sample."""

    sample: int
    seconds: float


class SampleClock:
    """Compare the sound that came with the time that passed, in windows of a second.

    Blocks may come late and then in a rush, so only the least lag of a window counts. When that
    rises from one window to the next, sound is missing; a clock of the device's own, which runs
    a little fast or slow, moves it by far less. Whole windows are needed on both sides: a loss
    is told about a second later.
    """

    def __init__(self) -> None:
        self._received_s = 0.0
        self._floor = math.inf  # the least lag before this window
        self._lag = math.inf
        self._jump = NOWHERE  # the greatest of this window, and of the one before
        self._jump_before = NOWHERE
        self._flagged: int | None = None  # the sample after a loss the library told of
        self._flagged_next: int | None = None
        self._open_window()

    def _open_window(self) -> None:
        self._begun: float | None = None
        self._least = math.inf
        self._jump_before, self._jump = self._jump, NOWHERE
        self._flagged, self._flagged_next = self._flagged_next, None

    def overflowed(self, sample: int) -> None:
        """Take note that the library told of a loss before that sample."""
        self._flagged_next = sample
        if self._flagged is None:  # else it is counted with the next window
            self._floor = min(self._floor, self._least)
            self._open_window()

    def tick(self, at: float, seconds: float, sample: int) -> Missing | None:
        """Count a block that came `at` by the monotonic clock and begins with that sample."""
        self._received_s += seconds
        before, self._lag = self._lag, at - self._received_s
        self._jump = max(self._jump, (self._lag - before, sample))
        self._least = min(self._least, self._lag)
        if self._begun is None:
            self._begun = at
        return self._close_window() if at - self._begun >= WINDOW_S else None

    @property
    def lateness_s(self) -> float:
        """Return how much later the last block came than the promptest of its window."""
        return self._lag - self._least if self._least < math.inf else 0.0

    def settle(self) -> Missing | None:
        """Return what a loss took that the library told of in the last second of a stream."""
        return None if self._flagged is None or self._begun is None else self._close_window()

    def _close_window(self) -> Missing | None:
        rise, flagged = self._least - self._floor, self._flagged
        place = max(self._jump, self._jump_before)[1] if flagged is None else flagged
        self._floor = self._least
        self._open_window()
        least = UNFLAGGED_S if flagged is None else FLAGGED_S
        return Missing(place, rise) if rise >= least else None
