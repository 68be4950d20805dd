"""The cloud behind the engine: carry out, stretch by stretch, what `engine.failover` decides.

One thread looks at all stretches that are under way, whenever something changes and four times a
second. One that waits may be taken back from the engine and sent to the cloud; what comes first is
its result, what comes second is thrown away. The cloud silent too, it goes on waiting.
"""

import asyncio
import contextlib
import logging
import threading
from dataclasses import dataclass, replace

from appliance.box_ear import BoxEar
from appliance.cloud_ear import CloudEar
from appliance.lane import Lane, Stretch
from appliance.plans import Plans
from appliance.prices import Prices
from appliance.quota import standing
from appliance.standby_tally import StandbyTally
from appliance.store import accounts
from appliance.store.database import Database
from engine.cloud import Cloud
from engine.errors import Cancelled
from engine.failover import (
    Backing,
    Decision,
    Mode,
    cause_of,
    hindrance_of,
    is_failing,
    is_stuck,
)
from engine.worker import Worker

log = logging.getLogger(__name__)
TICK_S = 0.25
RETRY_S = 2.0


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
        self._cloud = CloudEar(options.cloud, options.prices, self.tally, self._settle)
        self._box = BoxEar(worker, self._look_again)
        self._lock = threading.Lock()
        self._charging = threading.Lock()  # outside that of the database
        self._open: list[Stretch] = []
        self._lanes: set[Lane] = set()
        self._closing = False
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
        if not self._cloud.configured:
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
    def alive(self) -> bool:
        """Tell whether stretches are seen to."""
        return self._thread.is_alive()

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
        """Have nothing more to do with a lane and its stretches; charge what it has not."""
        with self._lock:
            self._lanes.discard(lane)
            own = [one for one in self._open if one.lane is lane]
        for stretch in own:
            stretch.cancel()
        self._settle(lane)

    def _settle(self, lane: Lane) -> None:
        """Write down what a lane that was left has not charged."""
        try:
            with self._charging:
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
            pause_s: float | None = TICK_S
            try:
                self._look()
                if not self._open and all(one.cause == "modelMissing" for one in self.decisions):
                    pause_s = None
            except Exception:  # such as a database that is locked: that passes
                log.exception("the cloud behind the box stumbled; it goes on in %g s", RETRY_S)
                pause_s = RETRY_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause_s)
            self._changed.clear()
        for stretch in self._open:
            stretch.fail(Cancelled("the box is stopping"))
        await self._cloud.close()

    def _look(self) -> None:
        """Decide for every lane, and see where each of its stretches is best."""
        with self._lock:
            ended = [one for one in self._open if one.done]
            self._open = stretches = [one for one in self._open if one not in ended]
            lanes = list(self._lanes)
        for stretch in ended:
            if stretch.inner is not None:
                stretch.inner.cancel()
            if stretch.sending is not None and stretch.heard is None:  # else it is paid for
                stretch.sending.cancel()
        for stretch in stretches:
            self._box.look(stretch)
        for lane in lanes:
            self._decide(lane, [one for one in stretches if one.lane is lane])
        for stretch in sorted(stretches, key=lambda one: (one.priority, one.submitted)):
            if stretch.sending is None and not stretch.done:
                self._place(stretch)

    def _decide(self, lane: Lane, own: list[Stretch]) -> None:
        before, options = lane.decision, self.options
        was_behind = before.cause == "behind"
        lag_s = lane.late_s(own)
        if was_behind and lane.lag_s is None and self.worker.waiting:
            lag_s = max(lag_s, options.lag_seconds)  # the engine has too much to do still
        cause = cause_of(
            options.mode,
            self._box.engine,
            lag_s=lag_s,
            limit_s=options.lag_seconds,
            was_behind=was_behind,
        )
        hindrance = None if cause is None else hindrance_of(self._backing(lane.account_id))
        lane.decision = Decision(cause, hindrance)
        if lane.decision.reason != before.reason:
            self._tell(lane)

    def _tell(self, lane: Lane) -> None:
        """Log that somebody else hears a lane from now on, and why; each reason once."""
        decision, name = lane.decision, lane.name
        if decision.reason is None:
            log.info("the box hears %s by itself again", name)
        if decision.reason is None or decision.reason in lane.told:
            return
        lane.told.add(decision.reason)
        if decision.hindrance is None:
            log.warning("the cloud hears %s for the box: %s", name, decision.cause)
            return
        self.tally.hindered(decision.hindrance)
        said = "%s stays on the box (%s), though that is in need: %s"
        log.warning(said, name, decision.hindrance, decision.cause)

    def _backing(self, account_id: int) -> Backing:
        """Return how the cloud is for an account; its limits are asked anew each time."""
        if not self._cloud.configured:
            return Backing(configured=False)
        with self._database.read() as session:
            account = accounts.numbered(session, account_id)
            limit = standing(session, account, self.options.plans).limit_type
        return Backing(limit=limit, resting=self._cloud.resting)

    def _place(self, stretch: Stretch) -> None:
        """Send a stretch to where it is best, and leave it where that is already."""
        decision, engine = stretch.lane.decision, self._box.engine
        own = replace(engine, failures=max(engine.failures, stretch.failures))
        if decision.cause is None and is_failing(own):  # at this one, not at others
            backing = self._backing(stretch.lane.account_id)
            decision = Decision("engineFailing", hindrance_of(backing))
        movable = not stretch.at_work or is_stuck(engine, self.options.lag_seconds)
        if decision.to_cloud and movable and self._cloud.free:
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
        self._box.begin(stretch)

    def _send(self, stretch: Stretch, decision: Decision) -> None:
        assert decision.cause is not None
        inner = stretch.inner
        if inner is not None and not inner.begun:
            stretch.inner = None
            inner.cancel()
        self.last_cause = decision.cause
        self._cloud.begin(stretch, decision.cause, self._box.language)
