"""Days, weeks and months of a time zone, as pairs of moments in UTC.

A day begins when its date first shows on the clock: at midnight, at the first of two midnights, or
where a gap over midnight ends. So every moment is in exactly one day, also where a clock is set
back over midnight (there yesterday's date shows again, and the day goes on). A date that a zone
left out (Samoa, 2011-12-30) is no day. Since 1972 all borders are whole quarters of an hour.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

from appliance.errors import Refused

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)  # moments beyond these two count as these, so that
LATEST = datetime(9900, 1, 1, tzinfo=UTC)  # what surrounds them is never beyond datetime's limits
FIRST_DATE = date(2, 1, 1)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
SHOWN = 64  # characters of a wrong name


@dataclass(frozen=True, slots=True)
class Period:
    """A day, week or month: from `start` to before `end`, both in UTC.

    The label is its first date in the zone, "2026-11-21"; of a month "2026-11".
    """

    start: datetime
    end: datetime
    label: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A sort of period: its first date, from any of its dates, and the most days it can have."""

    first: Callable[[date], date]
    days: int
    label_length: int = 10

    def next(self, first: date) -> date:
        """Return the first date of the one that follows."""
        return self.first(first + self.days * DAY)


DAYS = Unit(lambda day: day, 1)
WEEKS = Unit(lambda day: day - day.weekday() * DAY, 7)
MONTHS = Unit(lambda day: day.replace(day=1), 31, label_length=7)


@functools.cache
def zone_names() -> frozenset[str]:
    """Return the IANA names of all time zones, those of the package tzdata."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of that IANA name."""
    if name not in zone_names():  # so that no name ever leads to a file of one's choice
        raise Refused(f"time zone {name[:SHOWN]!r}: want an IANA name such as Europe/Berlin")
    return ZoneInfo(name)


def day(zone: ZoneInfo, moment: datetime) -> Period:
    """Return the day that the moment is in."""
    return period(zone, DAYS, date_of(zone, moment))


def week(zone: ZoneInfo, moment: datetime) -> Period:
    """Return the week, from Monday, that the moment is in."""
    return period(zone, WEEKS, date_of(zone, moment))


def month(zone: ZoneInfo, moment: datetime) -> Period:
    """Return the month that the moment is in."""
    return period(zone, MONTHS, date_of(zone, moment))


def last_days(zone: ZoneInfo, moment: datetime, number: int) -> list[Period]:
    """Return so many days, that of the moment first, then those before it."""
    return last(zone, DAYS, moment, number)


def last_months(zone: ZoneInfo, moment: datetime, number: int) -> list[Period]:
    """Return so many months, that of the moment first, then those before it."""
    return last(zone, MONTHS, moment, number)


def last(zone: ZoneInfo, unit: Unit, moment: datetime, number: int) -> list[Period]:
    """Return the period of the moment and those before it; fewer only if the calendar ends."""
    found: list[Period] = []
    shown = date_of(zone, moment)
    while len(found) < number and shown >= FIRST_DATE:
        one = period(zone, unit, shown)
        if one.start < one.end:
            found.append(one)
        shown = unit.first(shown) - DAY
    return found


def period(zone: ZoneInfo, unit: Unit, shown: date) -> Period:
    """Return the period that a date belongs to; empty for a day that the zone left out."""
    first = unit.first(shown)
    start, end = start_of(zone, first), start_of(zone, unit.next(first))
    return Period(start, end, first.isoformat()[: unit.label_length])


def date_of(zone: ZoneInfo, moment: datetime) -> date:
    """Return the date of the day that the moment is in."""
    moment = min(max(moment, EARLIEST), LATEST)
    shown = moment.astimezone(zone).date()
    while start_of(zone, shown + DAY) <= moment:  # the clock was set back over midnight
        shown += DAY
    return shown


def start_of(zone: ZoneInfo, shown: date) -> datetime:
    """Return the first moment, in UTC, at which the date or a later one shows on the clock."""
    midnight = datetime(shown.year, shown.month, shown.day, tzinfo=zone)
    found = midnight.astimezone(UTC)  # of two the first
    if found.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return found
    before = midnight.replace(fold=1).astimezone(UTC)  # the gap begins between these two
    while found - before > SECOND:
        middle = before + (found - before) // SECOND // 2 * SECOND
        if middle.astimezone(zone).date() < shown:
            before = middle
        else:
            found = middle
    return found
