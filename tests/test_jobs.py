"""Jobs wait in order, end once, and start again after a crash."""

import pytest

from appliance.errors import Conflict, NotFound
from appliance.store import accounts, jobs, sessions
from appliance.store.entities import Job, JobState, SessionRow, SessionState, Source
from engine.transcript import Segment

SEGMENT = Segment(0, 900, "Half.", (), "whisper-tiny.en", 0.9)


def queued(session, account):
    return jobs.add(session, sessions.open_one(session, account, Source.UPLOAD))


def test_jobs_are_taken_in_the_order_they_came(database, account):
    with database.write() as session:
        first, second = queued(session, account), queued(session, account)
        assert [jobs.position(session, job) for job in (first, second)] == [0, 1]
        assert jobs.take(session).id == first.id
        assert jobs.take(session).id == second.id
        assert jobs.take(session) is None


def test_a_job_cut_off_is_queued_again_without_its_half_made_segments(database, account):
    with database.write() as session:
        job = queued(session, account)
        jobs.take(session)
        sessions.add_segments(session, job.session_id, [SEGMENT])
    with database.write() as session:
        assert jobs.requeue_running(session) == 1
    with database.read() as session:
        assert session.get_one(Job, job.id).state is JobState.QUEUED
        assert sessions.segments(session, job.session_id) == []


def test_a_cancelled_job_never_becomes_a_session(database, account):
    with database.write() as session:
        job = queued(session, account)
        jobs.cancel(session, job)
        assert jobs.take(session) is None
        assert session.get_one(SessionRow, job.session_id).state is SessionState.FAILED
        jobs.cancel(session, job)  # twice is fine


def test_a_job_that_has_ended_can_not_be_cancelled(database, account):
    with database.write() as session:
        job = queued(session, account)
        jobs.end(session, job, JobState.DONE)
        with pytest.raises(Conflict, match="done"):
            jobs.cancel(session, job)


def test_another_accounts_job_is_not_found(database, account):
    with database.write() as session:
        other = accounts.create(session, "bob").id
        job = queued(session, account)
        with pytest.raises(NotFound):
            jobs.get(session, other, job.id)
