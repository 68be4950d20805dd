"""How many words an account may still send to the cloud: its plan against its dictations.

The limits guard the cloud; nothing here ever stops a transcription on the box itself.
"""

import functools
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from sqlmodel import Session

from appliance import periods
from appliance.plans import Plan, Plans
from appliance.store import usage
from appliance.store.entities import Account, now

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Allowance:
    """Words used and allowed in a day or a week that ends at `resets_at`; None is unlimited."""

    used: int
    limit: int | None
    resets_at: datetime

    @property
    def remaining(self) -> int | None:
        """Return the words left, never fewer than 0; None if unlimited."""
        return None if self.limit is None else max(self.limit - self.used, 0)


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account has used of its plan at one moment."""

    plan: str
    daily: Allowance
    weekly: Allowance

    @property
    def limit_type(self) -> Literal["daily", "weekly"] | None:
        """Return what is used up; the week if both are, since that stops longer."""
        if self.weekly.remaining == 0:
            return "weekly"
        return "daily" if self.daily.remaining == 0 else None

    @property
    def allowed(self) -> bool:
        """Tell whether there are words left."""
        return self.limit_type is None

    @property
    def remaining(self) -> int | None:
        """Return the words left today or this week, the smaller; None if unlimited."""
        left = [a.remaining for a in (self.daily, self.weekly) if a.remaining is not None]
        return min(left, default=None)

    @property
    def resets_at(self) -> datetime | None:
        """Return when what is used up begins anew, in UTC; None if nothing is."""
        if self.limit_type is None:
            return None
        return (self.weekly if self.limit_type == "weekly" else self.daily).resets_at


def standing(
    session: Session,
    account: Account,
    plans: Plans,
    zone: ZoneInfo | None = None,
    at: datetime | None = None,
) -> Standing:
    """Return how an account stands; day and week are those of the zone, else the account's."""
    assert account.id is not None
    zone, at = zone or periods.zone_of(account.timezone), at or now()
    day, week = periods.day(zone, at), periods.week(zone, at)
    today, this_week = usage.sums(session, account.id, usage.DICTATION, [day, week])
    plan = plans.get(account.plan) or unknown(account.plan)
    return Standing(
        account.plan,
        Allowance(today.words, plan.daily_words, day.end),
        Allowance(this_week.words, plan.weekly_words, week.end),
    )


@functools.lru_cache(maxsize=100)  # so that each is told of once
def unknown(name: str) -> Plan:
    """Return the limits of a plan that the settings no longer have: nothing is allowed."""
    log.warning("plan '%s' is not in the settings: its accounts may use no cloud", name)
    return Plan(0, 0)
