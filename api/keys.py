"""API keys over HTTP, for administrators: what `scribebox keys` does."""

from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.auth import address_of, needs
from api.schemas import CreatedKey, Key, NewKey
from api.threads import threaded, writing
from appliance.box import Box
from appliance.errors import Refused
from appliance.store import accounts, audit, keys
from appliance.store.entities import Account, ApiKey
from appliance.store.keys import Caller
from appliance.store.sessions import timestamp

PATH = "/api/v1/keys"
NO_STORE = {"Cache-Control": "no-store"}


@get(PATH, operation_id="listKeys", **needs("admin"), tags=["keys"])
@threaded
def list_keys(box: NamedDependency[Box]) -> list[Key]:
    """Return all keys of all accounts, the newest first, never their secrets."""
    with box.database.read() as session:
        return [Key(**described(key, name)) for key, name in keys.every(session)]


@post(
    PATH,
    operation_id="createKey",
    **needs("admin", _404="There is no such account.", _413="The body is too large."),
    tags=["keys"],
)
@writing
def create_key(
    data: JSONBody[NewKey],
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    caller: NamedDependency[Caller],
) -> Response[CreatedKey]:
    """Make a key; the answer is the only place where it is ever shown."""
    if data.expires is not None and data.expires_at is not None:
        raise Refused("expires and expiresAt are two ways to say the same: give one of them")
    expires_at = keys.expiry(data.expires) if data.expires is not None else data.expires_at
    with box.database.write() as session:
        if data.account is None:
            account = session.get_one(Account, caller.account_id)
        else:
            account = accounts.named(session, data.account)
        key, plain = keys.create(session, account, data.name, data.scopes, expires_at)
        audit.by(session, caller, address_of(request), "key.create", key.id)
    return Response(CreatedKey(**described(key, account.name), key=plain), headers=NO_STORE)


@delete(
    f"{PATH}/{{key_id:str}}",
    operation_id="revokeKey",
    **needs("admin", _404="There is no such key."),
    tags=["keys"],
)
@writing
def revoke_key(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    key_id: FromPath[str],
    caller: NamedDependency[Caller],
) -> None:
    """End a key for good, at once; twice is fine."""
    with box.database.write() as session:
        keys.revoke(session, key_id)
        audit.by(session, caller, address_of(request), "key.revoke", key_id)


def described(key: ApiKey, account: str) -> dict[str, Any]:
    """Return what may be known of a key."""
    return {
        "id": key.id,
        "name": key.name,
        "account": account,
        "scopes": key.scopes.split(),
        "state": keys.state(key),
        "created_at": timestamp(key.created_at),
        "expires_at": timestamp(key.expires_at) if key.expires_at else None,
        "last_used_at": timestamp(key.last_used_at) if key.last_used_at else None,
    }
