"""Accounts over HTTP, for administrators: what `scribebox accounts` does."""

from typing import Any

from litestar import Request, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET

from api.account_schemas import Account as AccountSchema
from api.account_schemas import AccountChange, NewAccount
from api.auth import address_of, needs
from api.threads import threaded, writing
from appliance.box import Box
from appliance.store import accounts, audit
from appliance.store.entities import Account
from appliance.store.keys import Caller
from appliance.store.sessions import timestamp

PATH = "/api/v1/accounts"


@get(PATH, operation_id="listAccounts", **needs("admin"), tags=["accounts"])
@threaded
def list_accounts(box: NamedDependency[Box]) -> list[AccountSchema]:
    """Return all accounts, the newest first."""
    with box.database.read() as session:
        return [described(account) for account in reversed(accounts.every(session))]


@post(
    PATH,
    operation_id="createAccount",
    **needs("admin", _409="The name is taken.", _413="The body is too large."),
    tags=["accounts"],
)
@writing
def create_account(
    data: JSONBody[NewAccount],
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    caller: NamedDependency[Caller],
) -> AccountSchema:
    """Make an account."""
    plans = box.settings.plans.keys()
    with box.database.write() as session:
        account = accounts.create(
            session, data.name, data.plan, data.timezone, plans, kept_of(data)
        )
        audit.by(session, caller, address_of(request), "account.create", account.name)
    return described(account)


@patch(
    f"{PATH}/{{account_id:int}}",
    operation_id="changeAccount",
    **needs("admin", _404="There is no such account.", _413="The body is too large."),
    tags=["accounts"],
)
@writing
def change_account(
    data: JSONBody[AccountChange],
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    account_id: FromPath[int],
    caller: NamedDependency[Caller],
) -> AccountSchema:
    """Set the plan, the time zone, or how long things are kept."""
    plans = box.settings.plans.keys()
    with box.database.write() as session:
        name = accounts.numbered(session, account_id).name
        account = accounts.change(session, name, data.plan, data.timezone, plans, kept_of(data))
        audit.by(session, caller, address_of(request), "account.set", name)
    return described(account)


def kept_of(said: NewAccount | AccountChange) -> accounts.Kept:
    """Return how long things are to be kept, as far as it was said."""
    days = {name: getattr(said, name) for name in accounts.RETENTION}
    return {name: value for name, value in days.items() if value is not UNSET}


def described(account: Account) -> AccountSchema:
    """Return the account as clients see it."""
    assert account.id is not None
    return AccountSchema(
        id=account.id,
        name=account.name,
        plan=account.plan,
        timezone=account.timezone,
        retention_audio_days=account.retention_audio_days,
        retention_text_days=account.retention_text_days,
        created_at=timestamp(account.created_at),
    )
