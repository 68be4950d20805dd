"""The outbox's rows: claimed, recorded, cancelled, replayed, listed, counted."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from appliance.errors import Conflict, NotFound
from appliance.events import Bus
from appliance.store import accounts, deliveries, endpoints, leases, outbox, pings, webhooks
from appliance.store.database import Database
from appliance.store.entities import Attempt, Delivery, DeliveryState, Webhook, now
from appliance.store.outbox import Tried
from scheduler.retries import TRIES, delay_after_cut_s

EVENT = webhooks.SESSION_CREATED
S, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def hook(database, account):
    """Return the number of an endpoint."""
    return hooked(database, account)


def hooked(database, account):
    with database.write() as session:
        return endpoints.create(session, account, "http://10.0.0.9/", b"secret", [EVENT]).id


def told(database, account, count=1):
    for number in range(count):
        with database.write() as session:
            webhooks.enqueue(session, account, EVENT, b'{"number": %d}' % number)


def claimed(database, at, busy=(), limit=8, slow=False, served=None):
    with database.write() as session:
        return outbox.due(session, at, set(busy), limit, slow, served)


def result(claim, received=False, next_due=None, status=500, error=None):
    return Tried(claim.id, claim.tries, received, 200 if received else status, error, 7, next_due)


def recorded(database, at, *results):
    with database.write() as session:
        outbox.record(session, results, at)


def released(database, at, only=None):
    with database.write() as session:
        return leases.release(session, at, delay_after_cut_s, only)


def rows(database, kind=Delivery):
    with database.read() as session:
        return list(session.exec(select(kind)))


def only(database, kind=Delivery):
    (row,) = rows(database, kind)
    return row


def failed_times(database, hook, times, since=None):
    with database.write() as session:
        row = session.get_one(Webhook, hook)
        row.failures, row.failing_since = times, since or now()


def test_a_claim_holds_what_is_to_be_sent_and_counts_and_leases_the_try(database, account, hook):
    told(database, account)
    at = now()
    (claim,) = claimed(database, at)
    assert (claim.webhook_id, claim.tries, claim.url) == (hook, 1, "http://10.0.0.9/")
    assert (claim.event, claim.body, claim.secrets) == (EVENT, b'{"number": 0}', (b"secret",))
    row = only(database)
    assert (row.id, row.tries, row.leased_until) == (claim.id, 1, at + outbox.LEASE)
    assert claimed(database, at + 59 * S) == []
    (again,) = claimed(database, at + 60 * S)  # whoever claimed it did not come back
    assert (again.id, again.tries) == (claim.id, 2)


def test_a_lease_from_a_clock_that_ran_ahead_holds_nothing_back(database, account, hook):
    told(database, account)
    claimed(database, now() + 365 * DAY)
    assert len(claimed(database, now())) == 1


def test_each_endpoint_gets_its_oldest_and_one_at_a_time(database, account, hook):
    other = hooked(database, account)
    told(database, account, 2)
    first = claimed(database, now())
    assert {claim.webhook_id for claim in first} == {hook, other}
    assert {claim.body for claim in first} == {b'{"number": 0}'}
    assert claimed(database, now(), busy={hook, other}) == []
    (second,) = claimed(database, now(), busy={hook})
    assert (second.webhook_id, second.body) == (other, b'{"number": 1}')


def test_endpoints_take_turns_however_much_waits_for_them(database, account, hook):
    told(database, account, 3)
    late = hooked(database, account)
    told(database, account)
    assert [c.webhook_id for c in claimed(database, now(), limit=1)] == [hook]
    served = {hook: 1}
    assert [c.webhook_id for c in claimed(database, now(), limit=1, served=served)] == [late]


def test_an_endpoint_is_slow_from_its_third_failure_in_a_row(database, account, hook):
    told(database, account, 4)
    for failures, slow in ((0, False), (2, False), (3, True), (99, True)):
        failed_times(database, hook, failures)
        assert claimed(database, now(), slow=not slow) == []
        assert [claim.slow for claim in claimed(database, now(), slow=slow)] == [slow]


def test_nothing_is_claimed_without_a_free_slot_nor_for_disabled_endpoints(database, account, hook):
    told(database, account)
    assert claimed(database, now(), limit=0) == []
    with database.write() as session:
        session.get_one(Webhook, hook).enabled = False
    assert claimed(database, now()) == []
    with database.read() as session:
        assert not outbox.is_any_due(session, now())


def test_both_secrets_sign_until_the_old_one_is_over(database, account, hook):
    told(database, account, 2)
    at = now()
    with database.write() as session:
        endpoints.rotate(session, session.get_one(Webhook, hook), b"new", at)
    (during,) = claimed(database, at + 23 * 60 * MINUTE)
    (after,) = claimed(database, at + DAY)
    assert during.secrets == (b"new", b"secret") and after.secrets == (b"new",)


def test_a_retry_is_claimed_when_it_is_due_and_not_before(database, account, hook):
    told(database, account)
    at = now()
    (claim,) = claimed(database, at)
    recorded(database, at, result(claim, next_due=at + 5 * S))
    assert only(database).state is DeliveryState.RETRYING
    assert claimed(database, at + 4.999 * S) == []
    with database.read() as session:
        assert not outbox.is_any_due(session, at + 4.999 * S)
        assert outbox.is_any_due(session, at + 5 * S)
        assert not outbox.is_any_due(session, at + 5 * S, busy={hook})
    (again,) = claimed(database, at + 5 * S)
    assert (again.id, again.tries) == (claim.id, 2)


def test_a_retry_goes_before_what_was_never_tried(database, account, hook):
    told(database, account, 2)
    at = now()
    (first,) = claimed(database, at)
    recorded(database, at, result(first, next_due=at + 5 * S))
    assert claimed(database, at + 6 * S)[0].id == first.id


def test_a_clock_set_back_holds_new_deliveries_not_at_all_and_retries_no_longer_than_a_delay(
    database, account, hook
):
    ahead = now() + 30 * DAY
    told(database, account)
    (claim,) = claimed(database, ahead)
    recorded(database, ahead, result(claim, next_due=ahead + 5 * S))
    assert claimed(database, ahead + 5 * S - outbox.LATEST) == []  # within the longest delay
    assert len(claimed(database, now())) == 1
    with database.write() as session:  # written by a clock that ran ahead
        row = session.exec(select(Delivery)).one()
        row.due_at, row.state, row.leased_until = ahead, DeliveryState.PENDING, None
    assert len(claimed(database, now())) == 1


def test_what_is_received_is_delivered_and_clears_its_endpoint(database, account, hook):
    told(database, account)
    failed_times(database, hook, 2)
    at = now()
    recorded(database, at, result(*claimed(database, at), received=True))
    row, endpoint, attempt = only(database), only(database, Webhook), only(database, Attempt)
    assert (row.state, row.finished_at, row.leased_until) == (DeliveryState.DELIVERED, at, None)
    assert (endpoint.failures, endpoint.failing_since) == (0, None)
    assert (attempt.status, attempt.error, attempt.ms, attempt.created_at) == (
        200,
        None,
        7,
        at - timedelta(milliseconds=7),
    )


def test_after_the_last_try_a_delivery_is_dead_and_kept(database, account, hook):
    told(database, account)
    at = now()
    recorded(database, at, result(*claimed(database, at), status=None, error="refused"))
    row, attempt = only(database), only(database, Attempt)
    assert (row.state, row.finished_at) == (DeliveryState.DEAD, at)
    assert (attempt.status, attempt.error) == (None, "refused")
    assert (only(database, Webhook).failures, only(database, Webhook).failing_since) == (1, at)
    assert claimed(database, at + 30 * DAY) == []


def test_a_410_disables_the_endpoint_and_cancels_what_waits(database, account, hook):
    told(database, account, 2)
    at = now()
    recorded(database, at, result(*claimed(database, at), status=410, next_due=at + 5 * S))
    assert {row.state for row in rows(database)} == {DeliveryState.CANCELLED}
    endpoint = only(database, Webhook)
    assert (endpoint.enabled, endpoint.disabled_because) == (False, "gone")


def test_an_endpoint_that_fails_for_five_days_is_disabled(database, account, hook):
    told(database, account, 3)
    start = now()
    for passed, enabled in ((0 * DAY, True), (5 * DAY - S, True), (5 * DAY, False)):
        at = start + passed
        (claim,) = claimed(database, at)
        recorded(database, at, result(claim, next_due=at + 365 * DAY))
        assert only(database, Webhook).enabled is enabled
    assert only(database, Webhook).disabled_because == "failing"
    assert {row.state for row in rows(database)} == {DeliveryState.CANCELLED}


def test_one_success_begins_the_five_days_anew(database, account, hook):
    told(database, account, 3)
    start = now()
    for passed, received in ((0 * DAY, False), (3 * DAY, True), (6 * DAY, False)):
        at = start + passed
        recorded(database, at, result(*claimed(database, at), received=received))
    assert only(database, Webhook).enabled
    assert only(database, Webhook).failing_since == start + 6 * DAY


def test_time_in_which_the_box_was_off_is_not_time_of_failing(database, account, hook):
    told(database, account, 2)
    start = now()
    recorded(database, start, result(*claimed(database, start)))
    with database.write() as session:
        leases.forgive_idle_time(session, start + 30 * MINUTE)
        assert session.get_one(Webhook, hook).failing_since == start
        leases.forgive_idle_time(session, start + 10 * DAY)
    at = start + 10 * DAY
    recorded(database, at, result(*claimed(database, at)))
    assert only(database, Webhook).enabled
    with database.write() as session:
        leases.forgive_idle_time(session, start - DAY)  # a clock set back
    assert only(database, Webhook).failing_since == start - DAY


@pytest.mark.parametrize("end", [endpoints.delete, lambda s, r: endpoints.disable(s, r, "asked")])
def test_what_was_cancelled_in_flight_is_delivered_if_it_arrived_and_else_stays_cancelled(
    database, account, hook, end
):
    other = hooked(database, account)
    told(database, account)
    at = now()
    claims = {claim.webhook_id: claim for claim in claimed(database, at)}
    with database.write() as session:
        for number in (hook, other):
            end(session, session.get_one(Webhook, number))
    recorded(database, at, result(claims[hook], received=True))
    recorded(database, at, result(claims[other], next_due=at + 5 * S))
    states = {row.webhook_id: row.state for row in rows(database)}
    assert states == {hook: DeliveryState.DELIVERED, other: DeliveryState.CANCELLED}
    assert len(rows(database, Attempt)) == 2
    assert released(database, at) == 0


def test_what_was_replayed_in_flight_is_still_due_if_that_try_fails_and_not_if_it_arrives(
    database, account, hook
):
    told(database, account, 2)
    at = now()
    (claim,) = claimed(database, at)
    with database.write() as session:
        deliveries.replay(session, account, claim.id)
    recorded(database, at, result(claim, next_due=at + DAY))
    with database.read() as session:
        row = session.get_one(Delivery, claim.id)
    assert (row.state, row.tries) == (DeliveryState.PENDING, 0)
    (second,) = claimed(database, now(), served={})
    with database.write() as session:
        deliveries.replay(session, account, second.id)
    recorded(database, at, result(second, received=True))
    with database.read() as session:
        assert session.get_one(Delivery, second.id).state is DeliveryState.DELIVERED


def test_a_result_whose_delivery_is_gone_harms_no_other(database, account, hook):
    told(database, account)
    at = now()
    (claim,) = claimed(database, at)
    lost = Tried("msg_none", 1, False, 500, None, 7, at)
    recorded(database, at, lost, result(claim, received=True))
    assert only(database).state is DeliveryState.DELIVERED
    assert len(rows(database, Attempt)) == 1


def test_a_try_that_was_cut_off_is_no_try_done_and_due_at_once(database, account, hook):
    told(database, account)
    at = now()
    assert len(claimed(database, at)) == 1
    assert released(database, at) == 1
    row, attempt = only(database), only(database, Attempt)
    assert (row.tries, row.due_at, row.leased_until) == (0, at, None)
    assert (attempt.error, attempt.status) == ("cut off", None)
    assert claimed(database, at)[0].tries == 1
    assert only(database, Webhook).failures == 0


def test_a_delivery_that_is_cut_off_over_and_over_comes_to_an_end(database, account, hook):
    told(database, account)
    at, sent = now(), 0
    while only(database).state is not DeliveryState.DEAD:
        at = max(at, only(database).due_at)
        assert len(claimed(database, at)) == 1
        released(database, at)
        sent += 1
    assert sent == TRIES and at - now() > 17 * 60 * MINUTE
    with database.write() as session:
        deliveries.replay(session, account, only(database).id)
    assert len(claimed(database, at)) == 1
    released(database, at)
    assert only(database).state is DeliveryState.RETRYING


def test_only_the_leases_that_are_named_end(database, account, hook):
    hooked(database, account)
    told(database, account)
    one, other = claimed(database, now())
    assert released(database, now(), {one.id}) == 1
    leases = {row.id: row.leased_until for row in rows(database)}
    assert leases[one.id] is None and leases[other.id] is not None


@pytest.mark.parametrize("state", list(DeliveryState))
def test_a_replay_begins_anew_under_the_same_id(tmp_path, state):
    bus, woken = Bus(), []
    database = Database(tmp_path / "scribebox.db", bus)
    with database.write() as session:
        account = accounts.create(session, "alice").id
    hooked(database, account)
    told(database, account)
    bus.subscribe(lambda event: woken.append(event.name))
    with database.write() as session:
        row = session.exec(select(Delivery)).one()
        row.state, row.tries, row.due_at, row.finished_at = state, 9, now() + DAY, now()
    with database.write() as session:
        deliveries.replay(session, account, row.id)
    assert woken == ["delivery.due"]
    (claim,) = claimed(database, now())
    assert (claim.id, claim.tries) == (row.id, 1)
    assert (only(database).state, only(database).finished_at) == (DeliveryState.PENDING, None)
    database.close()


def test_all_since_a_time_are_replayed_but_tests_and_what_waits_its_first_try(
    database, account, hook
):
    told(database, account, 5)
    start = now()
    states = [s for s in DeliveryState]
    with database.write() as session:
        for row, state in zip(session.exec(select(Delivery)), states, strict=True):
            row.state, row.tries = state, 3
        test = pings.claim(session, hook, deliveries.PING, start)
        pings.record(session, test, result(test), start)
        old = test.id
    with database.write() as session:
        assert deliveries.replay_since(session, account, hook, start + MINUTE) == 0
        assert deliveries.replay_since(session, account, hook, start - MINUTE) == 4
    found = [(row.state.value, row.tries) for row in rows(database) if row.id != old]
    assert sorted(found) == [("pending", 0)] * 4 + [("pending", 3)]
    with database.read() as session:
        assert session.get_one(Delivery, old).state is DeliveryState.DEAD


def test_nothing_is_replayed_to_an_endpoint_that_is_disabled_or_deleted(database, account, hook):
    told(database, account)
    delivery = only(database).id
    for end, says in (
        (lambda s, r: endpoints.disable(s, r, "gone"), "disabled .gone.; enable"),
        (endpoints.delete, "deleted; register"),
    ):
        with database.write() as session:
            end(session, session.get_one(Webhook, hook))
            with pytest.raises(Conflict, match=says):
                deliveries.replay(session, account, delivery)
            with pytest.raises(Conflict, match=says):
                deliveries.replay_since(session, account, hook, now() - DAY)
    assert only(database).state is DeliveryState.CANCELLED


def test_another_accounts_deliveries_are_not_there(database, account, hook):
    told(database, account)
    delivery = only(database).id
    with database.write() as session:
        other = accounts.create(session, "bob").id
        assert deliveries.page(session, other) == ([], 0)
        for call in (
            lambda: deliveries.get(session, other, delivery),
            lambda: deliveries.replay(session, other, delivery),
            lambda: deliveries.get(session, account, "msg_none"),
            lambda: deliveries.replay_since(session, other, hook, now()),
        ):
            with pytest.raises(NotFound):
                call()


def test_a_page_holds_deliveries_with_their_tries_the_newest_first(database, account, hook):
    other = hooked(database, account)
    told(database, account, 2)
    at = now()
    for _ in range(2):
        claims = claimed(database, at)
        recorded(database, at, *(result(c, received=c.webhook_id == hook) for c in claims))
    with database.read() as session:
        shown, total = deliveries.page(session, account)
        assert total == 4 and [one.row.id for one in shown] == sorted(
            (one.row.id for one in shown), reverse=True
        )
        assert all(one.event == EVENT and len(one.attempts) == 1 for one in shown)
        dead, count = deliveries.page(session, account, DeliveryState.DEAD)
        assert count == 2 and {one.row.webhook_id for one in dead} == {other}
        assert deliveries.page(session, account, endpoint=hook)[1] == 2
        assert deliveries.page(session, account, since=now() + MINUTE) == ([], 0)
        for year in (1, 1970):
            long_ago = datetime(year, 1, 1, tzinfo=UTC)
            assert deliveries.page(session, account, since=long_ago) == (shown, 4)
        assert [one.row.id for one in deliveries.page(session, account, None, None, None, 1, 3)[0]
                ] == [shown[3].row.id]  # fmt: skip
        assert deliveries.get(session, account, shown[0].row.id) == shown[0]


def test_the_standing_counts_what_calls_for_something(database, account, hook):
    with database.read() as session:
        assert deliveries.standing(session) == deliveries.Standing(0, 0, 0, 0.0, {})
    gone, asked, deleted = (hooked(database, account) for _ in range(3))
    told(database, account, 2)
    with database.write() as session:
        endpoints.disable(session, session.get_one(Webhook, gone), "gone")
        endpoints.disable(session, session.get_one(Webhook, asked), "asked")
        endpoints.delete(session, session.get_one(Webhook, deleted))
        first, second = session.exec(select(Delivery).where(Delivery.webhook_id == hook))
        first.due_at = now() - 90 * S
        second.state = DeliveryState.RETRYING
    with database.read() as session:
        standing = deliveries.standing(session)
    assert (standing.pending, standing.retrying, standing.dead) == (1, 1, 0)
    assert 89 <= standing.oldest_pending_s <= 120
    assert standing.disabled == {"gone": 1, "asked": 1}


def pinged(database, hook, **outcome):
    with database.write() as session:
        test = pings.claim(session, hook, deliveries.PING, now())
        pings.record(session, test, result(test, **outcome), now())
    return test


def test_a_test_is_stored_with_its_one_try_and_not_tried_again(database, account, hook):
    for received, state in ((True, DeliveryState.DELIVERED), (False, DeliveryState.DEAD)):
        test = pinged(database, hook, received=received)
        with database.read() as session:
            shown = deliveries.get(session, account, test.id)
        assert (shown.row.state, shown.row.tries, shown.event) == (state, 1, "ping")
        assert [attempt.status for attempt in shown.attempts] == [200 if received else 500]
    assert claimed(database, now() + DAY) == []


def test_a_test_that_arrives_clears_failures_and_one_that_fails_adds_none(database, account, hook):
    failed_times(database, hook, 4)
    pinged(database, hook)
    assert only(database, Webhook).failures == 4
    pinged(database, hook, received=True)
    assert (only(database, Webhook).failures, only(database, Webhook).failing_since) == (0, None)
    pinged(database, hook, status=410)
    assert only(database, Webhook).disabled_because == "gone"


def test_a_test_is_signed_by_the_old_secret_too_and_needs_an_endpoint(database, account, hook):
    with database.write() as session:
        endpoint = session.get_one(Webhook, hook)
        endpoints.rotate(session, endpoint, b"new", now())
        assert pings.claim(session, hook, "ping", now()).secrets == (b"new", b"secret")
        assert pings.claim(session, hook, "ping", now() + 2 * DAY).secrets == (b"new",)
        endpoints.delete(session, endpoint)
        for missing in (hook, 99):
            with pytest.raises(NotFound, match="no webhook"):
                pings.claim(session, missing, "ping", now())


def test_ids_sort_in_the_order_in_which_they_were_made():
    ids = [webhooks.message_id() for _ in range(5000)]
    assert ids == sorted(set(ids)) and all(len(one) == 30 for one in ids)
    assert webhooks.first_id(0) < deliveries.id_before(now()) < ids[0]
