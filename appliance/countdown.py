"""How long is left until the box has to have stopped, for all that stop one after the other."""

import time

STOP_S = 7.5  # from the signal: with what a recording gets besides, less than 10 s
LEAST_S = 0.2  # also for the last ones: what ends at once gets the time to


class Countdown:
    """Run from `begin`, or from the first time somebody asks."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began_s: float | None = None

    def begin(self) -> None:
        """Start to count, unless that was done; takes no lock, so a signal handler may call it."""
        if self._began_s is None:
            self._began_s = time.monotonic()

    def left_s(self) -> float:
        """Return how long is left; never nothing."""
        self.begin()
        assert self._began_s is not None
        return max(LEAST_S, self._began_s + self._seconds - time.monotonic())
