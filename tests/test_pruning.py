"""What is of no use any more goes, what may be asked for stays; the log of writes is emptied."""

import logging
import sqlite3
import threading
from datetime import timedelta

import pytest
from aged_box import NOW, AgedBox
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import delete, select

from appliance.store import accounts, audit, idempotency, webhooks
from appliance.store.entities import (
    Account,
    Attempt,
    Audit,
    Delivery,
    DeliveryState,
    IdempotencyKey,
    Job,
    JobState,
    Message,
    SessionState,
    UsageEvent,
    Webhook,
)
from scheduler import pruning as duty
from scheduler.pruning import Pruning
from scheduler.retention import Days

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
PENDING, RETRYING = DeliveryState.PENDING, DeliveryState.RETRYING
DELIVERED, DEAD, CANCELLED = (
    DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.CANCELLED,
)  # fmt: skip


@pytest.fixture
def box(tmp_path):
    made = AgedBox(tmp_path / "box")
    yield made
    made.database.close()


def prune(box, text_days=0, at=NOW):
    Pruning(box.database, Days(0, text_days), box.stopping).run(at)


def left(box, column):
    with box.database.read() as session:
        return set(session.exec(select(column)))


def endpoint(session, account, deleted=False):
    row = Webhook(account_id=account, url="http://x", events=["session.created"], secret=b"s")
    row.deleted_at = NOW if deleted else None
    session.add(row)
    session.flush()
    return row.id


def deliver(session, account, endpoints, age, ended, state):
    """Make a message so old with a delivery to each endpoint that ended so long ago."""
    message = Message(account_id=account, event="session.created", body=b"{}")
    message.created_at = NOW - age
    session.add(message)
    session.flush()
    rows = []
    for webhook_id in endpoints:
        row = Delivery(id=webhooks.message_id(), webhook_id=webhook_id, message_id=message.id)
        row.state, row.created_at = state, NOW - age
        row.finished_at = None if state in (PENDING, RETRYING) else NOW - ended
        session.add(row)
        session.flush()
        session.add(Attempt(delivery_id=row.id, ms=1))
        rows.append(row)
    return message, rows


def test_deliveries_go_with_their_tries_and_their_message_when_their_time_is_over(box):
    alice, kept = box.account(), set()
    with box.database.write() as session:
        hook = endpoint(session, alice)
        for state, days in ((DELIVERED, 7), (CANCELLED, 7), (DEAD, 30)):
            deliver(session, alice, [hook], 40 * DAY, days * DAY, state)
            _, (row,) = deliver(session, alice, [hook], 40 * DAY, days * DAY - SECOND, state)
            kept.add(row.id)
        for state in (PENDING, RETRYING):
            _, (row,) = deliver(session, alice, [hook], 99 * DAY, 99 * DAY, state)
            kept.add(row.id)
    prune(box)
    assert left(box, Delivery.id) == left(box, Attempt.delivery_id) == kept
    assert len(left(box, Message.id)) == len(kept)
    assert left(box, Webhook.id) == {hook}


def test_a_message_stays_as_long_as_one_of_its_deliveries(box):
    alice = box.account()
    with box.database.write() as session:
        hooks = [endpoint(session, alice) for _ in "ab"]
        message, (first, second) = deliver(session, alice, hooks, 9 * DAY, 9 * DAY, DELIVERED)
        first.state, first.finished_at = RETRYING, None
        session.add(first)
    prune(box)
    assert left(box, Delivery.id) == {first.id} != {second.id}
    assert left(box, Message.id) == {message.id}


states = st.sampled_from([PENDING, RETRYING, DELIVERED, DEAD, CANCELLED])
few_days = st.sampled_from([None, 0, 1, 3, 10, 60])
ages = st.integers(0, 70)


@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)
@given(
    st.tuples(few_days, few_days),
    st.sampled_from([0, 2, 20]),
    st.lists(st.tuples(st.sampled_from([0, 1]), ages, ages, states), max_size=15),
)
def test_what_was_said_is_in_no_delivery_for_longer_than_the_account_keeps_text(
    box, own, text_days, some
):
    expected, limits = set(), [text_days if days is None else days for days in own]
    with box.database.write() as session:
        for table in (UsageEvent, Account, Audit):
            session.exec(delete(table))
        owners = [
            accounts.create(session, f"a{number}", kept={"retention_text_days": days}).id
            for number, days in enumerate(own)
        ]
        hooks = [endpoint(session, owner) for owner in owners]
        for owner, one, other, state in some:
            age, ended = max(one, other), min(one, other)
            _, (row,) = deliver(
                session, owners[owner], [hooks[owner]], age * DAY, ended * DAY, state
            )
            is_final = state not in (PENDING, RETRYING)
            too_long = ended >= (30 if state is DEAD else 7)
            forgotten = 0 < limits[owner] <= age
            if not (is_final and (too_long or forgotten)):
                expected.add(row.id)
    prune(box, text_days)
    assert left(box, Delivery.id) == left(box, Attempt.delivery_id) == expected
    assert len(left(box, Message.id)) == len(expected)


def test_a_deleted_endpoint_goes_after_its_last_delivery(box):
    alice = box.account()
    with box.database.write() as session:
        idle, deleted, busy = (endpoint(session, alice, deleted=d) for d in (False, True, True))
        deliver(session, alice, [busy], DAY, DAY, CANCELLED)
    prune(box)
    assert left(box, Webhook.id) == {idle, busy} and deleted
    prune(box, at=NOW + 9 * DAY)
    assert left(box, Webhook.id) == {idle}


def test_a_replay_at_the_last_moment_saves_a_delivery(box, monkeypatch):
    with box.database.write() as session:
        alice = accounts.create(session, "alice").id
        _, (row,) = deliver(session, alice, [endpoint(session, alice)], 9 * DAY, 9 * DAY, DELIVERED)
    write, replayed = box.database.write, []

    def replay_first():
        if not replayed:
            replayed.append(row.id)
            with write() as session:
                again = session.get_one(Delivery, row.id)
                again.state, again.finished_at = PENDING, None
                session.add(again)
        return write()

    monkeypatch.setattr(box.database, "write", replay_first)
    prune(box)
    assert replayed and left(box, Delivery.id) == {row.id}


def test_jobs_that_ended_go_after_a_month_and_no_session_with_them(box):
    alice = box.account()
    for state in (SessionState.DONE, SessionState.FAILED, SessionState.OPEN):
        box.session(alice, 30 * DAY, state=state)
    with box.database.write() as session:
        for job in session.exec(select(Job)):
            if job.finished_at is not None:
                job.finished_at = NOW - 30 * DAY
                session.add(job)
    prune(box)
    with box.database.read() as session:
        rows = {job.state: job for job in session.exec(select(Job))}
    assert set(rows) == {JobState.FAILED, JobState.QUEUED}  # that of a failed session goes with it
    assert len(box.named()) == 3
    box.retention().run(NOW)
    assert left(box, Job.state) == {JobState.QUEUED}
    assert len(box.named()) == len(box.there()) == 2


def test_keys_of_yesterday_are_forgotten_and_the_audit_and_the_ledger_never(box, caplog):
    alice = box.account()
    with box.database.write() as session:
        for number, age in enumerate((25, 24, 23)):
            idempotency.remember(session, alice, f"k{number}", "a", "x")
            session.flush()
            session.get_one(IdempotencyKey, (alice, f"k{number}")).created_at = NOW - timedelta(
                hours=age
            )
        audit.note(session, "key.create", "a secret")
        session.exec(select(Audit)).one().created_at = NOW - 9999 * DAY
    box.dictation(alice, 9999 * DAY, audio=False)
    with caplog.at_level(logging.INFO, "scheduler.pruning"):
        prune(box)
    assert left(box, IdempotencyKey.key) == {"k2"}
    assert len(left(box, Audit.id)) == 1 and len(left(box, UsageEvent.id)) == 1
    assert "2 of idempotency_key" in caplog.text


def test_it_goes_in_short_transactions_and_ends_soon_when_it_is_stopped(box, monkeypatch):
    alice = box.account()
    with box.database.write() as session:
        for number in range(5):
            idempotency.remember(session, alice, f"k{number}", "a", "x")
    monkeypatch.setattr(duty, "BUDGET_S", -1)
    box.stopping.wait = lambda _: box.stopping.set()
    prune(box)
    assert len(left(box, IdempotencyKey.key)) == 4
    del box.stopping.wait
    box.stopping.clear()
    prune(box)
    assert left(box, IdempotencyKey.key) == set()


def log_of(database):
    return database.path.with_name(database.path.name + "-wal").stat().st_size


@pytest.mark.usefixtures("account")
def test_a_checkpoint_empties_the_log_of_writes(database):
    assert log_of(database) > 0
    database.checkpoint()
    assert log_of(database) == 0
    with database.write() as session:
        assert session.connection().exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000


def test_a_checkpoint_gives_way_to_readers_and_writers(database, account):
    with database.read() as reading:
        assert reading.exec(select(Account.id)).one() == account
        with database.write() as session:
            session.add(Account(name="bob"))
        database.checkpoint()
        assert log_of(database) > 0
        with database.write() as session:
            session.add(Account(name="carol"))
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database.checkpoint()
    other.execute("ROLLBACK")
    other.close()
    held, over = threading.Event(), threading.Event()

    def write():
        with database.write() as session:
            session.add(Account(name="dora"))
            held.set()
            over.wait(60)

    writing = threading.Thread(target=write)
    writing.start()
    assert held.wait(60)
    checking = threading.Thread(target=database.checkpoint)
    checking.start()
    over.set()
    for thread in (writing, checking):
        thread.join(60)
    assert len(left_names(database)) == 4


def left_names(database):
    with database.read() as session:
        return session.exec(select(Account.name)).all()
