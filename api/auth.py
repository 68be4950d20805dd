"""Who is calling and what they may do: one mechanism for every route.

A route is open (`opt={"open": True}`) or it has a scope, given by `needs`; a test walks
all routes of the app and fails for one that has neither.
"""

import logging
import math
import threading
import time
from datetime import datetime
from typing import Any

import anyio.to_thread
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.exceptions import (
    NotAuthorizedException,
    PermissionDeniedException,
    TooManyRequestsException,
)
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.openapi import ResponseSpec

from api import cookie
from api.attempts import Attempts
from api.listen.credentials import bearer_of
from api.openapi import refusal
from appliance.events import Event
from appliance.store import keys
from appliance.store.database import Database
from appliance.store.entities import now
from appliance.store.keys import SCOPES, Caller
from appliance.tokens import PageTokens

log = logging.getLogger(__name__)
Connection = ASGIConnection[Any, Any, Any, Any]
CACHE_S = 1.0  # how long a revoked key may go on
MAX_CACHED = 1000
ANY = "any"  # in place of a scope: whichever the key has
DEEPGRAM = "deepgram"  # routes whose clients say "Token KEY" too


class Authenticator:
    """Know the callers of valid keys; reading never waits for a writer.

    When a key was used is kept in memory, and written by the clock.
    """

    def __init__(self, database: Database, page_tokens: PageTokens) -> None:
        self._database, self._page_tokens = database, page_tokens
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Caller]] = {}
        self._last_used: dict[str, datetime] = {}
        self.attempts = Attempts()
        database.bus.subscribe(self._forget)

    async def caller(self, plain: str) -> Caller | None:
        """Return who the key stands for, None if it is not valid."""
        digest = keys.digest(plain)  # so that no key in plain stays in memory
        with self._lock:
            known = self._known.get(digest)
        if known is None or time.monotonic() - known[0] > CACHE_S:
            caller = await anyio.to_thread.run_sync(self._look_up, plain)
            if caller is None:
                return None
            with self._lock:
                if len(self._known) >= MAX_CACHED:
                    self._known.clear()
                self._known[digest] = (time.monotonic(), caller)
        else:
            caller = known[1]
        with self._lock:
            self._last_used[caller.key_id] = now()
        return caller

    async def signed_in(self, token: str) -> Caller | None:
        """Return who the token of a cookie stands for, None if it is not valid."""

        def look_up() -> Caller | None:
            with self._database.read() as session:
                return self._page_tokens.caller(session, token)

        caller = await anyio.to_thread.run_sync(look_up)
        if caller is not None:
            with self._lock:
                self._last_used[caller.key_id] = now()
        return caller

    def write_last_used(self) -> None:
        """Write down when keys were used (a duty of the clock)."""
        with self._lock:
            last_used, self._last_used = self._last_used, {}
        if last_used:
            with self._database.write() as session:
                keys.used(session, last_used)

    def _forget(self, event: Event) -> None:
        """Look every key up anew once one is revoked."""
        if event.name == keys.REVOKED:
            with self._lock:
                self._known.clear()

    def _look_up(self, plain: str) -> Caller | None:
        with self._database.read() as session:
            return keys.caller(session, plain)


class Authentication(AbstractAuthenticationMiddleware):
    """Find the caller of every request that isn't to an open route."""

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """Return the caller; 401 without a valid key, with one message for every reason.

        A WebSocket's handler asks by itself: it refuses in a way of its own, and takes no cookie.
        Routes with `tokens` take the box's own tokens too. A cookie counts only where there is no
        Authorization, and is no guess at a key: nobody is slowed down for it.
        """
        if connection.scope["type"] == ScopeType.WEBSOCKET:
            return AuthenticationResult(user=None, auth=None)
        scheme, _, key = connection.headers.get("Authorization", "").partition(" ")
        caller = None
        surface = connection.route_handler.opt.get("surface")
        if scheme.lower() in ("bearer", "token" if surface == DEEPGRAM else "bearer"):
            caller = await connection.app.state.authenticator.caller(key.strip())
            if caller is None and connection.route_handler.opt.get("tokens"):
                box = connection.app.state.box
                caller = await anyio.to_thread.run_sync(bearer_of, box, key.strip())
        if "Authorization" not in connection.headers:
            caller = await keeper_of_cookie(connection)
        if caller is None:
            if key:
                slow_down(connection)
            raise NotAuthorizedException(
                "A valid key is needed: Authorization: Bearer sb_live_…; "
                "make one with scribebox keys create"
            )
        return AuthenticationResult(user=caller, auth=caller.key_id)


async def keeper_of_cookie(connection: Connection) -> Caller | None:
    """Return who has signed in on the page, None if nobody has; 403 if another site asks."""
    token = connection.cookies.get(cookie.NAME)
    if not token:
        return None
    cookie.refuse_foreign(connection, unsaid=cookie.is_safe(connection))
    authenticator: Authenticator = connection.app.state.authenticator
    return await authenticator.signed_in(token)


def address_of(connection: Connection) -> str:
    """Return where a request came from."""
    return connection.client.host if connection.client else ""


def slow_down(connection: Connection) -> None:
    """Raise 429 if this address has presented too many wrong keys of late."""
    address = address_of(connection)
    attempts: Attempts = connection.app.state.authenticator.attempts
    wait_s = attempts.failed(address)
    if wait_s > 0 and attempts.first_refusal(address):
        log.warning("too many wrong keys from %s", address)
    if wait_s > 0:
        raise TooManyRequestsException(
            f"Too many wrong keys from this address; try again in {math.ceil(wait_s)} s. "
            "A valid key is always accepted.",
            headers={"Retry-After": str(math.ceil(wait_s))},
        )


def needs(
    scope: str,
    also: dict[int, ResponseSpec] | None = None,
    *,
    surface: str = "",
    **refusals: str,
) -> dict[str, Any]:
    """Return what a handler takes to be for callers with that scope only, or with ANY.

    `refusals` are further ones it may answer with, such as `_404="There is no such job."`,
    `also` answers that are none, `surface` whose manners it has, if not the box's own.
    """
    if scope not in (*SCOPES, ANY):
        raise ValueError(f"no such scope: {scope}")

    def guard(connection: Connection, _: BaseRouteHandler) -> None:
        if scope != ANY and not connection.user.may(scope):
            raise PermissionDeniedException(f"The key lacks the scope {scope}.")

    return {
        "guards": [guard],
        "opt": {"scope": scope, "surface": surface},
        "security": [{"apiKey": []}],
        "responses": {
            400: refusal("A parameter can't be accepted."),
            401: refusal("There is no valid key."),
            403: refusal(LACKING if scope == ANY else f"The key lacks the scope {scope}."),
            429: refusal("There were too many wrong keys from this address."),
            503: refusal("The database is busy or can't be written; try again."),
            **{int(status[1:]): refusal(meaning) for status, meaning in refusals.items()},
            **(also or {}),
        },
    }


LACKING = "The cookie came with a request that the page of this box did not make."
OPEN: dict[str, Any] = {"opt": {"open": True}, "security": [{}]}
