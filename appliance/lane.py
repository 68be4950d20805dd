"""The way of one take or one file to its text: the engine of the box, and the cloud behind it.

A lane is used like the worker: windows go in, tickets come out, in whichever place they are heard.
What the cloud has heard must be paid for: it is `charge`d in the transaction of the text.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sqlmodel import Session

from appliance.store import usage
from engine.audio import SAMPLE_RATE, Samples
from engine.errors import EngineError
from engine.failover import BOX, Decision
from engine.hearer import Knowing
from engine.prerecorded import MODEL, label_of
from engine.whisper import Request
from engine.worker import Priority, Ticket

if TYPE_CHECKING:
    from appliance.standby import Standby


class Stretch(Ticket):
    """A window on its way: at the engine, in the cloud, or waiting for either. One result is all.

    Only the thread of the standby changes where it is.
    """

    def __init__(
        self, lane: "Lane", samples: Samples, request: Request, priority: Priority
    ) -> None:
        super().__init__(samples, request, priority)
        self.lane = lane
        self.inner: Ticket | None = None  # at the engine
        self.sending: asyncio.Task[None] | None = None  # to the cloud
        self.failures = 0  # of the engine at this one
        self.error: Exception | None = None  # the last of them

    @property
    def at_work(self) -> bool:
        """Tell whether the engine is at it."""
        return self.inner is not None and self.inner.begun

    @property
    def seconds(self) -> float:
        """Return how much sound it is."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Spent:
    """What the cloud has heard, and what that costs."""

    audio_ms: int
    words: int
    cost_micros: int
    engine: str  # label


class Lane:
    """Submit, and charge. `name` is for the log.

    `patient`: without a model its windows wait for as long as it takes, else only as long as the
    cloud may come back by itself.
    """

    def __init__(
        self,
        standby: "Standby",
        account_id: int,
        name: str,
        *,
        patient: bool,
    ) -> None:
        self.account_id, self.name, self.patient = account_id, name, patient
        self.lag_s: Callable[[], float] | None = None  # how late the text is, if that is known
        self.decision: Decision = BOX  # of late; written by the thread of the standby
        self.told: set[str] = set()  # reasons that were logged
        self.heard_s = -math.inf  # when the engine had done with a window of it
        self.closed = False  # no text will charge any more
        self._standby = standby
        self._lock = threading.Lock()
        self._spent: list[Spent] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def submit(self, samples: Samples, request: Request, priority: Priority) -> Stretch:
        """Queue one window; return at once. It waits as long as neither place can hear it."""
        stretch = Stretch(self, samples, request, priority)
        self._standby.take(stretch)
        return stretch

    def model(self, timeout_s: float | None = None) -> Knowing:
        """Wait for the model of the box; without one the cloud stands for it."""
        try:
            return self._standby.worker.model(timeout_s)
        except EngineError:
            return CloudKnowing()

    def late_s(self, own: Sequence[Stretch]) -> float:
        """Return how late the text is: as somebody says, else what the oldest open window waits."""
        if self.lag_s is not None:
            return self.lag_s()
        if any(one.at_work for one in own):
            return 0.0  # a file has many windows in the queue: the engine is at the first of them
        waiting = [one.submitted for one in own if one.sending is None]
        return time.monotonic() - max(min(waiting), self.heard_s) if waiting else 0.0

    def spend(self, spent: Spent) -> None:
        """Note what is to be charged with the next text."""
        with self._lock:
            self._spent.append(spent)

    def charge(self, session: Session, session_id: int | None) -> "Charge":
        """Write what was spent into the ledger; `settle` the charge once that is committed."""
        with self._lock:
            spent = list(self._spent)
        for one in spent:
            usage.add(
                session,
                self.account_id,
                usage.FAILOVER,
                words=one.words,
                audio_ms=one.audio_ms,
                cost_micros=one.cost_micros,
                engine=one.engine,
                reference=None if session_id is None else str(session_id),
            )
        return Charge(self, spent)

    @property
    def owes(self) -> bool:
        """Tell whether there is something to charge."""
        return bool(self._spent)

    def forget(self, count: int) -> None:
        """Drop the oldest of what was spent: it is in the ledger."""
        with self._lock:
            del self._spent[:count]

    def close(self) -> None:
        """Charge what no text came of, such as an answer that came second."""
        self.closed = True
        self._standby.leave(self)


@dataclass(frozen=True, slots=True)
class Charge:
    """Lines of the ledger that are about to be committed."""

    lane: Lane
    spent: list[Spent]

    @property
    def audio_ms(self) -> int:
        """Return how much sound they are for."""
        return sum(one.audio_ms for one in self.spent)

    def settle(self) -> None:
        """Note that they are committed."""
        self.lane.forget(len(self.spent))


class CloudKnowing:
    """What stands for a model where there is none: the cloud says itself what it doesn't know."""

    @property
    def model(self) -> "CloudKnowing":
        """Return itself: only its name is asked for."""
        return self

    @property
    def name(self) -> str:
        """Return the label of the cloud's model."""
        return label_of(MODEL)

    def check_language(self, language: str | None) -> None:
        """Take any."""
