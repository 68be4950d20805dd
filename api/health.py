"""How the box is: for monitors, without a key, so nothing here tells of paths or people."""

import shutil

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec

from api.auth import OPEN
from api.schemas import Check, Health
from api.threads import threaded
from appliance.box import Box
from appliance.store import accounts
from scheduler.clock import Clock

LOW_DISK_BYTES = 500_000_000
OK, DEGRADED, FAILED = "ok", "degraded", "failed"


@get(
    "/health",
    operation_id="health",
    tags=["box"],
    responses={503: ResponseSpec(Health, description="something the box can't do without failed")},
    **OPEN,
)
@threaded
def health(box: NamedDependency[Box], clock: NamedDependency[Clock]) -> Response[Health]:
    """Return ok, degraded (it works, not all of it) or, with 503, failed."""
    checks = {
        "database": database(box),
        "disk": disk(box),
        "engine": engine(box),
        "scheduler": Check(OK) if clock.running else Check(FAILED, "the clock has stopped"),
    }
    worst = max((c.status for c in checks.values()), key=[OK, DEGRADED, FAILED].index)
    return Response(Health(worst, checks), status_code=503 if worst == FAILED else 200)


def database(box: Box) -> Check:
    """Read a row."""
    try:
        with box.database.read() as session:
            accounts.every(session)
    except Exception as error:
        return Check(FAILED, f"can't be read: {type(error).__name__}")
    return Check(OK)


def disk(box: Box) -> Check:
    """Look how much room is left for audio."""
    free = shutil.disk_usage(box.folder.path).free
    if free < LOW_DISK_BYTES:
        return Check(DEGRADED, f"{free // 1_000_000} MB free, fewer than {LOW_DISK_BYTES // 10**6}")
    return Check(OK)


def engine(box: Box) -> Check:
    """Ask the worker; without a model the box still serves what it has."""
    if not box.uploads.alive:
        return Check(FAILED, "the queue of jobs has stopped; restart the box")
    if box.worker.failure is not None:
        return Check(DEGRADED, "no model is loaded; run scribebox doctor on the box")
    return Check(OK, None if box.worker.state == "ready" else "the model is being loaded")
