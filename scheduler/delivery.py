"""Deliver webhooks: claim what is due, send it, record what came of it.

Guarantee: at least once. A delivery is claimed and its try counted before it is sent, and recorded
after; if the process ends in between it is sent again, with the same id and bytes. One try at a
time for each endpoint. Threads: "delivery" decides and sends, on an event loop of its own; one
thread beside it claims and records, all that has come in since the last time in one transaction,
so that no sending waits for the database.
"""

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar

from sqlalchemy.exc import OperationalError

from appliance.errors import Conflict, StoreUnusable
from appliance.events import Event
from appliance.store import deliveries, entities, webhooks
from appliance.store.database import Database
from appliance.store.outbox import Claim, Tried
from appliance.webhook_secrets import WebhookSecrets
from scheduler.claims import Claims
from scheduler.courier import Courier, Sends, tried
from scheduler.lanes import LATE_AFTER_S, Lane, Lanes
from scheduler.retries import next_delay_s
from scheduler.sending import Outcome
from scheduler.trials import Trials

log = logging.getLogger(__name__)
T = TypeVar("T")
AGAIN_S = 1.0  # after the database could not be used
STOP_S = 5.0
TESTS_AT_ONCE = 16
STOPPING = "the box is about to stop; test the webhook after its start"
NO_SLOTS = dict.fromkeys(Lane, 0)


@dataclass(frozen=True, slots=True)
class Stats:
    """What came of the tries since the start, and how many are in flight in each lane."""

    delivered: int = 0
    failed: int = 0  # there is another try
    dead: int = 0  # it was the last one
    in_flight: dict[Lane, int] = field(default_factory=dict)


class Deliverer:
    """Deliver until stopped; woken by commits (the event delivery.due) and by the clock."""

    _loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        database: Database,
        sender: Sends,
        secrets: WebhookSecrets,
        *,
        now: Callable[[], datetime] = entities.now,
        monotonic_s: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        self._database, self._now, self._random = database, now, random or Random()
        self._claims = Claims(database, now, monotonic_s)
        self._courier = Courier(sender, secrets, now)
        self._lanes = Lanes()
        self._counts = {"delivered": 0, "failed": 0, "dead": 0}
        self._results: list[tuple[Claim, Tried]] = []
        self._busy: set[int] = set()  # endpoints whose try is not recorded yet
        self._served: dict[int, int] = {}  # the turn in which an endpoint was last served
        self._turn = 0
        self._trying: dict[asyncio.Task[None], str] = {}
        self._testing: set[asyncio.Task[Any]] = set()
        self._trials, self._at_once = Trials(), asyncio.Semaphore(TESTS_AT_ONCE)
        self._woken, self._stop_s = asyncio.Event(), STOP_S
        self._stopping = self._store_fails = False
        self._again: asyncio.TimerHandle | None = None
        self._begun = threading.Event()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._store = concurrent.futures.ThreadPoolExecutor(1, "outbox")
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)

    def start(self) -> "Deliverer":
        """Begin, with what a dead process left unfinished."""
        self._claims.begin()
        self._thread.start()
        self._begun.wait()
        self._unsubscribe = self._database.bus.subscribe(self._hear)
        return self

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Claim nothing more; what is in flight has so long, then it is for the next start."""
        self._unsubscribe()
        if self._thread.ident is not None:
            self._stop_s = timeout_s
            self._soon(self._begin_to_stop)
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Tell whether deliveries are being made."""
        return self._thread.is_alive() and not self._stopping

    @property
    def waits_for_database(self) -> bool:
        """Tell whether results and claims can't be written at the moment."""
        return self._store_fails

    def wake(self) -> None:
        """Look for what is due; from any thread, and as often as one likes."""
        if not self._soon(self._woken.set) and not self._stopping:
            raise RuntimeError("the thread that delivers webhooks has ended")

    def send_now(self, webhook_id: int, event: str = deliveries.PING) -> tuple[str, Outcome]:
        """Send an endpoint a test, stored and not tried again; return its id and its outcome.

        It waits for its turn there. One that arrives clears the endpoint's failures; one that
        fails adds none. A second one beside it is a Conflict: dead endpoints must hold up nobody.
        """
        with self._trials.alone(webhook_id):
            test = self._test(webhook_id, event)
            try:
                return asyncio.run_coroutine_threadsafe(test, self._loop).result()
            except (concurrent.futures.CancelledError, RuntimeError):
                test.close()
                raise Conflict(STOPPING) from None

    def stats(self) -> Stats:
        """Return the counts at this moment."""
        return Stats(**self._counts, in_flight=self._lanes.held())

    def _hear(self, event: Event) -> None:
        if event.name == webhooks.DUE:
            self._soon(self._woken.set)

    def _soon(self, call: Callable[..., object], *arguments: object) -> bool:
        """Have the loop call something; False if it has ended."""
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            return False
        return True

    def _begin_to_stop(self) -> None:
        self._stopping = True
        self._woken.set()

    def _run(self) -> None:
        with self._store:
            asyncio.run(self._deliver())

    async def _deliver(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken.set()
        self._begun.set()
        while not self._stopping:
            await self._woken.wait()
            self._woken.clear()
            for claim in await self._settle(self._lanes.free()):
                self._begin(claim)
        await self._end()

    async def _settle(self, free: Mapping[Lane, int]) -> list[Claim]:
        """Record what has come in, and claim as much as there are free slots."""
        taken, self._results = self._results, []
        done = {claim.webhook_id for claim, _ in taken}
        busy = self._busy - done
        results, claims = [tried for _, tried in taken], list[Claim]()
        try:
            claims = await self._in_store(self._claims.settle, results, busy, free, self._served)
        except Exception as error:
            # what can't be written now can be later; else it is given up, so that the others go on,
            # and sent again after its lease
            later = isinstance(error, (StoreUnusable, OperationalError))
            if not self._store_fails:
                log.warning("webhooks wait for the database", exc_info=not later)
            self._store_fails = True
            if self._again is not None:
                self._again.cancel()
            self._again = self._loop.call_later(AGAIN_S, self._woken.set)
            if later:
                self._results[:0] = taken
                return []
        else:
            self._store_fails = False
        self._busy -= done
        return claims

    def _begin(self, claim: Claim) -> None:
        self._turn += 1
        self._served[claim.webhook_id] = self._turn
        self._busy.add(claim.webhook_id)
        self._lanes.enter(claim.id, Lane.SLOW if claim.slow else Lane.HEALTHY)
        task = asyncio.create_task(self._try(claim))
        self._trying[task] = claim.id
        task.add_done_callback(self._trying.pop)

    async def _try(self, claim: Claim) -> None:
        self._look_later(claim.id)
        try:
            outcome = await self._courier.carry(claim)
        finally:
            self._lanes.leave(claim.id)
        self._results.append((claim, self._judge(claim, outcome)))
        self._woken.set()

    def _look_later(self, delivery_id: str) -> None:
        self._loop.call_later(LATE_AFTER_S, self._look_at, delivery_id)

    def _look_at(self, delivery_id: str) -> None:
        """Give the healthy slot of a try that lasts to another; look again if there is no room."""
        if self._lanes.make_late(delivery_id):
            self._woken.set()
        elif self._lanes.lane_of(delivery_id) is Lane.HEALTHY:
            self._look_later(delivery_id)

    def _judge(self, claim: Claim, outcome: Outcome) -> Tried:
        """Return what is to be recorded: what came of it, and when it is tried again."""
        delay_s = None
        if not outcome.received:
            delay_s = next_delay_s(claim.tries, outcome, self._random)
        kind = "delivered" if outcome.received else "dead" if delay_s is None else "failed"
        self._counts[kind] += 1
        next_due = None if delay_s is None else self._now() + timedelta(seconds=delay_s)
        return tried(claim, outcome, next_due)

    async def _end(self) -> None:
        """Wait a while for what is in flight, give the rest back, record everything."""
        cut: list[str] = []
        if in_flight := {*self._trying, *self._testing}:
            _, rest = await asyncio.wait(in_flight, timeout=self._stop_s)
            cut = [self._trying[task] for task in rest if task in self._trying]
            for task in rest:
                task.cancel()
            await asyncio.wait(in_flight)
        await self._settle(NO_SLOTS)
        if cut and not self._store_fails:  # the next start ends their leases, too
            try:
                await self._in_store(self._claims.cut, cut)
            except (StoreUnusable, OperationalError):
                log.warning("webhooks in flight are left to the next start")
        await self._courier.close()

    async def _test(self, webhook_id: int, event: str) -> tuple[str, Outcome]:
        task = asyncio.current_task()
        assert task is not None
        self._testing.add(task)
        task.add_done_callback(self._testing.discard)
        claim = await self._in_store(self._claims.test, webhook_id, event)
        async with self._at_once:
            outcome = await self._courier.carry(claim)
        await self._in_store(self._claims.record_test, claim, tried(claim, outcome, None))
        self._woken.set()
        return claim.id, outcome

    async def _in_store(self, call: Callable[..., T], *arguments: Any) -> T:
        """Run something in the thread that alone uses the database."""
        return await self._loop.run_in_executor(self._store, call, *arguments)
