"""The list of jobs: what waits, what runs, what ended of late, of one's own account."""

from datetime import timedelta

import pytest
from box_client import BASE, account, bearer, box_of

from appliance.store import jobs
from appliance.store.entities import Job, JobState, now

JOBS = "/api/v1/jobs"


@pytest.fixture
def client(started):
    """Return a client that may read and upload, of an account without any job."""
    account(started, "bob")
    started.headers.update(bearer(started, "sessions:read", "sessions:write", account="bob"))
    return started


def queued(client, **query):
    """Upload something; return the number of its job."""
    return client.post(f"{BASE}/", params=query, content=b"x").json()["job"]


def test_jobs_are_listed_newest_first_as_each_is_told_with_its_title(client):
    first, second = queued(client, title="Kickoff"), queued(client)
    listed = client.get(JOBS).json()
    assert [job["id"] for job in listed] == [second, first]
    assert [job["title"] for job in listed] == ["", "Kickoff"]
    for job in listed:
        assert job["createdAt"].endswith("Z")
        alone = client.get(f"{JOBS}/{job['id']}").json()
        assert {name: job[name] for name in alone} == alone
    assert listed[0]["position"] == listed[1]["position"] + 1


def test_a_job_that_ended_is_listed_for_a_day_and_an_open_one_as_long_as_it_is(client):
    ended, cancelled, waits = queued(client), queued(client), queued(client)
    assert client.post(f"{JOBS}/{cancelled}/cancel").status_code == 200
    with box_of(client).database.write() as session:
        jobs.end(session, session.get_one(Job, ended), JobState.FAILED, "it holds no sound")
    states = {job["id"]: (job["state"], job["error"]) for job in client.get(JOBS).json()}
    assert states == {
        waits: ("queued", None),
        cancelled: ("cancelled", None),
        ended: ("failed", "it holds no sound"),
    }
    with box_of(client).database.write() as session:
        for number in (ended, cancelled):
            session.get_one(Job, number).finished_at = now() - timedelta(hours=25)
        session.get_one(Job, waits).created_at = now() - timedelta(days=9)
    assert [job["id"] for job in client.get(JOBS).json()] == [waits]


def test_another_accounts_jobs_are_not_listed(client):
    queued(client)
    listed = client.get(JOBS, headers=bearer(client, "sessions:read")).json()
    assert {job["id"] for job in listed}.isdisjoint(j["id"] for j in client.get(JOBS).json())
    assert client.get(JOBS, headers=bearer(client, "recordings")).status_code == 403


def test_no_more_than_a_hundred_are_listed(client, monkeypatch):
    monkeypatch.setattr(jobs, "MOST_RECENT", 2)
    numbers = [queued(client) for _ in range(3)]
    assert [job["id"] for job in client.get(JOBS).json()] == numbers[:0:-1]
