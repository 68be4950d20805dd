"""What deliveries read from and write to the database: results in, claims out, by one thread.

The clock is judged here. Due times are wall time; a clock that was set does no harm: what was never
tried is due whatever it says, no retry waits longer than the longest delay, and the time of the
step is not time in which an endpoint failed. Before the build date nothing is sent.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

from sqlmodel import Session

from appliance.errors import Conflict
from appliance.store import entities, leases, outbox, pings
from appliance.store.database import Database
from appliance.store.outbox import Claim, Tried
from scheduler.lanes import Lane
from scheduler.retries import delay_after_cut_s

log = logging.getLogger(__name__)
BUILT = datetime(2026, 1, 1, tzinfo=UTC)  # a clock before that is wrong, and so were signatures
STEP_S = 60.0  # a clock that is out by less was not set


class Claims:
    """Record results and claim what is due, both in one short transaction."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime] = entities.now,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.database, self.now, self._monotonic_s = database, now, monotonic_s
        self._offset_s = self._measured_offset_s()
        self._told = False

    def begin(self) -> None:
        """End the leases of a process that is dead."""
        at = self.now()
        with self.database.write() as session:
            cut = leases.release(session, at, delay_after_cut_s)
            leases.forgive_idle_time(session, at)
        if cut:
            log.warning("%d deliveries that were cut off are sent again", cut)

    def settle(
        self,
        results: Sequence[Tried],
        busy: Collection[int],
        free: Mapping[Lane, int],
        served: Mapping[int, int],
    ) -> list[Claim]:
        """Record results; claim as much as there are free slots, of endpoints that are not busy."""
        at = self.now()
        can_send = self._is_clock_right(at)
        if not results and not self._has_stepped():
            with self.database.read() as session:  # so that an idle box writes nothing
                if not can_send or not outbox.is_any_due(session, at, busy):
                    return []
        with self.database.write() as session:
            if self._has_stepped():
                self._offset_s = self._measured_offset_s()
                leases.forgive_idle_time(session, at)
            disabled = outbox.record(session, results, at)
            claims = self._claim(session, at, busy, free, served) if can_send else []
        for webhook_id, because in disabled:
            log.warning("webhook %d is disabled: %s", webhook_id, because)
        return claims

    def cut(self, delivery_ids: Collection[str]) -> None:
        """Give back what this process claimed and will not see the end of."""
        with self.database.write() as session:
            leases.release(session, self.now(), delay_after_cut_s, delivery_ids)

    def test(self, webhook_id: int, event: str) -> Claim:
        """Return a delivery that is only a test; nothing is written yet."""
        if not self._is_clock_right(self.now()):
            raise Conflict("the clock of the box is wrong; set it, then test the webhook")
        with self.database.read() as session:
            return pings.claim(session, webhook_id, event, self.now())

    def record_test(self, claim: Claim, tried: Tried) -> None:
        """Write a test down with what came of it."""
        with self.database.write() as session:
            pings.record(session, claim, tried, self.now())

    def _claim(
        self,
        session: Session,
        at: datetime,
        busy: Collection[int],
        free: Mapping[Lane, int],
        served: Mapping[int, int],
    ) -> list[Claim]:
        return [
            claim
            for lane in (Lane.HEALTHY, Lane.SLOW)
            for claim in outbox.due(session, at, busy, free[lane], lane is Lane.SLOW, served)
        ]

    def _is_clock_right(self, at: datetime) -> bool:
        right = at >= BUILT
        if not right and not self._told:
            log.error("the clock says %s: webhooks wait until it is set", at.date())
        self._told = not right
        return right

    def _has_stepped(self) -> bool:
        return abs(self._measured_offset_s() - self._offset_s) > STEP_S

    def _measured_offset_s(self) -> float:
        return self.now().timestamp() - self._monotonic_s()
