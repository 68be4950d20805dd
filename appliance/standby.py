"""The cloud behind the engine: carry out, stretch by stretch, what `engine.failover` decides.

One thread looks at all stretches that are under way, whenever something changes and four times a
second. One that waits may be taken back from the engine and sent to the cloud; what comes first is
its result, what comes second is thrown away. The cloud silent too, it goes on waiting.
"""

import asyncio
import contextlib
import logging
import threading
import time
from dataclasses import dataclass, replace

from appliance.cloud_ear import CloudEar
from appliance.lane import Lane, Stretch
from appliance.plans import Plans
from appliance.prices import Prices
from appliance.quota import standing
from appliance.standby_tally import StandbyTally
from appliance.store import accounts
from appliance.store.database import Database
from engine.cloud import Cloud
from engine.errors import Cancelled, EngineError
from engine.failover import (
    BOX,
    Backing,
    Decision,
    Engine,
    Mode,
    cause_of,
    hindrance_of,
    is_failing,
    is_stuck,
)
from engine.worker import Ticket, Worker

log = logging.getLogger(__name__)
TICK_S = 0.25
RETRY_S = 2.0
ENGLISH = ("en",)


@dataclass(frozen=True, slots=True)
class StandbyOptions:
    """What the settings say about the cloud behind the box."""

    mode: Mode
    lag_seconds: float
    cloud: Cloud | None
    plans: Plans
    prices: Prices


class Standby:
    """Hand out lanes, and see to their stretches."""

    def __init__(self, database: Database, worker: Worker, options: StandbyOptions) -> None:
        self.worker, self.options, self.tally = worker, options, StandbyTally()
        self.last_cause: str | None = None  # why the cloud was asked last
        self._database = database
        self._ear = CloudEar(options.cloud, options.prices, self.tally)
        self._lock = threading.Lock()
        self._open: list[Stretch] = []
        self._lanes: set[Lane] = set()
        self._closing = False
        self._failures, self._failed_s = 0, 0.0  # of the engine: in a row, and when the last was
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="standby", daemon=True)

    @property
    def on(self) -> bool:
        """Tell whether the cloud may ever hear anything."""
        return self.options.mode is not Mode.NEVER

    def start(self) -> "Standby":
        """Begin to look after stretches; if the cloud may hear nothing there will be none."""
        if not self.on:
            return self
        if not self._ear.configured:
            log.warning(
                "failover is %s, but there is no key: set SCRIBEBOX_DEEPGRAM_API_KEY; until then "
                "everything waits for the engine of the box",
                self.options.mode,
            )
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        return self

    def stop(self, timeout_s: float = 5.0) -> None:
        """Give up what is under way; whoever waits for it gets Cancelled."""
        with self._lock:
            self._closing = True
        self._look_again()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def lane(self, account_id: int, name: str, *, patient: bool) -> Lane | None:
        """Return the way for one take or file; None if that is the engine and nothing else."""
        return Lane(self, account_id, name, patient=patient) if self.on else None

    @property
    def decisions(self) -> list[Decision]:
        """Return what was decided last for every take and file that is in need."""
        with self._lock:
            lanes = list(self._lanes)
        return [lane.decision for lane in lanes if lane.decision.cause is not None]

    def hears(self, account_id: int) -> bool:
        """Tell whether the cloud would hear an account for a box without a model."""
        return self.on and hindrance_of(self._backing(account_id)) is None

    def take(self, stretch: Stretch) -> None:
        """See to a stretch from now on. For lanes."""
        with self._lock:
            if self._closing:
                raise Cancelled("the box is stopping")
            self._open.append(stretch)
            self._lanes.add(stretch.lane)
        stretch.when_done(lambda: self._let_go(stretch))
        self._look_again()

    def leave(self, lane: Lane) -> None:
        """Have nothing more to do with a lane, and write down what it has not charged."""
        with self._lock:
            self._lanes.discard(lane)
        try:
            if lane.owes:
                with self._database.write() as session:
                    charge = lane.charge(session, None)
                charge.settle()
        except Exception as error:  # it must not keep a take or a job from its end
            log.error("what the cloud heard for %s is not in the ledger: %s", lane.name, error)

    def _look_again(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._changed.set)

    def _let_go(self, stretch: Stretch) -> None:
        """A stretch has its result, or was given up: the engine need not hear it any more."""
        if stretch.inner is not None:
            stretch.inner.cancel()
        self._look_again()

    def _run(self) -> None:
        assert self._loop is not None
        try:
            self._loop.run_until_complete(self._watch())
        finally:
            self._loop.close()

    async def _watch(self) -> None:
        while not self._closing:
            pause_s = TICK_S if self._open else None
            try:
                self._look()
            except Exception:  # such as a database that is locked: that passes
                log.exception("the cloud behind the box stumbled; it goes on in %g s", RETRY_S)
                pause_s = RETRY_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause_s)
            self._changed.clear()
        for stretch in self._open:
            stretch.fail(Cancelled("the box is stopping"))
        await self._ear.close()

    def _look(self) -> None:
        """Decide for every lane, and see where each of its stretches is best."""
        with self._lock:
            ended = [one for one in self._open if one.done]
            self._open = stretches = [one for one in self._open if not one.done]
            lanes = list(self._lanes)
        for stretch in ended:
            if stretch.inner is not None:
                stretch.inner.cancel()
            if stretch.sending is not None and stretch.heard is None:  # else it is paid for
                stretch.sending.cancel()
        for stretch in stretches:
            self._note_failure(stretch)
        for lane in lanes:
            self._decide(lane, [one for one in stretches if one.lane is lane])
        for stretch in sorted(stretches, key=lambda one: (one.priority, one.submitted)):
            if stretch.sending is None and not stretch.done:
                self._place(stretch)

    def _note_failure(self, stretch: Stretch) -> None:
        """Take note of what the engine did not hear."""
        inner = stretch.inner
        if inner is None or not inner.done or stretch.done:
            return
        try:
            stretch.finish(inner.result(0))
        except Cancelled as error:  # the engine is stopping, and so are we
            stretch.fail(error)
        except Exception as error:
            stretch.inner, stretch.error = None, error
            if self.worker.failure is None:
                stretch.failures += 1
                self._failures += 1
                self._failed_s = time.monotonic()

    def _decide(self, lane: Lane, own: list[Stretch]) -> None:
        before, options = lane.decision, self.options
        cause = cause_of(
            options.mode,
            self._engine,
            lag_s=self._lag_s(lane, own),
            limit_s=options.lag_seconds,
            was_behind=before.cause == "behind",
        )
        lane.decision = BOX
        if cause is not None:
            lane.decision = Decision(cause, hindrance_of(self._backing(lane.account_id)))
        if lane.decision.reason != before.reason:
            self._tell(lane)

    def _tell(self, lane: Lane) -> None:
        """Log that somebody else hears a lane from now on, and why."""
        decision = lane.decision
        if decision.hindrance is not None:
            self.tally.hindered(decision.hindrance)
            log.warning(
                "%s stays on the box (%s), though that is in need: %s",
                lane.name,
                decision.hindrance,
                decision.cause,
            )
        elif decision.cause is not None:
            log.warning("the cloud hears %s for the box: %s", lane.name, decision.cause)
        else:
            log.info("the box hears %s by itself again", lane.name)

    @property
    def _engine(self) -> Engine:
        return Engine(
            missing=self.worker.failure is not None,
            failures=self._failures,
            since_failure_s=time.monotonic() - self._failed_s,
            busy_s=self.worker.busy_s,
        )

    def _backing(self, account_id: int) -> Backing:
        """Return how the cloud is for an account; its limits are asked anew each time."""
        if not self._ear.configured:
            return Backing(configured=False)
        with self._database.read() as session:
            account = accounts.numbered(session, account_id)
            limit = standing(session, account, self.options.plans).limit_type
        return Backing(limit=limit, resting=self._ear.resting)

    def _lag_s(self, lane: Lane, own: list[Stretch]) -> float:
        """Return how late the text of a lane is: as it says, else what its oldest window waits."""
        if not own:
            return 0.0
        if lane.lag_s is not None:
            return lane.lag_s()
        now_s = time.monotonic()
        waiting = [one for one in own if one.sending is None and not one.at_work]
        waited_s = max((now_s - one.submitted for one in waiting), default=0.0)
        if lane.decision.cause == "behind" and self.worker.waiting:
            return max(waited_s, self.options.lag_seconds)  # the engine has too much to do still
        return waited_s

    def _place(self, stretch: Stretch) -> None:
        """Send a stretch to where it is best, and leave it where that is already."""
        decision, engine = stretch.lane.decision, self._engine
        own = replace(engine, failures=max(engine.failures, stretch.failures))
        if decision.cause is None and is_failing(own):  # at this one, not at others
            backing = self._backing(stretch.lane.account_id)
            decision = Decision("engineFailing", hindrance_of(backing))
        movable = not stretch.at_work or is_stuck(engine, self.options.lag_seconds)
        if decision.to_cloud and movable and self._ear.free:
            self._send(stretch, decision)
            return
        if stretch.inner is not None:
            return
        failure = self.worker.failure
        if failure is not None:
            in_vain = decision.hindrance not in (None, "cloudUnreachable")
            if in_vain and not stretch.lane.patient:
                stretch.fail(failure)
            return
        if is_failing(own):
            silent = decision.hindrance == "cloudUnreachable" and is_failing(engine)
            if decision.to_cloud or silent:
                return  # it waits for a place there, or for either to come back
            if stretch.error is not None:
                stretch.fail(stretch.error)
                return
        self._submit(stretch)

    def _send(self, stretch: Stretch, decision: Decision) -> None:
        assert decision.cause is not None
        inner = stretch.inner
        if inner is not None and not inner.begun:
            stretch.inner = None
            inner.cancel()
        self.last_cause = decision.cause
        english = self.worker.state == "ready" and self.worker.model(0).languages == ENGLISH
        self._ear.begin(stretch, decision.cause, "en" if english else None)

    def _submit(self, stretch: Stretch) -> None:
        """Give a stretch to the engine; without a model it goes on waiting."""
        try:
            inner = self.worker.submit(stretch.samples, stretch.request, stretch.priority)
        except Cancelled as error:
            stretch.fail(error)
            return
        except EngineError:
            return
        stretch.inner = inner
        inner.when_done(lambda: self._heard(stretch, inner))

    def _heard(self, stretch: Stretch, inner: Ticket) -> None:
        """The engine has done with a stretch, or was told to leave it. In whichever thread."""
        heard = inner.heard
        if heard is not None:
            self._failures = 0
            stretch.finish(heard)
        self._look_again()
