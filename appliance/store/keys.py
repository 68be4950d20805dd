"""API keys: `sb_live_<id8>_<secret43>`, of which only a SHA-256 is kept.

The secret is 256 random bits, so a plain hash is as good as a slow one (nothing can be guessed),
and it is compared in constant time.
"""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from appliance.errors import NotFound, Refused
from appliance.store.database import tell
from appliance.store.entities import Account, ApiKey, now

PREFIX = "sb_live_"
REVOKED = "key.revoked"
SCOPES = {
    "sessions:read": "list, read, search and export sessions; read jobs and vocabulary",
    "sessions:write": "upload, change and delete sessions; set the vocabulary",
    "recordings": "the microphone: start, stop, watch",
    "listen": "transcribe files and streams through /v1",
    "transcribe:token": "ask for tokens",
    "transcribe:history": "the dictation history and its audio",
    "transcribe:usage": "usage and limits",
    "transcribe:*": "all three of transcribe",
    "webhooks": "endpoints and deliveries",
    "metrics": "the metrics",
    "admin": "everything, and keys and accounts",
}
FORM = re.compile(r"sb_live_([A-Za-z0-9]{8})_([A-Za-z0-9_-]{43})")
ALPHABET = string.ascii_letters + string.digits
EXPIRES = re.compile(r"(\d{1,5})([hdwy])")
LONGEST = timedelta(days=36500)
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a valid key stands for, for as long as it is valid."""

    key_id: str
    account_id: int
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Tell whether the key grants the scope."""
        family = scope.split(":")[0] + ":*"
        return bool({scope, family, "admin"} & self.scopes)


def create(
    session: Session,
    account: Account,
    name: str,
    scopes: list[str],
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; its plain text is returned once and can't be had again."""
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise Refused(f"key name {name!r}: want 1 to 100 printable characters")
    if not scopes:
        raise Refused(f"a key needs a scope; there are {', '.join(SCOPES)}")
    for scope in scopes:
        if scope not in SCOPES:
            raise Refused(f"scope '{scope}': there are {', '.join(SCOPES)}")
    left_s = expires_at.timestamp() - now().timestamp() if expires_at is not None else None
    if expires_at is not None and left_s is not None and left_s <= 0:
        raise Refused(f"a key can't expire in the past ({expires_at.isoformat()})")
    if (
        expires_at is not None
        and expires_at.timestamp() > now().timestamp() + LONGEST.total_seconds()
    ):
        raise Refused(f"a key can't expire in {expires_at.year}: want 100 years at most, or none")
    key_id = "".join(secrets.choice(ALPHABET) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    assert account.id is not None
    key = ApiKey(
        id=key_id,
        account_id=account.id,
        name=name,
        secret_sha256=digest(secret),
        scopes=" ".join(dict.fromkeys(scopes)),
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    return key, f"{PREFIX}{key_id}_{secret}"


def caller(session: Session, plain: str) -> Caller | None:
    """Return who the key stands for; None if it is wrong, revoked or expired."""
    form = FORM.fullmatch(plain)
    if form is None:
        return None
    key = session.get(ApiKey, form[1])
    if key is None or not hmac.compare_digest(key.secret_sha256, digest(form[2])):
        return None
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now()):
        return None
    return Caller(key.id, key.account_id, frozenset(key.scopes.split()))


def revoke(session: Session, key_id: str) -> ApiKey:
    """End a key for good; twice is fine."""
    key = session.get(ApiKey, key_id)
    if key is None:
        raise NotFound(f"there is no key '{key_id}'; see scribebox keys list")
    key.revoked_at = key.revoked_at or now()
    session.add(key)
    tell(session, REVOKED, key_id=key_id)
    return key


def state(key: ApiKey) -> str:
    """Return "valid", "expired" or "revoked"."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now() else "valid"


def every(session: Session) -> list[tuple[ApiKey, str]]:
    """Return all keys with the names of their accounts, the newest first."""
    rows = session.exec(
        select(ApiKey, Account.name)
        .where(ApiKey.account_id == Account.id)
        .order_by(col(ApiKey.created_at).desc())
    )
    return [(key, name) for key, name in rows]


def used(session: Session, last_used: dict[str, datetime]) -> None:
    """Note when keys were last used; written by the clock, never by a request."""
    for key_id, moment in last_used.items():
        key = session.get(ApiKey, key_id)
        if key is not None:
            key.last_used_at = moment
            session.add(key)


def expiry(text: str, since: datetime | None = None) -> datetime:
    """Return the moment that "90d", "12h", "4w" or "1y" from now is."""
    match = EXPIRES.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise Refused(f"expiry '{text}': want a number and h, d, w or y, such as 90d")
    unit = timedelta(days=365) if match[2] == "y" else UNITS[match[2]]
    if int(match[1]) * unit > LONGEST:
        raise Refused(f"expiry '{text}': want 100 years at most, or none at all")
    return (since or now()) + int(match[1]) * unit


def digest(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
