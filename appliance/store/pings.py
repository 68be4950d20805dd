"""Tests of an endpoint: one delivery that its owner asked for, written down once it was sent.

A test is tried once. One that arrives clears the failures of its endpoint, so that an owner who
has mended it need not wait; one that fails adds none.
"""

from datetime import datetime

from sqlmodel import Session

from appliance.errors import NotFound
from appliance.store import endpoints
from appliance.store.entities import Attempt, Delivery, DeliveryState, Message, Webhook
from appliance.store.outbox import HTTP_GONE, Claim, Tried
from appliance.store.webhooks import message_id

BODY = b'{"event": "ping"}'


def claim(session: Session, webhook_id: int, event: str, now: datetime) -> Claim:
    """Return a test for an endpoint, which may be disabled; nothing is written yet."""
    row = session.get(Webhook, webhook_id)
    if row is None or row.deleted_at is not None:
        raise NotFound(f"there is no webhook {webhook_id}")
    secrets = [row.secret]
    if row.old_secret is not None and row.old_secret_until is not None:
        secrets += [row.old_secret] if row.old_secret_until > now else []
    return Claim(
        id=message_id(),
        webhook_id=webhook_id,
        tries=1,
        url=row.url,
        event=event,
        body=BODY,
        secrets=tuple(secrets),
        slow=False,
    )


def record(session: Session, sent: Claim, tried: Tried, now: datetime) -> None:
    """Write down a test with its one try."""
    endpoint = session.get(Webhook, sent.webhook_id)
    if endpoint is None:  # its account was deleted meanwhile
        return
    message = Message(account_id=endpoint.account_id, event=sent.event, body=sent.body)
    session.add(message)
    session.flush()
    assert message.id is not None
    delivery = Delivery(
        id=sent.id,
        webhook_id=sent.webhook_id,
        message_id=message.id,
        state=DeliveryState.DELIVERED if tried.received else DeliveryState.DEAD,
        tries=1,
        finished_at=now,
    )
    session.add(delivery)
    session.flush()
    session.add(
        Attempt(
            delivery_id=sent.id,
            status=tried.status,
            error=tried.error,
            ms=tried.ms,
            created_at=now,
        )
    )
    if tried.received:
        endpoint.failures, endpoint.failing_since = 0, None
    elif tried.status == HTTP_GONE:
        endpoints.disable(session, endpoint, endpoints.GONE, now)
    session.add(endpoint)
