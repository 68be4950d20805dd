"""Days, weeks and months of every time zone hold every moment once."""

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from appliance import periods
from appliance.errors import Refused

SECOND = timedelta(seconds=1)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 12, 31), timezones=st.just(UTC))
ZONES = st.sampled_from(sorted(zoneinfo.available_timezones() & periods.zone_names())).map(
    periods.zone_of
)


def dates(zone, period, parts=97):
    """Return the dates that the clock shows at moments spread over a period."""
    whole = int((period.end - period.start).total_seconds())
    moments = [period.start + timedelta(seconds=whole * i // parts) for i in range(parts)]
    return [m.astimezone(zone).date() for m in [*moments, period.end - SECOND]]


def set_back_over_midnight(zone, day):
    """Tell whether yesterday's date shows again in the day's first hours (St John's, to 2011)."""
    minutes = [day.start + timedelta(minutes=number) for number in range(180)]
    shown = [minute.astimezone(zone).date() for minute in minutes]
    return any(following < before for before, following in pairwise(shown))


@given(ZONES, MOMENTS)
def test_a_moment_is_in_its_day_its_week_and_its_month(zone, moment):
    for period in (periods.day, periods.week, periods.month):
        found = period(zone, moment)
        assert found.start <= moment < found.end


@given(ZONES, MOMENTS)
def test_periods_share_their_borders_and_lie_in_one_another(zone, moment):
    day, week, month = (f(zone, moment) for f in (periods.day, periods.week, periods.month))
    assert week.start <= day.start and day.end <= week.end
    assert month.start <= day.start and day.end <= month.end
    for unit, found in ((periods.day, day), (periods.week, week), (periods.month, month)):
        assert unit(zone, found.start) == found
        assert unit(zone, found.end - SECOND) == found
        assert unit(zone, found.end).start == found.end
        assert unit(zone, found.start - SECOND).end == found.start


@given(ZONES, MOMENTS, st.integers(1, 92))
def test_the_last_days_follow_one_another_the_newest_first(zone, moment, number):
    found = periods.last_days(zone, moment, number)
    assert len(found) == number and found[0] == periods.day(zone, moment)
    assert all(a.start == b.end and a.label > b.label for a, b in pairwise(found))
    assert all(day.start < day.end for day in found)


@given(ZONES, MOMENTS, st.integers(1, 24))
def test_the_last_months_follow_one_another_the_newest_first(zone, moment, number):
    found = periods.last_months(zone, moment, number)
    assert len(found) == number and found[0] == periods.month(zone, moment)
    assert all(a.start == b.end and a.label > b.label for a, b in pairwise(found))
    assert all(len(month.label) == 7 for month in found)


@given(ZONES, MOMENTS)
def test_a_week_begins_on_monday_at_the_first_moment_of_it(zone, moment):
    week = periods.week(zone, moment)
    begins = week.start.astimezone(zone)
    assert begins.date() >= date.fromisoformat(week.label)  # later only if Monday was left out
    assert date.fromisoformat(week.label).weekday() == 0
    assert (week.start - SECOND).astimezone(zone).date() < begins.date()
    if begins.time().isoformat() != "00:00:00":  # midnight was left out
        before = (week.start - SECOND).astimezone(zone)
        assert before.utcoffset() < begins.utcoffset()


@given(ZONES, MOMENTS)
def test_borders_are_whole_quarters_of_an_hour(zone, moment):
    for period in (periods.day, periods.week, periods.month):
        found = period(zone, moment)
        assert found.start.timestamp() % 900 == 0 == found.end.timestamp() % 900


@given(ZONES, MOMENTS)
def test_the_clock_shows_the_date_of_the_day_throughout(zone, moment):
    day = periods.day(zone, moment)
    shown = set(dates(zone, day))
    if shown != {date.fromisoformat(day.label)}:
        assume(not set_back_over_midnight(zone, day))
    assert shown == {date.fromisoformat(day.label)}


@pytest.mark.parametrize(
    ("zone", "moment", "start", "end", "label"),
    [
        # the clock goes from 0:00 to 1:00
        ("America/Sao_Paulo", "2018-11-04T12:00", "2018-11-04T03:00", "2018-11-05T02:00", None),
        # from 24:00 to 23:00: yesterday has 25 hours
        ("America/Sao_Paulo", "2018-02-17T12:00", "2018-02-17T02:00", "2018-02-18T03:00", None),
        # from 1:00 to 0:00: two midnights
        ("America/Havana", "2026-11-01T12:00", "2026-11-01T04:00", "2026-11-02T05:00", None),
        # from 0:01 to 23:01 of yesterday: the day goes on, though yesterday's date shows
        ("America/St_Johns", "2010-11-07T03:00", "2010-11-07T02:30", "2010-11-08T03:30", None),
        ("Asia/Kathmandu", "2026-11-21T12:00", "2026-11-20T18:15", "2026-11-21T18:15", None),
        ("Australia/Lord_Howe", "2026-04-05T00:00", "2026-04-04T13:00", "2026-04-05T13:30", None),
        # no 30 December 2011
        ("Pacific/Apia", "2011-12-30T09:59", "2011-12-29T10:00", "2011-12-30T10:00", "2011-12-29"),
        ("Pacific/Apia", "2011-12-30T10:00", "2011-12-30T10:00", "2011-12-31T10:00", "2011-12-31"),
    ],
)
def test_a_day_where_the_clock_is_set_is_as_long_as_it_is(zone, moment, start, end, label):
    day = periods.day(periods.zone_of(zone), datetime.fromisoformat(f"{moment}+00:00"))
    assert day.start.isoformat(timespec="minutes") == f"{start}+00:00"
    assert day.end.isoformat(timespec="minutes") == f"{end}+00:00"
    assert label is None or day.label == label


def test_a_date_that_a_zone_left_out_is_no_day():
    apia = periods.zone_of("Pacific/Apia")
    found = periods.last_days(apia, datetime(2012, 1, 1, tzinfo=UTC), 4)
    assert [day.label for day in found] == ["2012-01-01", "2011-12-31", "2011-12-29", "2011-12-28"]
    week = periods.week(apia, datetime(2011, 12, 28, 12, tzinfo=UTC))
    assert week.end - week.start == timedelta(days=6)


@given(ZONES, st.sampled_from([datetime.min, datetime.max, datetime(9999, 12, 27)]))
def test_moments_at_the_limits_of_the_calendar_are_no_error(zone, moment):
    for period in (periods.day, periods.week, periods.month):
        found = period(zone, moment.replace(tzinfo=UTC))
        assert found.start < found.end
    assert periods.last_months(zone, moment.replace(tzinfo=UTC), 24)


def test_going_back_ends_where_the_calendar_ends():
    utc = periods.zone_of("UTC")
    found = periods.last_months(utc, datetime(1900, 1, 1, tzinfo=UTC), 100_000)
    assert found[-1].label == "0002-01"


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "UTC ", "utc", "../../etc/passwd", "/etc/localtime", "Europe/../UTC", "UTC\0",
     "Europe", "localtime", "posixrules", "posix/UTC", "right/UTC", "tzdata.zi", "x" * 100_000,
     "\ud800", "Mars/Olympus", "EST5EDT4", "+02:00"],
)  # fmt: skip
def test_what_is_no_time_zone_is_refused_in_a_short_line(name):
    with pytest.raises(Refused, match="Europe/Berlin") as refused:
        periods.zone_of(name)
    assert len(str(refused.value)) < 1000 and str(refused.value).isprintable()


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Berlin", "Asia/Kolkata", "US/Eastern", "Etc/GMT+12"]
)
def test_what_is_a_time_zone_is_taken(name):
    assert periods.zone_of(name).key == name
