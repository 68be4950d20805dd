"""Local tokens: JWTs of this box that open its own `/v1/listen` for a short time.

HS256, `aud` is "listen", `sub` the account, `kid` (a claim of ours) the key it was vended to. They
are checked when a connection opens, also against the revocation of that key; an open connection
outlives its token. RFC 7519.
"""

import time

import jwt
from sqlmodel import Session

from appliance.store import keys
from appliance.store.entities import ApiKey
from appliance.store.keys import Caller

AUDIENCE, ALGORITHM, ISSUER = "listen", "HS256", "scribebox"
REQUIRED = ["aud", "exp", "iat", "iss", "kid", "sub"]


class LocalTokens:
    """Make and check them."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def mint(self, caller: Caller, lifetime_s: float, now_s: float | None = None) -> str:
        """Return a token for the account and key of the caller."""
        issued = time.time() if now_s is None else now_s
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(caller.account_id),
            "kid": caller.key_id,
            "iat": issued,
            "exp": issued + lifetime_s,
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def caller(self, session: Session, token: str) -> Caller | None:
        """Return who a token stands for; None if it is wrong, expired, or its key has ended."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": REQUIRED},
            )
        except jwt.InvalidTokenError:
            return None
        key = session.get(ApiKey, claims["kid"])
        if key is None or str(key.account_id) != claims["sub"] or keys.state(key) != "valid":
            return None
        return Caller(key.id, key.account_id, frozenset({AUDIENCE}))
