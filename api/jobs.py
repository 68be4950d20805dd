"""Transcription jobs over HTTP: which there are, how far one is, and giving one up."""

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlmodel import Session

from api.auth import needs
from api.schemas import Job as JobSchema
from api.schemas import ListedJob
from api.threads import threaded, writing
from appliance.box import Box
from appliance.store import jobs
from appliance.store.entities import Job, JobState
from appliance.store.keys import Caller
from appliance.store.sessions import timestamp

PATH = "/api/v1/jobs"
MISSING = "There is no such job."


@get(PATH, operation_id="listJobs", **needs("sessions:read"), tags=["jobs"])
@threaded
def list_jobs(box: NamedDependency[Box], caller: NamedDependency[Caller]) -> list[ListedJob]:
    """Return the jobs that wait or run and those that ended within a day, the newest first.

    The latest 100 of them.
    """
    with box.database.read() as session:
        return [
            ListedJob(
                **msgspec.structs.asdict(described(session, job)),
                title=title,
                created_at=timestamp(job.created_at),
            )
            for job, title in jobs.recent(session, caller.account_id)
        ]


@get(
    f"{PATH}/{{job_id:int}}",
    operation_id="getJob",
    **needs("sessions:read", _404=MISSING),
    tags=["jobs"],
)
@threaded
def get_job(
    box: NamedDependency[Box], job_id: FromPath[int], caller: NamedDependency[Caller]
) -> JobSchema:
    """Return how a job is: its place in the queue, its progress, its session once it is done."""
    with box.database.read() as session:
        return described(session, jobs.get(session, caller.account_id, job_id))


@post(
    f"{PATH}/{{job_id:int}}/cancel",
    operation_id="cancelJob",
    status_code=200,
    **needs("sessions:write", _404=MISSING, _409="The job has ended already."),
    tags=["jobs"],
)
@writing
def cancel_job(
    box: NamedDependency[Box], job_id: FromPath[int], caller: NamedDependency[Caller]
) -> JobSchema:
    """Give a job up, within one decode if it runs; its audio goes with it. Twice is fine."""
    job = box.uploads.cancel(caller.account_id, job_id)
    with box.database.read() as session:
        return described(session, job)


def described(session: Session, job: Job) -> JobSchema:
    """Return the job as clients see it."""
    assert job.id is not None
    return JobSchema(
        id=job.id,
        state=job.state.value,
        position=jobs.position(session, job),
        progress=round(job.progress, 4),
        session_id=job.session_id if job.state is JobState.DONE else None,
        error=job.error,
    )
