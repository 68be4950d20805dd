"""Endpoints: made, changed, rotated, disabled, deleted; what waits for them then is cancelled."""

from datetime import timedelta

import pytest
from sqlmodel import select

from appliance.errors import Conflict, NotFound
from appliance.store import accounts, endpoints, webhooks
from appliance.store.entities import Delivery, DeliveryState, Webhook, now

EVENT = webhooks.SESSION_CREATED


def made(session, account, url="http://10.0.0.9/hook"):
    return endpoints.create(session, account, url, b"sealed", [EVENT], "the office")


def test_an_endpoint_is_listed_newest_first_and_got_by_its_account_alone(database, account):
    with database.write() as session:
        first, second = made(session, account), made(session, account)
        other = accounts.create(session, "bob").id
        assert [one.id for one in endpoints.every(session, account)] == [second.id, first.id]
        assert endpoints.every(session, other) == []
        assert endpoints.get(session, account, first.id).description == "the office"
        for wrong in ((other, first.id), (account, 99), (account, 0), (account, 2**70)):
            with pytest.raises(NotFound, match="no webhook"):
                endpoints.get(session, *wrong)


def test_an_account_has_at_most_a_hundred_endpoints_that_are_not_deleted(database, account):
    with database.write() as session:
        rows = [made(session, account) for _ in range(endpoints.MOST)]
        with pytest.raises(Conflict, match="100"):
            made(session, account)
        endpoints.delete(session, rows[0])
        made(session, account)
        made(session, accounts.create(session, "bob").id)


def test_the_secret_before_signs_for_a_day_after_a_rotation(database, account):
    at = now()
    with database.write() as session:
        row = made(session, account)
        endpoints.rotate(session, row, b"second", at)
        assert (row.secret, row.old_secret) == (b"second", b"sealed")
        assert row.old_secret_until == at + timedelta(hours=24)
        endpoints.rotate(session, row, b"third", at)
        assert (row.secret, row.old_secret) == (b"third", b"second")


@pytest.mark.parametrize("end", [endpoints.delete, lambda s, r: endpoints.disable(s, r, "asked")])
def test_what_waits_for_an_endpoint_is_cancelled_with_it_and_nothing_more_is_written(
    database, account, end
):
    with database.write() as session:
        row, other = made(session, account), made(session, account)
        assert webhooks.enqueue(session, account, EVENT, b"{}") == 2
        end(session, row)
        mine = session.exec(select(Delivery).where(Delivery.webhook_id == row.id)).one()
        theirs = session.exec(select(Delivery).where(Delivery.webhook_id == other.id)).one()
        assert mine.state is DeliveryState.CANCELLED and mine.finished_at is not None
        assert theirs.state is DeliveryState.PENDING
        assert webhooks.enqueue(session, account, EVENT, b"{}") == 1


def test_a_deleted_endpoint_is_not_found_but_its_row_stays(database, account):
    with database.write() as session:
        row = made(session, account)
        endpoints.delete(session, row)
        assert endpoints.every(session, account) == []
        with pytest.raises(NotFound):
            endpoints.get(session, account, row.id)
        assert session.get(Webhook, row.id) is not None


def test_the_first_reason_for_disabling_stays_and_enabling_forgets_the_failures(database, account):
    with database.write() as session:
        row = made(session, account)
        row.failures, row.failing_since = 7, now()
        endpoints.disable(session, row, endpoints.GONE)
        endpoints.disable(session, row, endpoints.ASKED)
        assert (row.enabled, row.disabled_because) == (False, "gone")
        endpoints.enable(session, row)
        assert (row.enabled, row.disabled_because) == (True, None)
        assert (row.failures, row.failing_since) == (0, None)


def test_another_url_begins_without_the_failures_of_the_one_before(database, account):
    with database.write() as session:
        row = made(session, account)
        row.failures, row.failing_since = 4, now()
        endpoints.change(session, row, url=row.url, description="same")
        assert (row.failures, row.description) == (4, "same")
        endpoints.change(session, row, url="http://10.0.0.10/", events=[])
        assert (row.url, row.failures, row.failing_since, row.events) == (
            "http://10.0.0.10/", 0, None, [],
        )  # fmt: skip
