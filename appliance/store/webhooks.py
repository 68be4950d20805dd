"""Webhook endpoints and the outbox of deliveries.

Guarantee: a delivery row is written in the transaction of what it tells of, so that it exists if
and only if that does.
"""

import secrets
import threading
import time

from sqlmodel import Session, select

from appliance.store.database import tell
from appliance.store.entities import Delivery, Message, Webhook

SESSION_CREATED = "session.created"
EVENTS = (SESSION_CREATED,)
DUE = "delivery.due"
CHANCE_BITS = 80
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def enqueue(
    session: Session, account_id: int, event: str, body: bytes, session_id: int | None = None
) -> int:
    """Write one delivery for every endpoint that asked for the event; return how many.

    `session_id` is what it tells of: if that is deleted nothing of it is sent any more.
    """
    endpoints = session.exec(
        select(Webhook).where(Webhook.account_id == account_id, Webhook.enabled)
    ).all()
    wanted = [e for e in endpoints if event in e.events]
    if not wanted:
        return 0
    message = Message(account_id=account_id, session_id=session_id, event=event, body=body)
    session.add(message)
    session.flush()
    for endpoint in wanted:
        assert endpoint.id is not None and message.id is not None
        session.add(Delivery(id=message_id(), webhook_id=endpoint.id, message_id=message.id))
    tell(session, DUE)
    return len(wanted)


class Ids:
    """Make the numbers of ULIDs; of those of one millisecond each is greater than the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """Return a number that sorts by time and that nobody can guess."""
        time_ms = time.time_ns() // 1_000_000
        with self._lock:
            again = time_ms == self._last >> CHANCE_BITS
            chance = secrets.randbits(CHANCE_BITS - 1)  # the highest bit is left for what is added
            self._last = self._last + 1 if again else time_ms << CHANCE_BITS | chance
            return self._last


IDS = Ids()


def message_id() -> str:
    """Return a new webhook-id: `msg_` and a ULID, which sorts by time and has no dots."""
    return spelled(IDS.next())


def first_id(time_ms: int) -> str:
    """Return the least id of a millisecond since 1970."""
    return spelled(max(time_ms, 0) << CHANCE_BITS)


def spelled(number: int) -> str:
    """Return a number in Crockford's alphabet, which sorts as the number does."""
    return "msg_" + "".join(CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
