"""Usage is what the ledger adds up to by local date, and says so over HTTP."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from box_client import bearer, box_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from appliance import periods
from appliance.store import accounts, usage
from appliance.store.entities import UsageEvent

PATH = "/v1/transcribe/usage"
# each with a day on which its clock is set; New York's are 23 and 25 hours long
ZONES = {
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "America/Havana": (date(2026, 3, 8), date(2026, 11, 1)),
    "America/Sao_Paulo": (date(2018, 11, 4), date(2018, 2, 18)),
    "Asia/Kathmandu": (date(2026, 1, 1),),
    "Australia/Lord_Howe": (date(2026, 4, 5), date(2026, 10, 4)),
    "Pacific/Apia": (date(2011, 12, 31), date(2011, 12, 29)),
    "Europe/Berlin": (date(2026, 3, 29), date(2026, 10, 25)),
}
PLACES = st.sampled_from([(name, day) for name, days in ZONES.items() for day in days])
EVENTS = st.lists(
    st.tuples(
        st.integers(-3 * 86_400, 3 * 86_400),  # seconds from noon of the day
        st.integers(0, 500),
        st.integers(0, 10**7),
        st.integers(0, 10**6),
        st.sampled_from([usage.DICTATION, usage.DICTATION, "session"]),
    ),
    max_size=40,
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(PLACES, EVENTS)
def test_sums_are_those_of_the_ledger_by_local_date(database, place, events):
    zone, noon = (
        periods.zone_of(place[0]),
        datetime(place[1].year, place[1].month, place[1].day, 12),
    )
    noon = noon.replace(tzinfo=zone).astimezone(UTC)
    with database.write() as session:
        number = len(accounts.every(session))
        account = accounts.create(session, f"of example {number}").id
        for seconds, words, audio_ms, cost, kind in events:
            at = noon + timedelta(seconds=seconds)
            amounts = {"words": words, "audio_ms": audio_ms, "cost_micros": cost}
            usage.add(session, account, kind, **amounts, at=at)
    days, months = Counter(), Counter()
    with database.read() as session:
        for event in session.exec(select(UsageEvent).where(UsageEvent.account_id == account)):
            if event.kind == usage.DICTATION:
                shown = event.created_at.replace(tzinfo=UTC).astimezone(zone).date().isoformat()
                for name, amount in (("events", 1), ("words", event.words)):
                    days[shown, name] += amount
                    months[shown[:7], name] += amount
                for name in ("audio_ms", "cost_micros"):
                    days[shown, name] += getattr(event, name)
                    months[shown[:7], name] += getattr(event, name)
        later = noon + timedelta(days=4)
        for counted, asked in (
            (days, periods.last_days(zone, later, 9)),
            (months, periods.last_months(zone, later, 2)),
        ):
            found = usage.sums(session, account, usage.DICTATION, asked)
            assert sum(sums.events for sums in found) == sum(
                e[4] == usage.DICTATION for e in events
            )
            for period, sums in zip(asked, found, strict=True):
                for name in ("events", "words", "audio_ms", "cost_micros"):
                    assert getattr(sums, name) == counted[period.label, name]


@pytest.fixture
def client(started):
    """Return a client that may ask for usage; the account is in New York."""
    started.headers.update(bearer(started, "transcribe:usage"))
    with box_of(started).database.write() as session:
        accounts.change(session, accounts.DEFAULT, plan="hobby", timezone="America/New_York")
    return started


@pytest.fixture
def at(monkeypatch):
    """Stop the clock at 21 November 2026, 03:30 UTC: Friday 20 November 22:30 in New York."""
    moment = datetime(2026, 11, 21, 3, 30, tzinfo=UTC)
    monkeypatch.setattr("api.usage.now", lambda: moment)
    monkeypatch.setattr("appliance.quota.now", lambda: moment)
    return moment


def dictate(client, at, account=accounts.DEFAULT, kind=usage.DICTATION, **amounts):
    with box_of(client).database.write() as session:
        owner = accounts.named(session, account).id
        usage.add(session, owner, kind, at=at, **amounts)


def test_usage_by_month_is_as_the_contract_says(client, at):
    for _ in range(12):
        dictate(client, at, words=40, audio_ms=17_000, cost_micros=1218)
    dictate(client, at - timedelta(days=20), words=7, audio_ms=100)  # in October there
    dictate(client, at, kind="session", words=99, audio_ms=99_000, cost_micros=99)
    answer = client.get(PATH, params={"months": 3})
    assert answer.json() == {
        "plan": "hobby",
        "months": [
            {"month": "2026-11", "dictationCount": 12, "audioMinutes": 3.4, "wordCount": 480,
             "estimatedCost": 0.0146, "currency": "USD"},
            {"month": "2026-10", "dictationCount": 1, "audioMinutes": 0.0, "wordCount": 7,
             "estimatedCost": 0.0, "currency": "USD"},
            {"month": "2026-09", "dictationCount": 0, "audioMinutes": 0.0, "wordCount": 0,
             "estimatedCost": 0.0, "currency": "USD"},
        ],
    }  # fmt: skip
    assert [month["month"] for month in client.get(PATH).json()["months"]] == ["2026-11"]
    assert len(client.get(PATH, params={"months": 24}).json()["months"]) == 24


def test_what_the_cloud_heard_for_the_box_counts_in_the_cost_and_in_nothing_else(client, at):
    dictate(client, at, words=10, audio_ms=60_000, cost_micros=4300)
    dictate(client, at, kind=usage.FAILOVER, words=90, audio_ms=120_000, cost_micros=8600)
    for path in ("/v1/transcribe/usage?months=1", "/v1/transcribe/usage/daily?days=1"):
        ((row, *_),) = (rows for rows in client.get(path).json().values() if isinstance(rows, list))
        assert (row["dictationCount"], row["wordCount"], row["audioMinutes"]) == (1, 10, 1.0)
        assert row["estimatedCost"] == 0.0129


def test_usage_by_day_is_that_of_the_zone_asked_for_else_of_the_account(client, at):
    dictate(client, at, words=10, audio_ms=60_000)
    found = client.get(f"{PATH}/daily").json()
    assert (found["plan"], found["timezone"]) == ("hobby", "America/New_York")
    assert [day["date"] for day in found["days"][:2]] == ["2026-11-20", "2026-11-19"]
    assert len(found["days"]) == 30 and found["days"][0] == {
        "date": "2026-11-20", "dictationCount": 1, "audioMinutes": 1.0, "wordCount": 10,
        "estimatedCost": 0.0, "currency": "USD",
    }  # fmt: skip
    query = {"days": 92, "timezone": "Asia/Kathmandu"}
    found = client.get(f"{PATH}/daily", params=query).json()
    assert len(found["days"]) == 92 and found["days"][0]["date"] == "2026-11-21"
    assert (found["timezone"], found["days"][0]["wordCount"]) == ("Asia/Kathmandu", 10)


def test_the_limits_are_as_the_contract_says(client, at):
    dictate(client, at, words=250)
    dictate(client, at - timedelta(days=1), words=950)
    assert client.get(f"{PATH}/check-limit").json() == {
        "allowed": True, "dailyWordsUsed": 250, "dailyWordsLimit": 1000,
        "dailyWordsRemaining": 750, "weeklyWordsUsed": 1200, "weeklyWordsLimit": 3000,
        "weeklyWordsRemaining": 1800, "limitType": None, "plan": "hobby",
    }  # fmt: skip
    found = client.get(f"{PATH}/check-limit", params={"timezone": "Pacific/Auckland"}).json()
    assert (found["dailyWordsUsed"], found["weeklyWordsUsed"]) == (250, 1200)
    dictate(client, at, words=800)
    found = client.get(f"{PATH}/check-limit").json()
    assert (found["allowed"], found["limitType"], found["dailyWordsRemaining"]) == (
        False, "daily", 0,
    )  # fmt: skip
    found = client.get(f"{PATH}/check-limit", params={"timezone": "Etc/GMT-12"}).json()
    assert found["limitType"] == "daily"


def test_an_unlimited_plan_has_no_limits_and_nothing_remaining(client):
    with box_of(client).database.write() as session:
        accounts.change(session, accounts.DEFAULT, plan="selfhosted")
    found = client.get(f"{PATH}/check-limit").json()
    assert found["allowed"] is True and found["plan"] == "selfhosted"
    for name in ("dailyWordsLimit", "dailyWordsRemaining", "weeklyWordsLimit", "limitType"):
        assert found[name] is None


def test_no_account_sees_the_usage_of_another(client, at):
    with box_of(client).database.write() as session:
        accounts.create(session, "bob")
    dictate(client, at, account="bob", words=500)
    assert client.get(PATH).json()["months"][0]["wordCount"] == 0
    headers = bearer(client, "transcribe:*", account="bob")
    assert client.get(PATH, headers=headers).json()["months"][0]["wordCount"] == 500


WRONG = [
    *(
        ("", {"months": value}, "months")
        for value in ("0", "25", "-1", "x", "1.5", "", "9" * 30, "true")
    ),
    *(("/daily", {"days": value}, "days") for value in ("0", "93", "-1", "x", "", "1.5")),
    *(
        (path, {"timezone": value}, "time zone")
        for path in ("", "/daily", "/check-limit")
        for value in ("", "Mars/Olympus", "../../etc/passwd", "localtime", "UTC\0", "x" * 5000)
    ),
]


def test_what_can_not_be_asked_for_is_400_and_named(client):
    for path, query, parameter in WRONG:
        answer = client.get(PATH + path, params=query)
        assert answer.status_code == 400, (path, query)
        assert parameter in answer.json()["detail"]


@pytest.mark.parametrize("path", ["", "/daily", "/check-limit"])
def test_a_key_without_the_scope_is_403_and_told_which(started, path):
    headers = bearer(started, "transcribe:history", "sessions:read")
    answer = started.get(PATH + path, headers=headers)
    assert answer.status_code == 403 and "transcribe:usage" in answer.json()["detail"]
    assert started.get(PATH + path).status_code == 401
