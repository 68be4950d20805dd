"""One window that waits for the engine: what is wanted of it, how urgent it is, what came of it."""

import contextlib
import enum
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError

from engine.audio import SAMPLE_RATE, Samples
from engine.errors import Cancelled
from engine.whisper import Heard, Request
from engine.windows import window_of


class Priority(enum.IntEnum):
    """Who goes first."""

    LIVE = 0
    PARTIAL = 1  # what is shown for a moment, until the final words come
    SHORT = 2
    LONG = 3

    @property
    def label(self) -> str:
        """Return its name as it is shown."""
        return self.name.lower()

    @property
    def of_files(self) -> bool:
        """Tell whether its windows may be transcribed several at a time."""
        return self in (Priority.SHORT, Priority.LONG)


class Ticket:
    """One window waiting for its turn, or done."""

    def __init__(self, samples: Samples, request: Request, priority: Priority) -> None:
        self.samples, self.request, self.priority = samples, request, priority
        self.submitted = time.monotonic()
        self.begun = False  # the engine is at it, or was
        self._future: Future[Heard] = Future()

    def result(self, timeout_s: float | None = None) -> Heard:
        """Wait for the text; raise Cancelled, TimeoutError, or what went wrong."""
        return self._future.result(timeout_s)

    def cancel(self) -> None:
        """Give the ticket up; whoever waits for it gets Cancelled."""
        self.fail(Cancelled("the ticket was cancelled"))

    def fail(self, error: BaseException) -> None:
        """End the ticket with an error unless it has ended already."""
        with contextlib.suppress(InvalidStateError):
            self._future.set_exception(error)

    def finish(self, heard: Heard) -> None:
        """End the ticket with its text unless it was given up meanwhile."""
        with contextlib.suppress(InvalidStateError):
            self._future.set_result(heard)

    @property
    def done(self) -> bool:
        """Tell whether it has a result, an error or was cancelled."""
        return self._future.done()

    @property
    def heard(self) -> Heard | None:
        """Return the text; None if there is none yet, or none at all."""
        if not self._future.done() or self._future.exception() is not None:
            return None
        return self._future.result()

    @property
    def seconds(self) -> float:
        """Return how long its sound is."""
        return len(self.samples) / SAMPLE_RATE

    def goes_with(self, other: "Ticket") -> bool:
        """Tell whether both can be transcribed at once: files, asked alike, in like windows.

        A window 5 s longer than need be costs less than decoding alone.
        """
        return (
            self.priority is other.priority
            and self.priority.of_files
            and self.request == other.request
            and abs(window_of(self.seconds) - window_of(other.seconds)) <= 5
        )

    def when_done(self, call: Callable[[], None]) -> None:
        """Call something once it is done, in whichever thread that happens."""
        self._future.add_done_callback(lambda _: call())


def choose(waiting: list[Ticket], patient_since: float, last: Priority = Priority.LIVE) -> Ticket:
    """Return the oldest ticket if it lost patience, else the first of the best priority.

    `last` is the priority of the one before: who is above it does not wait once more, so that of a
    file whose windows have all waited long only every other one goes first.
    """
    first = min(waiting, key=lambda ticket: (ticket.priority, ticket.submitted))
    oldest = min(waiting, key=lambda ticket: ticket.submitted)
    if oldest.submitted > patient_since or first.priority < last:
        return first
    return oldest


def batch_of(first: Ticket, waiting: list[Ticket], most: int) -> list[Ticket]:
    """Return the ticket and those that can be transcribed with it, in order of arrival."""
    others = [ticket for ticket in waiting if ticket is not first and first.goes_with(ticket)]
    return [first, *others[: most - 1]]
