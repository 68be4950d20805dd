"""Accounts: who owns sessions, keys and words."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from sqlmodel import Session, col, select

from appliance.errors import Conflict, NotFound, Refused
from appliance.periods import zone_of
from appliance.plans import BUILT_IN
from appliance.store.entities import Account

DEFAULT = "default"
MAX_NAME = 64
MAX_DAYS = 36500
RETENTION = ("retention_audio_days", "retention_text_days")
Kept = Mapping[str, int | None]  # days by these names; 0: for ever, None: as the settings say
NO_CHANGE: Kept = MappingProxyType({})


def create(
    session: Session,
    name: str,
    plan: str = "selfhosted",
    timezone: str = "UTC",
    plans: Collection[str] = BUILT_IN.keys(),
    kept: Kept = NO_CHANGE,
) -> Account:
    """Make an account; `plans` are the names of those there are."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise Refused(f"account name {name!r}: want 1 to {MAX_NAME} printable characters")
    if session.exec(select(Account).where(Account.name == name)).first():
        raise Conflict(f"there is an account '{name}' already")
    account = Account(name=name, plan=checked_plan(plan, plans), timezone=checked_zone(timezone))
    account.sqlmodel_update(checked_days(kept))
    session.add(account)
    session.flush()
    return account


def named(session: Session, name: str) -> Account:
    """Return the account of that name."""
    account = session.exec(select(Account).where(Account.name == name)).first()
    if account is None:
        raise NotFound(f"there is no account '{name}'; make it: scribebox accounts create {name}")
    return account


def numbered(session: Session, account_id: int) -> Account:
    """Return the account of that number."""
    account = session.get(Account, account_id) if 0 < account_id < 2**63 else None
    if account is None:
        raise NotFound(f"there is no account {account_id}")
    return account


def change(
    session: Session,
    name: str,
    plan: str | None = None,
    timezone: str | None = None,
    plans: Collection[str] = BUILT_IN.keys(),
    kept: Kept = NO_CHANGE,
) -> Account:
    """Set what is given of an account; `plans` are the names of those there are."""
    account = named(session, name)
    if plan is not None:
        account.plan = checked_plan(plan, plans)
    if timezone is not None:
        account.timezone = checked_zone(timezone)
    account.sqlmodel_update(checked_days(kept))
    session.add(account)
    return account


def every(session: Session) -> list[Account]:
    """Return all accounts, the oldest first."""
    return list(session.exec(select(Account).order_by(col(Account.id))))


def checked_plan(plan: str, plans: Collection[str]) -> str:
    """Return the plan if there is one of that name."""
    if plan not in plans:
        raise Refused(f"plan {plan[:MAX_NAME]!r}: there are {', '.join(plans)}")
    return plan


def checked_zone(timezone: str) -> str:
    """Return the IANA name of a time zone if there is one of that name."""
    return zone_of(timezone).key


def checked_days(kept: Kept) -> dict[str, int | None]:
    """Return how long things are kept if these are numbers of days."""
    for name, days in kept.items():
        if days is not None and not 0 <= days <= MAX_DAYS:
            raise Refused(f"{name}: {days} days; want 0 (for ever) to {MAX_DAYS}")
    return dict(kept)
