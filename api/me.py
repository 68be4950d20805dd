"""Who is calling, as the page has to know: whose key it is, and what it may."""

from typing import Any

from litestar import get
from litestar.di import NamedDependency
from sqlmodel import Session

from api.account_schemas import Me, OwnAccount
from api.auth import ANY, needs
from api.threads import threaded
from appliance.box import Box
from appliance.store import accounts
from appliance.store.entities import ApiKey
from appliance.store.keys import Caller
from appliance.store.sessions import timestamp

PAGE: dict[str, Any] = {"tags": ["page"]}


@get("/api/v1/me", operation_id="getMe", **needs(ANY), **PAGE)
@threaded
def get_me(box: NamedDependency[Box], caller: NamedDependency[Caller]) -> Me:
    """Return the account and the key of whoever asks, with any key that is valid."""
    with box.database.read() as session:
        return described(session, caller)


def described(session: Session, caller: Caller) -> Me:
    """Return what callers may know of themselves."""
    account = accounts.numbered(session, caller.account_id)
    key = session.get_one(ApiKey, caller.key_id)
    return Me(
        account=OwnAccount(caller.account_id, account.name, account.plan, account.timezone),
        key_id=key.id,
        key_name=key.name,
        scopes=key.scopes.split(),
        expires_at=timestamp(key.expires_at) if key.expires_at else None,
    )
