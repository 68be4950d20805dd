"""When a delivery that failed is tried again: the schedule, what the answer asks for, chance.

Nothing is ever early: chance only adds, so that receivers that went down together do not get
everything back in the same second.
"""

from random import Random
from typing import Protocol

DELAYS_S = (0, 5, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)  # after the try before
TRIES = len(DELAYS_S)
JITTER = 0.2  # of the delay, at most
LONGEST_WAIT_S = 86400.0  # however long the receiver asks for
BUSY_WAIT_S = 60.0
CUTS_AT_ONCE = 3
BUSY = frozenset({429, 502, 503, 504})  # the receiver, or what stands before it, has too much to do


class Answer(Protocol):
    """What counts of the outcome of a try."""

    @property
    def status(self) -> int | None: ...

    @property
    def retry_after_s(self) -> float | None: ...


def next_delay_s(tries_done: int, outcome: Answer, random: Random) -> float | None:
    """Return how long to wait after a failed try; None if that was the last one."""
    if tries_done >= TRIES:
        return None
    delay_s = float(DELAYS_S[max(tries_done, 0)])
    if outcome.status in BUSY:
        delay_s = max(delay_s, BUSY_WAIT_S)
    asked_s = min(outcome.retry_after_s or 0.0, LONGEST_WAIT_S)
    return max(delay_s * (1 + JITTER * random.random()), asked_s)


def delay_after_cut_s(cuts: int) -> float | None:
    """Return how long to wait after so many tries in a row were cut off; None if that is enough.

    The box that made them was killed; a few times that says nothing about the delivery. One that
    was replayed after its end has as many again.
    """
    nth = cuts % TRIES
    return None if nth == 0 else float(DELAYS_S[max(nth - CUTS_AT_ONCE, 0)])
