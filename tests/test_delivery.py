"""Deliveries are made: woken by commits, signed, retried, one at a time, in lanes, over a stop."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
import receiver
from delivering import (
    EVENT,
    RECEIVED,
    SECRETS,
    WAIT_S,
    FakeSender,
    VirtualClock,
    delivering,
    hooked,
    real_sender,
    rows,
    tell_all,
    until,
)
from sqlalchemy.exc import OperationalError
from sqlmodel import select
from standardwebhooks import Webhook as Verifier

from appliance.errors import Conflict, NotFound
from appliance.store import deliveries, endpoints
from appliance.store.entities import Attempt, Delivery, DeliveryState, Message, Webhook, now
from scheduler import delivery, lanes
from scheduler.claims import Claims
from scheduler.delivery import Deliverer
from scheduler.lanes import Lane
from scheduler.sending import Outcome

FAILED = Outcome(500, None, 3)
ONE, TWO = "http://10.0.0.1/", "http://10.0.0.2/"
DAY_S = 86400


@pytest.fixture
def clock():
    """Return a clock that stands still until the test moves it."""
    return VirtualClock()


@pytest.fixture
def settled(monkeypatch):
    """Count the times at which results were recorded and claims made."""
    done, settle = threading.Semaphore(0), Claims.settle

    def counted(self, *arguments):
        try:
            return settle(self, *arguments)
        finally:
            done.release()

    monkeypatch.setattr(Claims, "settle", counted)
    return done


@pytest.fixture
def patient(monkeypatch):
    """Let no try count as late."""
    monkeypatch.setattr(delivery, "LATE_AFTER_S", 1e6)


def states(database):
    return sorted(row.state.value for row in rows(database))


def reached(database, *wanted):
    until(lambda: states(database) == sorted(wanted))


def one(database, kind=Delivery):
    (row,) = rows(database, kind)
    return row


def change(database, kind, **values):
    with database.write() as session:
        for row in session.exec(select(kind)):
            row.sqlmodel_update(values)
            session.add(row)


def test_a_commit_is_all_it_takes_and_the_stored_bytes_arrive_signed(database, account):
    body = '{"title": "Zoë", "n":  1}'.encode()
    with receiver.receiving() as there, delivering(database, real_sender()):
        hooked(database, account, there.url("/hook"))
        tell_all(database, account)
        there.wait_for(1)
        change(database, Message, body=body)
        tell_all(database, account)
        there.wait_for(2)
        reached(database, "delivered", "delivered")
        (path, headers, sent), _ = there.received()
        secret = SECRETS.open(one(database, Webhook).secret)
    assert (path, sent) == ("/hook", b'{"number": 0}')
    assert headers["webhook-event"] == EVENT
    assert headers["webhook-id"] == rows(database)[0].id
    Verifier(secret).verify(sent, headers)


def test_both_secrets_sign_while_a_rotation_lasts(database, account, clock):
    sender, new = FakeSender(), SECRETS.new()
    clock.at = now()  # the verifier has a clock of its own
    hooked(database, account, ONE)
    with database.write() as session:
        row = session.exec(select(Webhook)).one()
        old = SECRETS.open(row.secret)
        endpoints.rotate(session, row, SECRETS.seal(new), clock.now())
    with delivering(database, sender, now=clock.now, monotonic_s=clock.monotonic_s):
        tell_all(database, account)
        sender.wait_for(1)
        clock.pass_s(DAY_S)
        tell_all(database, account)
        sender.wait_for(1)
    during, after = sender.sent
    for secret in (old, new):
        Verifier(secret).verify(during.body, during.headers)
    assert len(after.headers["webhook-signature"].split()) == 1


def test_a_failure_is_retried_when_it_is_due_and_not_before(database, account, clock, settled):
    answers = [FAILED, FAILED, RECEIVED]
    sender = FakeSender(lambda _: answers.pop(0))
    hooked(database, account, ONE)
    tell_all(database, account)
    timing = {"now": clock.now, "monotonic_s": clock.monotonic_s, "random": Random(1)}
    with delivering(database, sender, **timing) as deliverer:
        sender.wait_for(1)
        for tries, delay_s in ((1, 5), (2, 30)):
            until(lambda tries=tries: len(rows(database, Attempt)) == tries)
            row = one(database)
            waits_s = (row.due_at - clock.now()).total_seconds()
            assert row.state is DeliveryState.RETRYING and delay_s <= waits_s <= delay_s * 1.2
            while settled.acquire(blocking=False):
                pass
            clock.pass_s(waits_s - 0.001)
            deliverer.wake()
            assert settled.acquire(timeout=WAIT_S) and len(sender.sent) == tries
            clock.pass_s(0.001)
            deliverer.wake()
            sender.wait_for(1)
        reached(database, "delivered")
        stats = deliverer.stats()
    assert (stats.delivered, stats.failed, stats.dead) == (1, 2, 0)
    assert len({sent.headers["webhook-id"] for sent in sender.sent}) == 1
    assert one(database, Webhook).failures == 0


def test_an_endpoint_gets_one_at_a_time_and_the_others_go_on(database, account):
    sender = FakeSender()
    sender.hold(ONE)
    hooked(database, account, ONE, TWO)
    tell_all(database, account, 3)
    with delivering(database, sender):
        reached(database, *["delivered"] * 3, *["pending"] * 3)
        assert [sent.url for sent in sender.sent].count(ONE) == 1
        sender.let_go(ONE)
        reached(database, *["delivered"] * 6)


def test_nothing_is_looked_for_over_and_over_while_an_endpoint_is_busy(
    database, account, settled, patient
):
    sender = FakeSender()
    sender.hold(ONE)
    hooked(database, account, ONE)
    tell_all(database, account, 20)
    with delivering(database, sender) as deliverer:
        sender.wait_for(1)
        while settled.acquire(timeout=0.2):
            pass
        for _ in range(3):
            deliverer.wake()
            assert settled.acquire(timeout=WAIT_S)
        assert not settled.acquire(timeout=0.2)
        assert len(sender.sent) == 1


def test_healthy_endpoints_share_eight_slots_and_slow_ones_have_two(database, account, patient):
    sender = FakeSender()
    urls = [f"http://10.0.0.{n}/" for n in range(12)]
    sender.hold(*urls)
    slow = hooked(database, account, *urls[:3])
    change(database, Webhook, failures=3, failing_since=now())
    hooked(database, account, *urls[3:])
    tell_all(database, account)
    with delivering(database, sender) as deliverer:
        sender.wait_for(10)
        assert deliverer.stats().in_flight == {Lane.HEALTHY: 8, Lane.SLOW: 2, Lane.LATE: 0}
        assert len({sent.url for sent in sender.sent} & set(urls[: len(slow)])) == 2
        sender.let_go(*urls)
        reached(database, *["delivered"] * 12)
        assert deliverer.stats().in_flight == {Lane.HEALTHY: 0, Lane.SLOW: 0, Lane.LATE: 0}


def test_receivers_that_never_answer_make_no_healthy_one_wait(database, account, monkeypatch):
    monkeypatch.setattr(delivery, "LATE_AFTER_S", 0.02)
    sender = FakeSender()
    dead = [f"http://10.0.0.{n}/" for n in range(20)]
    sender.hold(*dead)
    hooked(database, account, *dead)
    tell_all(database, account)
    with delivering(database, sender) as deliverer:
        sender.wait_for(20)  # all of them, eight at a time
        until(lambda: deliverer.stats().in_flight[Lane.LATE] == 20)
        healthy = hooked(database, account, "http://10.0.1.1/")
        tell_all(database, account)
        until(lambda: any(r.webhook_id in healthy for r in rows(database) if r.finished_at))
        sender.let_go(*dead)


def test_there_are_only_so_many_late_ones(database, account, monkeypatch):
    monkeypatch.setattr(delivery, "LATE_AFTER_S", 0.02)
    monkeypatch.setitem(lanes.SLOTS, Lane.LATE, 2)
    sender = FakeSender()
    urls = [f"http://10.0.0.{n}/" for n in range(12)]
    sender.hold(*urls)
    hooked(database, account, *urls)
    tell_all(database, account)
    with delivering(database, sender) as deliverer:
        sender.wait_for(10)
        assert deliverer.stats().in_flight == {Lane.HEALTHY: 8, Lane.SLOW: 0, Lane.LATE: 2}
        sender.let_go(sender.sent[0].url)
        sender.wait_for(1)
        sender.let_go(*urls)
        reached(database, *["delivered"] * 12)


def test_an_endpoint_in_the_slow_lane_is_healthy_again_after_one_success(database, account):
    sender = FakeSender()
    hooked(database, account, ONE)
    change(database, Webhook, failures=9, failing_since=now())
    tell_all(database, account)
    with delivering(database, sender):
        reached(database, "delivered")
    assert (one(database, Webhook).failures, one(database, Webhook).failing_since) == (0, None)


def test_a_row_nobody_can_make_sense_of_is_a_failed_try_and_stops_no_other(
    database, account, caplog
):
    def answer(outgoing):
        if outgoing.url == TWO:
            raise RuntimeError("a secret: " + outgoing.url)
        return RECEIVED

    sealed, faulty, fine = hooked(database, account, "http://10.0.0.3/", TWO, ONE)
    with database.write() as session:
        session.get_one(Webhook, sealed).secret = b"nonsense"
    tell_all(database, account)
    with delivering(database, FakeSender(answer)):
        reached(database, "delivered", "retrying", "retrying")
    with database.read() as session:
        found = {
            row.webhook_id: attempt.error
            for row in session.exec(select(Delivery))
            for attempt in session.exec(select(Attempt).where(Attempt.delivery_id == row.id))
        }
    assert found == {sealed: "bad secret", faulty: "failed", fine: None}
    assert "RuntimeError" in caplog.text and TWO not in caplog.text


def test_an_empty_url_is_a_failed_try(database, account):
    hooked(database, account, "")
    tell_all(database, account)
    with delivering(database, real_sender()):
        reached(database, "retrying")
    assert one(database, Attempt).error == "bad url"


@pytest.mark.parametrize(
    ("fault", "left"),
    [(OperationalError("", {}, Exception("disk full")), 1), (RuntimeError("odd"), 2)],
)
def test_a_result_that_can_not_be_written_is_written_later_or_the_delivery_sent_again(
    database, account, monkeypatch, caplog, fault, left
):
    monkeypatch.setattr(delivery, "AGAIN_S", 0.01)
    settle, clock = Claims.settle, VirtualClock()

    def failing(self, results, *arguments):
        if results and not failed.is_set():
            failed.set()
            raise fault
        return settle(self, results, *arguments)

    failed, sender = threading.Event(), FakeSender()
    monkeypatch.setattr(Claims, "settle", failing)
    hooked(database, account, ONE)
    tell_all(database, account)
    timing = {"now": clock.now, "monotonic_s": clock.monotonic_s}
    with delivering(database, sender, **timing) as deliverer:
        sender.wait_for(1)
        assert failed.wait(WAIT_S)
        clock.pass_s(60)  # the lease
        deliverer.wake()
        reached(database, "delivered")
    assert len(sender.sent) == left
    assert len({sent.headers["webhook-id"] for sent in sender.sent}) == 1
    assert "wait for the database" in caplog.text


def test_what_a_dead_process_had_in_flight_is_sent_again_at_once(database, account):
    hooked(database, account, ONE)
    tell_all(database, account)
    change(database, Delivery, tries=1, leased_until=now() + timedelta(seconds=60))
    with delivering(database, FakeSender()):
        reached(database, "delivered")
    assert [attempt.error for attempt in rows(database, Attempt)] == ["cut off", None]


def test_a_stop_lets_what_is_in_flight_end_and_records_it(database, account):
    sender = FakeSender()
    sender.hold(ONE)
    hooked(database, account, ONE)
    tell_all(database, account)
    deliverer = Deliverer(database, sender, SECRETS).start()
    sender.wait_for(1)
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(deliverer.stop, WAIT_S)
        until(lambda: not deliverer.alive)
        sender.let_go(ONE)
        stopping.result(WAIT_S)
    assert states(database) == ["delivered"] and sender.closed


def test_a_stop_cuts_what_does_not_end_and_the_next_start_sends_it_again_at_once(database, account):
    sender = FakeSender()
    sender.hold(ONE)
    hooked(database, account, ONE, TWO)
    tell_all(database, account, 2)
    with delivering(database, sender):
        reached(database, "delivered", "delivered", "pending", "pending")
    cut = next(row for row in rows(database) if row.id == sender.sent[0].headers["webhook-id"])
    assert (cut.leased_until, cut.tries) == (None, 0)
    sender.let_go(ONE)
    with delivering(database, sender):
        reached(database, *["delivered"] * 4)
    ids = [sent.headers["webhook-id"] for sent in sender.sent if sent.url == ONE]
    assert len(ids) == 3 and ids[0] == ids[1]


def test_after_a_stop_nothing_is_claimed_and_waking_does_no_harm(database, account):
    hooked(database, account, ONE)
    with delivering(database, FakeSender()) as deliverer:
        assert deliverer.alive
    deliverer.wake()
    tell_all(database, account)
    assert states(database) == ["pending"] and not deliverer.alive
    with pytest.raises(Conflict, match="stop"):
        deliverer.send_now(1)


@pytest.mark.parametrize(("outcome", "ends"), [(RECEIVED, "delivered"), (FAILED, "cancelled")])
def test_a_delivery_cancelled_in_flight_ends_with_what_it_gave(database, account, outcome, ends):
    sender = FakeSender(lambda _: outcome)
    sender.hold(ONE)
    hooked(database, account, ONE)
    tell_all(database, account, 2)
    with delivering(database, sender) as deliverer:
        sender.wait_for(1)
        with database.write() as session:
            endpoints.disable(session, session.exec(select(Webhook)).one(), "asked")
        assert states(database) == ["cancelled", "cancelled"]
        sender.let_go(ONE)
        until(lambda: rows(database, Attempt))
        deliverer.wake()
    assert states(database) == sorted(["cancelled", ends]) and len(sender.sent) == 1


def test_a_replay_is_sent_at_once_under_the_same_id_with_a_new_timestamp(database, account, clock):
    sender = FakeSender()
    hooked(database, account, ONE)
    tell_all(database, account)
    with delivering(database, sender, now=clock.now, monotonic_s=clock.monotonic_s):
        reached(database, "delivered")
        clock.pass_s(10)
        with database.write() as session:
            deliveries.replay(session, account, one(database).id)
        sender.wait_for(2)
        until(lambda: len(rows(database, Attempt)) == 2)
    first, second = (sent.headers for sent in sender.sent)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 10


def test_a_replay_of_what_waits_or_is_in_flight_is_not_sent_twice(database, account):
    sender = FakeSender()
    sender.hold(ONE)
    hooked(database, account, ONE)
    tell_all(database, account, 2)
    with delivering(database, sender):
        sender.wait_for(1)
        with database.write() as session:
            for row in session.exec(select(Delivery)).all():
                deliveries.replay(session, account, row.id)
        sender.let_go(ONE)
        reached(database, "delivered", "delivered")
    assert len(sender.sent) == 2


def test_a_410_disables_the_endpoint_and_the_rest_is_cancelled(database, account, caplog):
    sender = FakeSender(lambda _: Outcome(410, None, 3))
    (number,) = hooked(database, account, ONE)
    tell_all(database, account, 3)
    with delivering(database, sender):
        reached(database, *["cancelled"] * 3)
    assert len(sender.sent) == 1 and one(database, Webhook).disabled_because == "gone"
    assert f"webhook {number} is disabled: gone" in caplog.text


def test_a_test_is_sent_now_and_its_outcome_returned_and_stored(database, account):
    sender = FakeSender(lambda _: Outcome(503, None, 3, 60.0))
    (number,) = hooked(database, account, ONE)
    with delivering(database, sender) as deliverer:
        told, outcome = deliverer.send_now(number)
        assert outcome == Outcome(503, None, 3, 60.0)
        sent = sender.sent[0]
        row, attempt = one(database), one(database, Attempt)
        assert sent.headers["webhook-event"] == "ping" and sent.body == b'{"event": "ping"}'
        assert sent.headers["webhook-id"] == row.id == told
        assert (row.state, row.tries, attempt.status) == (DeliveryState.DEAD, 1, 503)
        assert one(database, Webhook).failures == 0
        with pytest.raises(NotFound):
            deliverer.send_now(99)
    assert len(sender.sent) == 1


def test_a_test_waits_until_its_endpoint_has_no_other_and_goes_before_the_next(database, account):
    sender = FakeSender()
    sender.hold(ONE)
    (number,) = hooked(database, account, ONE)
    tell_all(database, account, 3)
    with delivering(database, sender) as deliverer, ThreadPoolExecutor() as pool:
        sender.wait_for(1)
        test = pool.submit(deliverer.send_now, number)
        until(lambda: deliverer._courier._turns[number]._waiters)
        assert len(sender.sent) == 1
        sender.let_go(ONE)
        assert test.result(WAIT_S)[1].received
        reached(database, *["delivered"] * 4)
    events = [sent.headers["webhook-event"] for sent in sender.sent]
    assert events[1] == "ping"


def test_a_stop_during_a_test_says_so(database, account):
    sender = FakeSender()
    sender.hold(ONE)
    (number,) = hooked(database, account, ONE)
    deliverer = Deliverer(database, sender, SECRETS).start()
    with ThreadPoolExecutor() as pool:
        test = pool.submit(deliverer.send_now, number)
        sender.wait_for(1)
        deliverer.stop(timeout_s=0)
        with pytest.raises(Conflict, match="stop"):
            test.result(WAIT_S)
    assert rows(database) == []


def test_nothing_is_sent_while_the_clock_is_before_the_build_date_and_it_is_said_once(
    database, account, settled, caplog
):
    clock, sender = VirtualClock(), FakeSender()
    clock.at = datetime(1970, 1, 2, tzinfo=UTC)
    (number,) = hooked(database, account, ONE)
    timing = {"now": clock.now, "monotonic_s": lambda: 0.0}
    with delivering(database, sender, **timing) as deliverer:
        tell_all(database, account)
        for _ in range(3):
            deliverer.wake()
            assert settled.acquire(timeout=WAIT_S)
        with pytest.raises(Conflict, match="clock"):
            deliverer.send_now(number)
        assert sender.sent == [] and caplog.text.count("1970-01-02") == 1
        clock.at = now()
        deliverer.wake()
        reached(database, "delivered")


@pytest.mark.parametrize("step_days", [-300, -1, 1, 300])
def test_a_clock_that_is_set_loses_nothing_disables_nobody_and_holds_nothing_long(
    database, account, step_days
):
    clock, answers = VirtualClock(), [FAILED, FAILED, RECEIVED]
    sender = FakeSender(lambda _: answers.pop(0))
    hooked(database, account, ONE)
    tell_all(database, account)
    timing = {"now": clock.now, "monotonic_s": lambda: 0.0}
    with delivering(database, sender, **timing) as deliverer:
        reached(database, "retrying")
        clock.pass_s(step_days * DAY_S)
        deliverer.wake()
        if step_days == -1:  # within the longest delay: held back by no more than the step
            clock.pass_s(DAY_S + 6)
            deliverer.wake()
        sender.wait_for(2)
        until(lambda: len(rows(database, Attempt)) == 2)
        assert one(database, Webhook).enabled
        clock.pass_s(36)
        deliverer.wake()
        reached(database, "delivered")


def test_an_endpoint_that_fails_for_five_days_is_disabled_while_the_box_runs(database, account):
    clock, sender = VirtualClock(), FakeSender(lambda _: FAILED)
    hooked(database, account, ONE)
    timing = {"now": clock.now, "monotonic_s": clock.monotonic_s}
    with delivering(database, sender, **timing) as deliverer:
        for day in range(5):
            tell_all(database, account)
            until(lambda day=day: rows(database)[day].tries >= 1)
            until(lambda: not any(row.leased_until for row in rows(database)))
            assert one(database, Webhook).enabled
            clock.pass_s(DAY_S)
        deliverer.wake()
        until(lambda: not one(database, Webhook).enabled)
    assert one(database, Webhook).disabled_because == "failing"
    assert {row.state for row in rows(database)} == {DeliveryState.CANCELLED}
