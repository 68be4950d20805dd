"""The key or token that a client of `/v1/listen` presents, in each of the forms SDKs have.

`Authorization: Token KEY` or `Bearer JWT`, or (browsers can't send that) the same two words as
WebSocket subprotocols. Whatever it is called, it may be a key or a local token.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread

from appliance.box import Box
from appliance.store.keys import Caller

SCHEMES = ("token", "bearer")


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret, and the subprotocol that the client must find again in the answer, if any."""

    secret: str = field(repr=False)
    subprotocol: str | None = None  # as it was offered: "token" or "bearer" in any case


def presented(headers: Mapping[str, str], subprotocols: Sequence[str]) -> Credential | None:
    """Return what the client presents; the header counts before the subprotocols.

    `headers` finds its names in any case, as Litestar's do.
    """
    offered, offered_secret = offered_by(subprotocols)
    scheme, _, secret = headers.get("authorization", "").strip().partition(" ")
    secret = secret.strip() if scheme.lower() in SCHEMES else ""
    if not secret:  # Basic is a proxy's business
        secret = offered_secret
    return Credential(secret, offered) if secret else None


def offered_by(subprotocols: Sequence[str]) -> tuple[str | None, str]:
    """Return the subprotocol that names a scheme, and what follows it, the secret.

    Subprotocols of the application may stand before it, those of the SDK come after it.
    """
    names = [name.strip() for name in subprotocols]
    for name, following in itertools.pairwise(names):
        if name.lower() in SCHEMES and following:
            return name, following
    return None, ""


async def caller_of(app: Any, credential: Credential) -> Caller | None:
    """Return who a key or a local token stands for, None if it is neither."""
    caller: Caller | None = await app.state.authenticator.caller(credential.secret)
    if caller is not None:
        return caller
    return await anyio.to_thread.run_sync(bearer_of, app.state.box, credential.secret)


def bearer_of(box: Box, token: str) -> Caller | None:
    """Return who a local token stands for; it reads the database."""
    with box.database.read() as session:
        return box.tokens.caller(session, token)
