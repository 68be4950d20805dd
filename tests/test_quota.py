"""Words used are counted by day and week of a time zone, and what is used up stops the cloud."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from appliance import periods, quota
from appliance.plans import BUILT_IN, Plan
from appliance.store import accounts, usage

NEW_YORK = periods.zone_of("America/New_York")
FRIDAY = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)  # 11:00 in New York
LOCAL_MIDNIGHT = datetime(2026, 11, 21, 5, 0, tzinfo=UTC)
LOCAL_MONDAY = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@pytest.fixture
def stands(database, account):
    """Return a function: dictations as words at moments, a plan; it returns the standing."""

    def standing(*dictations, plan="hobby", plans=BUILT_IN, at=FRIDAY, zone=NEW_YORK):
        with database.write() as session:
            row = accounts.numbered(session, account)
            row.plan = plan
            for words, moment in dictations:
                usage.add(session, account, usage.DICTATION, words=words, at=moment)
            return quota.standing(session, row, plans, zone, at)

    return standing


def test_an_account_that_has_used_nothing_has_all_of_its_plan(stands):
    found = stands()
    assert (found.plan, found.allowed, found.limit_type) == ("hobby", True, None)
    assert (found.daily.used, found.daily.limit, found.daily.remaining) == (0, 1000, 1000)
    assert (found.weekly.used, found.weekly.limit, found.weekly.remaining) == (0, 3000, 3000)
    assert found.remaining == 1000 and found.resets_at is None


def test_words_count_today_and_this_week_and_no_longer(stands):
    found = stands(
        (250, FRIDAY),
        (950, FRIDAY - timedelta(days=1)),
        (5000, LOCAL_MONDAY - timedelta(days=7, seconds=1)),
        (5000, LOCAL_MIDNIGHT + timedelta(days=30)),
    )
    assert (found.daily.used, found.weekly.used) == (250, 1200)
    assert (found.daily.remaining, found.weekly.remaining, found.remaining) == (750, 1800, 750)
    assert found.allowed


def test_words_of_other_kinds_and_other_accounts_do_not_count(stands, database, account):
    with database.write() as session:
        other = accounts.create(session, "bob").id
        usage.add(session, other, usage.DICTATION, words=9999, at=FRIDAY)
        usage.add(session, account, "session", words=9999, at=FRIDAY)
    assert stands().remaining == 1000


def test_a_used_up_day_stops_until_local_midnight(stands):
    found = stands((1001, FRIDAY))
    assert not found.allowed and found.limit_type == "daily"
    assert found.daily.remaining == found.remaining == 0  # never negative
    assert found.resets_at == LOCAL_MIDNIGHT
    assert stands(at=LOCAL_MIDNIGHT - timedelta(seconds=1)).limit_type == "daily"
    assert stands(at=LOCAL_MIDNIGHT).allowed


def test_a_used_up_week_stops_until_monday(stands):
    found = stands((3000, FRIDAY - timedelta(days=1)))
    assert (found.limit_type, found.daily.remaining, found.remaining) == ("weekly", 1000, 0)
    assert found.resets_at == LOCAL_MONDAY
    assert stands(at=LOCAL_MONDAY).allowed


def test_where_both_are_used_up_it_is_the_week_that_stops(stands):
    found = stands((3000, FRIDAY))
    assert (found.limit_type, found.resets_at) == ("weekly", LOCAL_MONDAY)


def test_the_last_word_is_the_last_one(stands):
    assert stands((999, FRIDAY)).remaining == 1
    assert not stands((1, FRIDAY)).allowed


def test_an_unlimited_plan_never_stops(stands):
    found = stands((10**9, FRIDAY), plan="selfhosted")
    assert found.allowed and found.remaining is None
    assert (found.daily.used, found.daily.limit, found.daily.remaining) == (10**9, None, None)


@pytest.mark.parametrize(
    ("plan", "remaining", "limit_type"),
    [(Plan(100, None), 60, None), (Plan(None, 100), 60, None), (Plan(None, 40), 0, "weekly"),
     (Plan(40, None), 0, "daily"), (Plan(0, None), 0, "daily")],
)  # fmt: skip
def test_a_plan_may_limit_one_side_only(stands, plan, remaining, limit_type):
    found = stands((40, FRIDAY), plans={"hobby": plan})
    assert (found.remaining, found.limit_type) == (remaining, limit_type)


def test_without_a_zone_the_accounts_own_counts(stands, database, account):
    assert stands((10, FRIDAY.replace(hour=1)), zone=None).daily.used == 10  # UTC
    with database.write() as session:
        accounts.change(session, "alice", timezone="America/New_York")
    assert stands(zone=None).daily.used == 0  # it was Thursday in New York


def test_a_plan_that_is_no_longer_there_allows_nothing_and_is_told_of_once(stands, caplog):
    quota.unknown.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in "ab":
            found = stands(plan="gone")
            assert (found.plan, found.allowed, found.limit_type) == ("gone", False, "weekly")
            assert (found.daily.limit, found.weekly.limit, found.remaining) == (0, 0, 0)
    assert [record.getMessage().count("'gone'") for record in caplog.records] == [1]
