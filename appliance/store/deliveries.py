"""Deliveries as their owner sees them: listed with their tries, sent again, counted.

A delivery keeps its id, which receivers know it by, however often it is sent.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, text
from sqlmodel import Session, col, select, update

from appliance.errors import Conflict, NotFound
from appliance.store.database import tell
from appliance.store.entities import Attempt, Delivery, DeliveryState, Message, Webhook, now
from appliance.store.webhooks import DUE, first_id

PING = "ping"
DENSE = 2000  # from so many on, it is quicker to look through all by time than to sort these
ID_BEFORE_ROW_S = 60  # at most; an id is made before its row
AGAIN = {
    "state": DeliveryState.PENDING,
    "tries": 0,
    "leased_until": None,
    "finished_at": None,
}
# the oldest of each endpoint is the first row of a range of ix_delivery_due
OLDEST = text(
    """
    SELECT unixepoch(min(oldest)) FROM (SELECT (SELECT d.due_at FROM delivery d
      WHERE d.webhook_id = webhook.id AND d.state = 'pending' ORDER BY d.due_at LIMIT 1) AS oldest
      FROM webhook)
    """
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A delivery, the event it tells of, and its tries, the first one first."""

    row: Delivery
    event: str
    attempts: list[Attempt]


@dataclass(frozen=True, slots=True)
class Standing:
    """How deliveries stand: how many in each state that calls for something."""

    pending: int
    retrying: int
    dead: int
    oldest_pending_s: float
    disabled: dict[str, int]  # endpoints by the reason: asked, gone, failing


def page(
    session: Session,
    account_id: int,
    state: DeliveryState | None = None,
    endpoint: int | None = None,
    since: datetime | None = None,
    limit: int = 100,
    offset: int = 0,
) -> tuple[list[Shown], int]:
    """Return some of the account's deliveries, the newest first, and how many there are in all.

    Those of deleted endpoints are among them.
    """
    asked = {
        "account": account_id,
        "endpoint": endpoint,
        "state": state.value if state is not None else None,
        "since": since.astimezone(UTC) if since is not None else None,
        "first": id_before(since) if since is not None else None,
    }
    values = {name: value for name, value in asked.items() if value is not None}
    connection = session.connection()
    counted = text(f"SELECT count(*) FROM delivery WHERE {wanted(values, since is not None)}")
    total = connection.execute(counted, values).scalar_one()
    by_time = since is not None or total > DENSE
    listed = text(
        f"SELECT id FROM delivery WHERE {wanted(values, by_time)}"
        " ORDER BY id DESC LIMIT :limit OFFSET :offset"
    )
    bounds = {"limit": limit, "offset": offset}
    ids = connection.execute(listed, {**values, **bounds}).scalars().all()
    found = select(Delivery, Message.event).join(Message).where(col(Delivery.id).in_(ids))
    rows = session.exec(found.order_by(col(Delivery.id).desc())).all()
    attempts: dict[str, list[Attempt]] = {row.id: [] for row, _ in rows}
    of_these = select(Attempt).where(col(Attempt.delivery_id).in_(attempts))
    for attempt in session.exec(of_these.order_by(col(Attempt.id))):
        attempts[attempt.delivery_id].append(attempt)
    return [Shown(row, event, attempts[row.id]) for row, event in rows], total


def wanted(values: Collection[str], by_time: bool) -> str:
    """Return the condition for what a page is of.

    `by_time`: look through the deliveries from the newest on (the plus keeps SQLite from other
    indexes, after which it would have to sort); else find those of the endpoints and sort them.
    """
    plus = "+" if by_time else ""
    one = " AND id = :endpoint" if "endpoint" in values else ""
    conditions = [f"{plus}webhook_id IN (SELECT id FROM webhook WHERE account_id = :account{one})"]
    if "state" in values:
        conditions.append(f"{plus}state = :state")
    if "since" in values:
        conditions.append("id >= :first AND created_at >= :since")
    return " AND ".join(conditions)


def id_before(moment: datetime) -> str:
    """Return an id that comes before those of all rows made since then."""
    return first_id(int(moment.timestamp() - ID_BEFORE_ROW_S) * 1000)


def get(session: Session, account_id: int, delivery_id: str) -> Shown:
    """Return a delivery of the account."""
    row = session.get(Delivery, delivery_id)
    owner = session.get_one(Webhook, row.webhook_id).account_id if row is not None else None
    if row is None or owner != account_id:
        raise NotFound(f"there is no delivery {delivery_id[:40]!r}")
    attempts = select(Attempt).where(Attempt.delivery_id == row.id).order_by(col(Attempt.id))
    event = session.get_one(Message, row.message_id).event
    return Shown(row, event, list(session.exec(attempts)))


def replay(session: Session, account_id: int, delivery_id: str) -> Delivery:
    """Send a delivery again, now, all its tries before it; one that waits comes once, not twice."""
    row = get(session, account_id, delivery_id).row
    check_open(session.get_one(Webhook, row.webhook_id))
    row.sqlmodel_update({**AGAIN, "due_at": now()})
    session.add(row)
    tell(session, DUE)
    return row


def replay_since(session: Session, account_id: int, webhook_id: int, since: datetime) -> int:
    """Send an endpoint again, now, all that was for it since then; return how many that are.

    What waits for a retry is among it; a test is not.
    """
    endpoint = session.get(Webhook, webhook_id) if 0 < webhook_id < 2**63 else None
    if endpoint is None or endpoint.account_id != account_id:
        raise NotFound(f"there is no webhook {webhook_id}")
    check_open(endpoint)
    tests = select(Message.id).where(Message.account_id == account_id, Message.event == PING)
    wanted = (
        col(Delivery.webhook_id) == webhook_id,
        col(Delivery.created_at) >= since,
        col(Delivery.state) != DeliveryState.PENDING,
        col(Delivery.message_id).not_in(tests),
    )
    done = session.exec(update(Delivery).where(*wanted).values(**AGAIN, due_at=now()))
    tell(session, DUE)
    return int(done.rowcount)


def check_open(endpoint: Webhook) -> None:
    """Raise Conflict if nothing is sent to an endpoint."""
    if endpoint.deleted_at is not None:
        raise Conflict(f"webhook {endpoint.id} was deleted; register its URL again for what comes")
    if not endpoint.enabled:
        why = endpoint.disabled_because or "asked"
        raise Conflict(f"webhook {endpoint.id} is disabled ({why}); enable it, then replay")


def standing(session: Session) -> Standing:
    """Return how the deliveries of the whole box stand."""
    counts = {
        state: session.exec(
            select(func.count()).select_from(Delivery).where(Delivery.state == state)
        ).one()
        for state in (DeliveryState.PENDING, DeliveryState.RETRYING, DeliveryState.DEAD)
    }
    oldest = session.connection().execute(OLDEST).scalar()
    disabled = session.exec(
        select(Webhook.disabled_because, func.count())
        .where(~col(Webhook.enabled), col(Webhook.deleted_at).is_(None))
        .group_by(col(Webhook.disabled_because))
    )
    return Standing(
        pending=counts[DeliveryState.PENDING],
        retrying=counts[DeliveryState.RETRYING],
        dead=counts[DeliveryState.DEAD],
        oldest_pending_s=max(now().timestamp() - oldest, 0.0) if oldest else 0.0,
        disabled={because or "asked": count for because, count in disabled},
    )
