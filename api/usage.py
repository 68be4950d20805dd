"""Usage and limits of the transcribe API: `/v1/transcribe/usage`.

Counts, words and minutes are those of dictations. Minutes are rounded to two decimals. The cost is
an estimate by the price table, in its currency, rounded to four: of dictations, and of what the
cloud heard for the box.
"""

from typing import Annotated, Any

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.auth import needs
from api.schemas import DayOfUsage, LimitCheck, MonthOfUsage, UsageByDay, UsageByMonth
from api.threads import threaded
from appliance import periods, quota
from appliance.box import Box
from appliance.prices import MICROS, MS_PER_MINUTE
from appliance.store import accounts, usage
from appliance.store.entities import now
from appliance.store.keys import Caller

PATH = "/v1/transcribe/usage"
MAX_MONTHS, DAYS, MAX_DAYS = 24, 30, 92
Months = Annotated[
    int,
    QueryParameter(
        name="months", ge=1, le=MAX_MONTHS, description="how many, the current one among them"
    ),
]
Days = Annotated[
    int,
    QueryParameter(name="days", ge=1, le=MAX_DAYS, description="how many, today among them"),
]
Zone = Annotated[
    str | None,
    QueryParameter(
        name="timezone",
        description="IANA name of the zone in which days, weeks and months begin; "
        "default: the account's",
    ),
]
METERING: dict[str, Any] = {"tags": ["transcribe"]}


@get(PATH, operation_id="getUsage", **needs("transcribe:usage"), **METERING)
@threaded
def get_usage(
    box: NamedDependency[Box],
    months: Months = 1,
    timezone: Zone = None,
    *,
    caller: NamedDependency[Caller],
) -> UsageByMonth:
    """Return dictations, minutes, words and estimated cost by month, the current one first."""
    with box.database.read() as session:
        account = accounts.numbered(session, caller.account_id)
        zone = periods.zone_of(account.timezone if timezone is None else timezone)
        asked = periods.last_months(zone, now(), months)
        found = usage.sums(session, caller.account_id, usage.DICTATION, asked)
        backed = usage.sums(session, caller.account_id, usage.FAILOVER, asked)
    currency = box.settings.prices.currency
    rows = [
        MonthOfUsage(month=period.label, **figures(sums, cloud, currency))
        for period, sums, cloud in zip(asked, found, backed, strict=True)
    ]
    return UsageByMonth(account.plan, rows)


@get(f"{PATH}/daily", operation_id="getDailyUsage", **needs("transcribe:usage"), **METERING)
@threaded
def get_daily_usage(
    box: NamedDependency[Box],
    days: Days = DAYS,
    timezone: Zone = None,
    *,
    caller: NamedDependency[Caller],
) -> UsageByDay:
    """Return the same figures by day, today first."""
    with box.database.read() as session:
        account = accounts.numbered(session, caller.account_id)
        zone = periods.zone_of(account.timezone if timezone is None else timezone)
        asked = periods.last_days(zone, now(), days)
        found = usage.sums(session, caller.account_id, usage.DICTATION, asked)
        backed = usage.sums(session, caller.account_id, usage.FAILOVER, asked)
    currency = box.settings.prices.currency
    rows = [
        DayOfUsage(date=period.label, **figures(sums, cloud, currency))
        for period, sums, cloud in zip(asked, found, backed, strict=True)
    ]
    return UsageByDay(account.plan, zone.key, rows)


@get(f"{PATH}/check-limit", operation_id="checkLimit", **needs("transcribe:usage"), **METERING)
@threaded
def check_limit(
    box: NamedDependency[Box], timezone: Zone = None, *, caller: NamedDependency[Caller]
) -> LimitCheck:
    """Return the words used and left today and this week; limits guard the cloud alone."""
    with box.database.read() as session:
        account = accounts.numbered(session, caller.account_id)
        zone = periods.zone_of(account.timezone if timezone is None else timezone)
        standing = quota.standing(session, account, box.settings.plans, zone)
    return LimitCheck(
        allowed=standing.allowed,
        daily_words_used=standing.daily.used,
        daily_words_limit=standing.daily.limit,
        daily_words_remaining=standing.daily.remaining,
        weekly_words_used=standing.weekly.used,
        weekly_words_limit=standing.weekly.limit,
        weekly_words_remaining=standing.weekly.remaining,
        limit_type=standing.limit_type,
        plan=standing.plan,
    )


def figures(sums: usage.Sums, backed: usage.Sums, currency: str) -> dict[str, Any]:
    """Return the sums of a period as clients see them; `backed` is what the cloud heard."""
    return {
        "dictation_count": sums.events,
        "audio_minutes": round(sums.audio_ms / MS_PER_MINUTE, 2),
        "word_count": sums.words,
        "estimated_cost": round((sums.cost_micros + backed.cost_micros) / MICROS, 4),
        "currency": currency,
    }
