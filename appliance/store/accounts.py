"""Accounts: who owns sessions, keys and words."""

from collections.abc import Collection

from sqlmodel import Session, col, select

from appliance.errors import Conflict, NotFound, Refused
from appliance.periods import zone_of
from appliance.plans import BUILT_IN
from appliance.store.entities import Account

DEFAULT = "default"
MAX_NAME = 64


def create(
    session: Session,
    name: str,
    plan: str = "selfhosted",
    timezone: str = "UTC",
    plans: Collection[str] = BUILT_IN.keys(),
) -> Account:
    """Make an account; `plans` are the names of those there are."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise Refused(f"account name {name!r}: want 1 to {MAX_NAME} printable characters")
    if session.exec(select(Account).where(Account.name == name)).first():
        raise Conflict(f"there is an account '{name}' already")
    account = Account(name=name, plan=checked_plan(plan, plans), timezone=checked_zone(timezone))
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
) -> Account:
    """Set the plan, the time zone or both; `plans` are the names of those there are."""
    account = named(session, name)
    if plan is not None:
        account.plan = checked_plan(plan, plans)
    if timezone is not None:
        account.timezone = checked_zone(timezone)
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
