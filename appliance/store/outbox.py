"""The outbox: deliveries claimed when they are due, their tries recorded.

Guarantee: at least once. A try is counted and leased in one transaction before anything is sent;
what it gave is recorded in another. Only `scheduler.delivery` claims and records. Who cancels or
replays meanwhile has the last word: a failure changes the row only if its claim still stands.

The statements are SQL, not the ORM's: at 150 deliveries a second that is where the time would go.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, text
from sqlmodel import Session

from appliance.store import endpoints
from appliance.store.entities import Webhook

LEASE = timedelta(seconds=60)  # four times what a try may last
LATEST = timedelta(hours=28.8)  # no delay is longer: what is due later was set by another clock
SLOW_AFTER = 3  # failures in a row
GIVE_UP_AFTER = timedelta(days=5)
HTTP_GONE = 410

# One endpoint's oldest: a retry that is due, else what was never tried, whatever the clock said
# then; each is the first row of a range of ix_delivery_due.
DUE = text(
    """
    SELECT webhook.id, delivery.rowid, delivery.due_at
    FROM webhook JOIN delivery ON delivery.rowid = coalesce(
      (SELECT d.rowid FROM delivery d WHERE d.webhook_id = webhook.id AND d.state = 'retrying'
         AND d.due_at <= :now AND (d.leased_until IS NULL OR d.leased_until <= :now
         OR d.leased_until > :lease) ORDER BY d.due_at LIMIT 1),
      (SELECT d.rowid FROM delivery d WHERE d.webhook_id = webhook.id AND d.state = 'pending'
         AND (d.leased_until IS NULL OR d.leased_until <= :now OR d.leased_until > :lease)
         ORDER BY d.due_at LIMIT 1),
      (SELECT d.rowid FROM delivery d WHERE d.webhook_id = webhook.id AND d.state = 'retrying'
         AND d.due_at > :latest AND (d.leased_until IS NULL OR d.leased_until <= :now
         OR d.leased_until > :lease) ORDER BY d.due_at LIMIT 1))
    WHERE webhook.enabled AND webhook.failures BETWEEN :fewest AND :most
    """
)
LEASED = text("UPDATE delivery SET tries = tries + 1, leased_until = :until WHERE rowid = :row")
CLAIMED = text(
    """
    SELECT delivery.id, delivery.webhook_id, delivery.tries, webhook.url, message.event,
      message.body, webhook.secret,
      CASE WHEN webhook.old_secret_until > :now THEN webhook.old_secret END
    FROM delivery JOIN webhook ON webhook.id = delivery.webhook_id
      JOIN message ON message.id = delivery.message_id
    WHERE delivery.rowid IN :rows
    """
).bindparams(bindparam("rows", expanding=True))
TRIED = text(
    """
    INSERT INTO attempt (delivery_id, status, error, ms, created_at)
    SELECT id, :status, :error, :ms, :now FROM delivery WHERE id = :id
    """
)
DELIVERED = text(
    """
    UPDATE delivery SET state = 'delivered', leased_until = NULL, finished_at = :now WHERE id = :id
    """
)
FAILED = text(
    """
    UPDATE delivery SET state = :state, due_at = coalesce(:due, due_at), leased_until = NULL,
      finished_at = :finished
    WHERE id = :id AND state IN ('pending', 'retrying') AND tries = :tries
      AND leased_until IS NOT NULL
    """
)
WELL = text(
    """
    UPDATE webhook SET failures = 0, failing_since = NULL
    WHERE failures > 0 AND id = (SELECT webhook_id FROM delivery WHERE id = :id)
    """
)
FAILING = text(
    """
    UPDATE webhook SET failures = failures + 1, failing_since = coalesce(failing_since, :now)
    WHERE id = (SELECT webhook_id FROM delivery WHERE id = :id)
    RETURNING id, enabled, failing_since <= :limit
    """
)


@dataclass(frozen=True, slots=True)
class Claim:
    """One delivery to be tried now; `secrets` are encrypted, the present one first."""

    id: str
    webhook_id: int
    tries: int  # this one included
    url: str
    event: str
    body: bytes
    secrets: tuple[bytes, ...]
    slow: bool


@dataclass(frozen=True, slots=True)
class Tried:
    """What a try gave; `next_due`: when to try again, None if that was the last try."""

    id: str
    tries: int  # as claimed
    received: bool
    status: int | None
    error: str | None
    ms: int
    next_due: datetime | None


def is_any_due(session: Session, now: datetime, busy: Collection[int] = ()) -> bool:
    """Tell whether an endpoint that is not busy has something due."""
    return bool(candidates(session, now, busy, 0, 1 << 60))


def due(
    session: Session,
    now: datetime,
    busy: Collection[int],
    limit: int,
    slow: bool,
    served: Mapping[int, int] | None = None,
) -> list[Claim]:
    """Claim at most one delivery of each endpoint that is not busy: its try is counted and leased.

    The endpoints take turns: those with the lowest number in `served` come first, then those that
    wait longest. `slow`: of endpoints that failed three times in a row, and of no other.
    """
    bounds = (SLOW_AFTER, 1 << 60) if slow else (0, SLOW_AFTER - 1)
    turns = served or {}
    found = candidates(session, now, busy, *bounds) if limit > 0 else []
    found.sort(key=lambda one: (turns.get(one[0], 0), one[2]))
    rows = [row for _, row, _ in found[:limit]]
    if not rows:
        return []
    connection = session.connection()
    connection.execute(LEASED, [{"row": row, "until": now + LEASE} for row in rows])
    claimed = connection.execute(CLAIMED, {"rows": rows, "now": now})
    return [
        Claim(
            id=identity,
            webhook_id=webhook_id,
            tries=tries,
            url=url,
            event=event,
            body=body,
            secrets=(secret,) if old is None else (secret, old),
            slow=slow,
        )
        for identity, webhook_id, tries, url, event, body, secret, old in claimed
    ]


def candidates(
    session: Session, now: datetime, busy: Collection[int], fewest: int, most: int
) -> list[tuple[int, int, str]]:
    """Return endpoint, row and due time of what is due, for endpoints with so many failures."""
    bounds = {"fewest": fewest, "most": most, "now": now}
    limits = {"lease": now + LEASE, "latest": now + LATEST}
    found = session.connection().execute(DUE, {**bounds, **limits})
    return [(endpoint, row, due_at) for endpoint, row, due_at in found if endpoint not in busy]


def record(session: Session, results: Sequence[Tried], now: datetime) -> list[tuple[int, str]]:
    """Write down what tries gave; return which endpoints that disables, and why.

    A delivery that was cancelled meanwhile stays so unless it was received; one that was replayed
    meanwhile stays due, its old failure only an attempt.
    """
    if not results:
        return []
    connection = session.connection()

    def began(one: Tried) -> datetime:
        return now - timedelta(milliseconds=one.ms)

    connection.execute(
        TRIED,
        [
            {
                "id": one.id,
                "status": one.status,
                "error": one.error,
                "ms": one.ms,
                "now": began(one),
            }
            for one in results
        ],
    )
    if received := [{"id": one.id, "now": now} for one in results if one.received]:
        connection.execute(DELIVERED, received)
        connection.execute(WELL, received)
    disabled = []
    for one in results:
        if one.received:
            continue
        record_failure(session, one, now)
        limit = now - GIVE_UP_AFTER
        failing = connection.execute(FAILING, {"id": one.id, "now": now, "limit": limit})
        gone = one.status == HTTP_GONE
        for webhook_id, enabled, too_long in failing.all():
            if enabled and (gone or too_long):
                endpoint = session.get_one(Webhook, webhook_id, populate_existing=True)
                because = endpoints.GONE if gone else endpoints.FAILING
                endpoints.disable(session, endpoint, because, now)
                session.flush()
                disabled.append((webhook_id, because))
    return disabled


def record_failure(session: Session, one: Tried, now: datetime) -> None:
    """Make a delivery wait for its next try, or dead after the last."""
    last = one.next_due is None
    outcome = {"state": "dead" if last else "retrying", "finished": now if last else None}
    again = {"id": one.id, "tries": one.tries, "due": one.next_due}
    session.connection().execute(FAILED, {**outcome, **again})
