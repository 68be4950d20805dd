"""Webhook endpoints: made, changed, their secrets rotated, disabled, deleted.

An endpoint that is disabled or deleted gets nothing more: what waits for it is cancelled in the
same transaction. What is in flight at that moment ends with what it gives.
"""

from datetime import datetime, timedelta

from sqlalchemy import func
from sqlmodel import Session, col, select, update

from appliance.errors import Conflict, NotFound
from appliance.store.entities import Delivery, DeliveryState, Webhook, now

MOST = 100  # of an account
OLD_SECRET_SIGNS = timedelta(hours=24)
ASKED, GONE, FAILING = "asked", "gone", "failing"  # why an endpoint is disabled
WAITING = (DeliveryState.PENDING, DeliveryState.RETRYING)


def create(
    session: Session,
    account_id: int,
    url: str,
    sealed: bytes,
    events: list[str],
    description: str = "",
) -> Webhook:
    """Add an endpoint; `sealed` is its secret, encrypted."""
    own = select(func.count()).where(Webhook.account_id == account_id, present())
    if session.exec(own).one() >= MOST:
        raise Conflict(f"there are {MOST} webhooks already, the most there may be; delete one")
    row = Webhook(
        account_id=account_id, url=url, secret=sealed, events=events, description=description
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, account_id: int, webhook_id: int) -> Webhook:
    """Return an endpoint of the account."""
    row = session.get(Webhook, webhook_id) if 0 < webhook_id < 2**63 else None
    if row is None or row.account_id != account_id or row.deleted_at is not None:
        raise NotFound(f"there is no webhook {webhook_id}")
    return row


def every(session: Session, account_id: int) -> list[Webhook]:
    """Return the account's endpoints, the newest first."""
    own = select(Webhook).where(Webhook.account_id == account_id, present())
    return list(session.exec(own.order_by(col(Webhook.id).desc())))


def change(
    session: Session,
    row: Webhook,
    *,
    url: str | None = None,
    events: list[str] | None = None,
    description: str | None = None,
) -> None:
    """Change what its owner may change; at another URL its failures count for nothing."""
    if url is not None and url != row.url:
        row.url, row.failures, row.failing_since = url, 0, None
    if events is not None:
        row.events = events
    if description is not None:
        row.description = description
    session.add(row)


def rotate(session: Session, row: Webhook, sealed: bytes, at: datetime | None = None) -> None:
    """Give an endpoint a new secret; the one before signs too, for a day."""
    row.old_secret, row.old_secret_until = row.secret, (at or now()) + OLD_SECRET_SIGNS
    row.secret = sealed
    session.add(row)


def disable(session: Session, row: Webhook, because: str, at: datetime | None = None) -> None:
    """Send an endpoint nothing more until it is enabled; twice is fine, the first reason stays."""
    if not row.enabled:
        return
    row.enabled, row.disabled_because = False, because
    session.add(row)
    cancel(session, row, at or now())


def enable(session: Session, row: Webhook) -> None:
    """Send an endpoint what comes from now on, its failures forgotten."""
    row.enabled, row.disabled_because = True, None
    row.failures, row.failing_since = 0, None
    session.add(row)


def delete(session: Session, row: Webhook, at: datetime | None = None) -> None:
    """Take an endpoint away; its deliveries may still be looked at."""
    row.enabled, row.deleted_at = False, at or now()
    session.add(row)
    cancel(session, row, row.deleted_at)


def cancel(session: Session, row: Webhook, at: datetime) -> None:
    """Cancel all that waits for an endpoint."""
    waiting = (col(Delivery.webhook_id) == row.id, col(Delivery.state).in_(WAITING))
    session.exec(
        update(Delivery)
        .where(*waiting)
        .values(state=DeliveryState.CANCELLED, finished_at=at, leased_until=None)
    )


def present() -> bool:
    """Return the condition that an endpoint was not deleted."""
    return col(Webhook.deleted_at).is_(None)  # type: ignore[return-value]
