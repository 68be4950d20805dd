"""Transcription jobs: the queue on the disk.

A job is queued, running and then done, failed or cancelled. Whoever takes one is the one thread
of `appliance.uploads`; a job found running at start was cut off and is queued again.
"""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import func
from sqlmodel import Session, col, select

from appliance.errors import Conflict, NotFound
from appliance.store import sessions
from appliance.store.database import tell
from appliance.store.entities import Job, JobState, SessionRow, now

OPEN = (JobState.QUEUED, JobState.RUNNING)
RECENT, MOST_RECENT = timedelta(days=1), 100


def add(session: Session, row: SessionRow, language: str | None = None) -> Job:
    """Queue the transcription of a session's audio."""
    assert row.id is not None
    job = Job(account_id=row.account_id, session_id=row.id, language=language)
    session.add(job)
    session.flush()
    changed(session, job)
    return job


def get(session: Session, account_id: int, job_id: int) -> Job:
    """Return a job of the account."""
    job = session.get(Job, job_id) if 0 < job_id < 2**63 else None
    if job is None or job.account_id != account_id:
        raise NotFound(f"there is no job {job_id}")
    return job


def owners(session: Session) -> list[int]:
    """Return the accounts that have a job in the queue."""
    waiting = select(Job.account_id).where(Job.state == JobState.QUEUED).distinct()
    return list(session.exec(waiting))


def recent(session: Session, account_id: int) -> list[tuple[Job, str]]:
    """Return open jobs and those ended within a day, with titles, the newest first."""
    listed = col(Job.state).in_(OPEN) | (col(Job.finished_at) > now() - RECENT)
    rows = session.exec(
        select(Job, SessionRow.title)
        .where(Job.session_id == SessionRow.id, Job.account_id == account_id, listed)
        .order_by(col(Job.id).desc())
        .limit(MOST_RECENT)
    )
    return [(job, title) for job, title in rows]


def take(session: Session, owners: Collection[int] | None = None) -> Job | None:
    """Mark the oldest queued job (of these accounts) as running and return it."""
    queued = select(Job).where(Job.state == JobState.QUEUED).order_by(col(Job.id)).limit(1)
    if owners is not None:
        queued = queued.where(col(Job.account_id).in_(owners))
    job = session.exec(queued).first()
    if job is not None:
        job.state, job.started_at, job.progress = JobState.RUNNING, now(), 0.0
        session.add(job)
        changed(session, job)
    return job


def end(session: Session, job: Job, state: JobState, error: str | None = None) -> None:
    """Note how a job ended."""
    job.state, job.error, job.finished_at = state, error, now()
    if state is JobState.DONE:
        job.progress = 1.0
    session.add(job)
    changed(session, job)


def cancel(session: Session, job: Job) -> None:
    """Give up a job that waits or runs, its session hidden for ever; twice is fine."""
    if job.state is JobState.CANCELLED:
        return
    if job.state not in OPEN:
        raise Conflict(f"job {job.id} can't be cancelled: it is {job.state.value}")
    end(session, job, JobState.CANCELLED)
    row = session.get(SessionRow, job.session_id)
    if row is not None:
        sessions.clear_segments(session, job.session_id)
        sessions.fail(session, row)


def requeue_running(session: Session) -> int:
    """Queue again what a crash cut off, its half-made segments deleted; return how many."""
    cut_off = session.exec(select(Job).where(Job.state == JobState.RUNNING)).all()
    for job in cut_off:
        job.state, job.started_at, job.progress = JobState.QUEUED, None, 0.0
        session.add(job)
        sessions.clear_segments(session, job.session_id)
    return len(cut_off)


def position(session: Session, job: Job) -> int:
    """Return how many jobs are served before this one; 0 once it runs."""
    if job.state is not JobState.QUEUED:
        return 0
    before = select(func.count()).where(col(Job.state).in_(OPEN), col(Job.id) < job.id)
    return session.exec(before).one()


def changed(session: Session, job: Job) -> None:
    """Tell that a job is in another state, once that is committed."""
    tell(session, "job.changed", job_id=job.id, state=job.state.value)
