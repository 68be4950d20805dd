"""How the box is: for monitors, without a key, so nothing here tells of paths, people or addresses.

Every look is short: what takes long (the microphones, the backup) is remembered from before.
"""

import logging
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from litestar import Request, Response, get
from litestar.openapi import ResponseSpec

from api.auth import OPEN
from api.health_schemas import Check, Health, LastRun
from api.threads import monitoring
from appliance.box import Box
from appliance.standby import Standby
from appliance.store import deliveries, figures
from appliance.store.database import Database
from appliance.store.endpoints import FAILING, GONE
from appliance.store.entities import now
from appliance.store.sessions import timestamp
from scheduler.clock import Clock, Duty, Run
from scheduler.sweep import Sweep

log = logging.getLogger(__name__)
OK, DEGRADED, FAILED = "ok", "degraded", "failed"
STUCK_S = 300.0  # no window takes that long to decode
SOUND_S = 10.0  # without sound: a capture is started again sooner than that
DUE_S = 300.0  # so long a delivery may wait for its first try
DIED_DAYS = 3
OVERDUE_INTERVALS, OVERDUE_S = 3, 60.0
BACKED_UP_WITHIN = timedelta(hours=50)  # two nights and the time one takes


class Sender(Protocol):
    """What is asked of whoever delivers webhooks."""

    @property
    def alive(self) -> bool: ...

    @property
    def waits_for_database(self) -> bool: ...


class Backup(Protocol):
    """How the last backup went."""

    @property
    def at(self) -> datetime: ...

    @property
    def error(self) -> str | None: ...


class Nightly(Protocol):
    """What is asked of whoever makes the nightly backups."""

    @property
    def last(self) -> Backup | None: ...


@get(
    "/health",
    operation_id="health",
    tags=["box"],
    responses={503: ResponseSpec(Health, description="something the box can't do without failed")},
    **OPEN,
)
@monitoring
def health(request: Request[Any, Any, Any]) -> Response[Health]:
    """Return ok, degraded (it works, not all of it) or, with 503, failed."""
    state = request.app.state
    found = examine(
        state.box, state.clock, state.get("deliverer"), state.get("nightly"), state.get("sweep")
    )
    return Response(found, status_code=503 if found.status == FAILED else 200)


def examine(
    box: Box,
    clock: Clock,
    sender: Sender | None = None,
    nightly: Nightly | None = None,
    sweep: Sweep | None = None,
) -> Health:
    """Look at every part; a look that breaks says so and hides no other."""
    looks: dict[str, Callable[[], Check]] = {
        "database": lambda: database(box.database),
        "disk": lambda: disk(box),
        "engine": lambda: engine(box),
        "failover": lambda: failover(box.standby),
        "microphone": lambda: microphone(box),
        "scheduler": lambda: scheduler(clock),
        "webhooks": lambda: webhooks(box.database, sender),
    }
    if nightly is not None:
        looks["backup"] = lambda: backup(nightly)
    if sweep is not None:
        looks["audio"] = lambda: audio(sweep)
    checks = {}
    for name, look in looks.items():
        try:
            checks[name] = look()
        except Exception as error:
            log.warning("no look at the %s: %s", name, type(error).__name__)
            checks[name] = Check(DEGRADED, f"can't be looked at: {type(error).__name__}")
    worst = max((check.status for check in checks.values()), key=[OK, DEGRADED, FAILED].index)
    return Health(worst, checks)


def database(found: Database) -> Check:
    """Read a row."""
    try:
        with found.read() as session:
            figures.anything(session)
    except Exception as error:
        return Check(FAILED, f"can't be read: {type(error).__name__}")
    if not found.is_in_place:
        return Check(FAILED, "its file is gone or another one; what is written now will be lost")
    return Check(OK)


def disk(box: Box) -> Check:
    """Look how much room is left for audio."""
    free, least = shutil.disk_usage(box.folder.path).free, box.settings.disk_refuse_bytes
    if free < least:
        said = f"{free // 10**6} MB free, fewer than {least // 10**6}"
        return Check(DEGRADED, f"{said}: no upload and no recording begins")
    return Check(OK)


def engine(box: Box) -> Check:
    """Ask the worker; without a model the box still serves what it has."""
    if not box.uploads.alive:
        return Check(FAILED, "the queue of jobs has stopped; restart the box")
    if not box.worker.alive:
        return Check(FAILED, "the engine has stopped; restart the box")
    if box.worker.failure is not None:
        return Check(DEGRADED, "no model is loaded; run scribebox doctor on the box")
    if box.worker.busy_s > STUCK_S:
        return Check(DEGRADED, f"it has been at one window for {box.worker.busy_s:.0f} s")
    return Check(OK, None if box.worker.state == "ready" else "the model is being loaded")


def failover(standby: Standby) -> Check:
    """Ask who hears recordings and files; that the cloud does is worth a look."""
    mode = standby.options.mode
    if not standby.on:
        return Check(OK, "never: nothing leaves the box")
    if not standby.alive:
        return Check(FAILED, f"{mode}, but nobody decides any more; restart the box")
    if standby.options.cloud is None:
        return Check(DEGRADED, f"{mode}, but there is no key: the cloud hears nothing")
    decisions = standby.decisions
    in_vain = sorted({str(one.hindrance) for one in decisions if one.hindrance is not None})
    causes = sorted({str(one.cause) for one in decisions if one.to_cloud})
    if in_vain:
        return Check(DEGRADED, f"{mode}; the box is in need, the cloud hears nothing: {in_vain[0]}")
    if causes:
        return Check(DEGRADED, f"{mode}; the cloud hears for the box: {', '.join(causes)}")
    last = f"; the last time: {standby.last_cause}" if standby.last_cause is not None else ""
    return Check(OK, f"{mode}; the box hears by itself{last}")


def microphone(box: Box) -> Check:
    """Ask the recordings that run; without one, look for the microphone that is configured.

    A box without any is as it should be: not every one records.
    """
    takes = [take for take in box.recorder.takes if take.recording]
    alarms = {alarm for take in takes for alarm in take.alarms}
    if "deviceLost" in alarms:
        return Check(DEGRADED, "a recording has lost its microphone; it waits for it")
    if any(time.time() - take.capturing.last_sample_s > SOUND_S for take in takes):
        return Check(DEGRADED, "a recording gets no sound")
    if "silent" in alarms:
        return Check(DEGRADED, "a recording hears nothing but silence; is it muted?")
    if takes:
        return Check(OK, "recording")
    listing, wanted = box.recorder.microphones.known(), box.settings.input_device
    if listing is None:
        return Check(OK, "not looked for yet")
    if wanted is not None and not listing.has(wanted):
        return Check(DEGRADED, "the one of input_device isn't there; see scribebox devices")
    return Check(OK, None if listing.devices else "no microphone")


def scheduler(clock: Clock) -> Check:
    """Ask the clock how every duty went the last time, and whether it is late."""
    runs = {duty.name: last_run(clock.last.get(duty.name)) for duty in clock.duties}
    if not clock.running:
        return Check(FAILED, "the clock has stopped; restart the box", runs)
    started = clock.started_at
    failed = [name for name, run in runs.items() if run.outcome == FAILED]
    late = [duty.name for duty in clock.duties if is_late(duty, clock.last.get(duty.name), started)]
    said = [f"failed: {', '.join(failed)}"] if failed else []
    said += [f"late: {', '.join(late)}"] if late else []
    return Check(DEGRADED if said else OK, "; ".join(said) or None, runs)


def last_run(run: Run | None) -> LastRun:
    """Return what is told of a run."""
    if run is None:
        return LastRun("not yet")
    return LastRun(OK if run.error is None else FAILED, timestamp(run.at), round(run.seconds, 3))


def is_late(duty: Duty, run: Run | None, started: datetime | None) -> bool:
    """Tell whether a duty should have run since."""
    since = started if run is None else run.at + timedelta(seconds=run.seconds)
    patience = timedelta(seconds=OVERDUE_INTERVALS * duty.every_s + OVERDUE_S)
    return since is not None and datetime.now(UTC) - since > patience


def webhooks(found: Database, sender: Sender | None = None) -> Check:
    """Count what was given up, and look whether the sender stands still."""
    if sender is not None and not sender.alive:
        return Check(DEGRADED, "nothing is sent any more; restart the box")
    if sender is not None and sender.waits_for_database:
        return Check(DEGRADED, "the database can't be written; deliveries wait for it")
    with found.read() as session:
        standing = deliveries.standing(session)
        died = figures.died_since(session, now() - timedelta(days=DIED_DAYS))
    disabled = [(standing.disabled.get(why, 0), why) for why in (GONE, FAILING)]
    counts = ", ".join(f"{count} {why}" for count, why in disabled if count)
    said = [f"endpoints disabled: {counts}"] if counts else []
    said += [f"deliveries given up in {DIED_DAYS} days: {died}"] if died else []
    if standing.oldest_pending_s > DUE_S:
        said.append(f"one has waited {standing.oldest_pending_s:.0f} s for its first try")
    return Check(DEGRADED if said else OK, "; ".join(said) or None)


def audio(sweep: Sweep) -> Check:
    """Ask how many files the last sweep missed."""
    if sweep.missing:
        return Check(DEGRADED, f"{sweep.missing} audio files are missing; is there a backup?")
    return Check(OK)


def backup(nightly: Nightly) -> Check:
    """Ask how the last one went."""
    last = nightly.last
    if last is None:
        return Check(OK, "none since the start")
    if last.error is not None:
        return Check(DEGRADED, "the last one failed; see the log of the box")  # it may name a path
    if datetime.now(UTC) - last.at > BACKED_UP_WITHIN:
        days = (datetime.now(UTC) - last.at).days
        return Check(DEGRADED, f"the last one is {days} days old")
    return Check(OK)
