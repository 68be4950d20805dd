"""Idempotency keys: a request that is sent again within a day is not carried out again.

Kept is what the request made (an id), not the answer's text, which goes when its entry goes.
After draft-ietf-httpapi-idempotency-key-header.
"""

from datetime import timedelta

from sqlmodel import Session

from appliance.errors import Conflict, Refused
from appliance.store.entities import IdempotencyKey, now

KEPT = timedelta(hours=24)
MAX_CHARACTERS = 255
ANOTHER_BODY = "the Idempotency-Key came with another body; send a new key with a new body"


def checked(key: str) -> str:
    """Return the key if it can be one."""
    if not 1 <= len(key) <= MAX_CHARACTERS or not (key.isascii() and key.isprintable()):
        raise Refused(f"Idempotency-Key: want 1 to {MAX_CHARACTERS} printable ASCII characters")
    return key


def earlier(
    session: Session, account_id: int, key: str, body_sha256: str, conflict: str = ANOTHER_BODY
) -> str | None:
    """Return what the key made the first time, None if it is new; Conflict for another body."""
    row = session.get(IdempotencyKey, (account_id, key))
    if row is None:
        return None
    if row.created_at <= now() - KEPT:
        session.delete(row)
        session.flush()
        return None
    if row.body_sha256 != body_sha256:
        raise Conflict(conflict)
    return row.answer


def remember(session: Session, account_id: int, key: str, body_sha256: str, made: str) -> None:
    """Note what the key made, in the transaction that makes it."""
    session.add(
        IdempotencyKey(
            account_id=account_id, key=key, body_sha256=body_sha256, status=201, answer=made
        )
    )
