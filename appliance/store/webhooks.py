"""Webhook endpoints and the outbox of deliveries.

Guarantee: a delivery row is written in the transaction of what it tells of, so that it exists if
and only if that does.
"""

import secrets
import time

from sqlmodel import Session, select

from appliance.store.database import tell
from appliance.store.entities import Delivery, Message, Webhook

SESSION_CREATED = "session.created"
EVENTS = (SESSION_CREATED,)
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def enqueue(session: Session, account_id: int, event: str, body: bytes) -> int:
    """Write one delivery for every endpoint that asked for the event; return how many."""
    endpoints = session.exec(
        select(Webhook).where(Webhook.account_id == account_id, Webhook.enabled)
    ).all()
    wanted = [e for e in endpoints if event in e.events]
    if not wanted:
        return 0
    message = Message(account_id=account_id, event=event, body=body)
    session.add(message)
    session.flush()
    for endpoint in wanted:
        assert endpoint.id is not None and message.id is not None
        session.add(Delivery(id=message_id(), webhook_id=endpoint.id, message_id=message.id))
    tell(session, "delivery.due")
    return len(wanted)


def message_id() -> str:
    """Return a new webhook-id: `msg_` and a ULID, which sorts by time and has no dots."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "msg_" + "".join(CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))
