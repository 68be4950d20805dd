"""Tokens of this box for this box: JWTs that stand for an account and a key, for a while.

HS256, `sub` is the account, `kid` (a claim of ours) the key it was given to; RFC 7519. They are
checked each time they are presented, also against the revocation of that key. Local tokens
(`aud`: listen) open `/v1/listen`, and an open connection outlives its token. Those of the page
(`aud`: page) are its cookie, may what the key may, and have a number of their own, by which one
is ended before its time.
"""

import secrets
import threading
import time
from typing import Any

import jwt
from sqlmodel import Session

from appliance.store import keys
from appliance.store.entities import ApiKey
from appliance.store.keys import Caller

LISTEN, PAGE = "listen", "page"
ALGORITHM, ISSUER = "HS256", "scribebox"
REQUIRED = ["aud", "exp", "iat", "iss", "kid", "sub"]


class LocalTokens:
    """Make and check those that open `/v1/listen`."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def mint(self, caller: Caller, lifetime_s: float, now_s: float | None = None) -> str:
        """Return a token for the account and key of the caller."""
        return signed(self._key, LISTEN, caller, lifetime_s, now_s)

    def caller(self, session: Session, token: str) -> Caller | None:
        """Return who a token stands for; None if it is wrong, expired, or its key has ended."""
        claims = claims_of(self._key, LISTEN, token)
        key = valid_key(session, claims) if claims is not None else None
        return Caller(key.id, key.account_id, frozenset({LISTEN})) if key is not None else None


class PageTokens:
    """Make, check and end those of people who have signed in on the page.

    Those ended are kept in memory until they expire: a restart lets one be used again that somebody
    has copied before its owner signed out. Revoking the key ends them all, for good.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._lock = threading.Lock()
        self._ended: dict[str, float] = {}  # when each expires anyway, by its number

    def mint(self, caller: Caller, lifetime_s: float, now_s: float | None = None) -> str:
        """Return a token for the account and key of the caller."""
        return signed(self._key, PAGE, caller, lifetime_s, now_s, jti=secrets.token_hex(16))

    def caller(self, session: Session, token: str) -> Caller | None:
        """Return who a token stands for; None if it is wrong, ended, expired, or its key has."""
        claims = claims_of(self._key, PAGE, token)
        if claims is None:
            return None
        with self._lock:
            if claims.get("jti") in self._ended:
                return None
        key = valid_key(session, claims)
        if key is None:
            return None
        return Caller(key.id, key.account_id, frozenset(key.scopes.split()))

    def end(self, token: str) -> None:
        """Accept a token never again; one that is not valid is none."""
        claims = claims_of(self._key, PAGE, token)
        if claims is None:
            return
        with self._lock:
            now_s = time.time()
            self._ended = {n: until for n, until in self._ended.items() if until > now_s}
            self._ended[str(claims.get("jti"))] = float(claims["exp"])


def signed(
    key: bytes, audience: str, caller: Caller, lifetime_s: float, now_s: float | None, **more: str
) -> str:
    """Return a token that says these things."""
    issued = time.time() if now_s is None else now_s
    claims = {
        "iss": ISSUER,
        "aud": audience,
        "sub": str(caller.account_id),
        "kid": caller.key_id,
        "iat": issued,
        "exp": issued + lifetime_s,
        **more,
    }
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def claims_of(key: bytes, audience: str, token: str) -> dict[str, Any] | None:
    """Return what a token says; None if it is wrong or expired."""
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=audience,
            issuer=ISSUER,
            options={"require": REQUIRED},
        )
    except jwt.InvalidTokenError:
        return None


def valid_key(session: Session, claims: dict[str, Any]) -> ApiKey | None:
    """Return the key a token was given to, if it is still valid and of the same account."""
    key = session.get(ApiKey, claims["kid"])
    if key is None or str(key.account_id) != claims["sub"] or keys.state(key) != "valid":
        return None
    return key
