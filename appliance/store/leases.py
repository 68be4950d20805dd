"""Leases of tries that nobody will record any more, and time in which nothing was tried.

A process that is killed leaves tries that were counted and perhaps sent. Called by
`scheduler.claims` at the start, and when the box stops before a try has ended.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlmodel import Session, col, select

from appliance.store.entities import Attempt, Webhook
from appliance.store.outbox import TRIED

CUT_OFF = "cut off"  # the error class of a try whose end the box did not live to see
IDLE = timedelta(hours=1)
LEASED = text(
    "SELECT id FROM delivery WHERE state IN ('pending', 'retrying') AND leased_until NOT NULL"
)
CUT = text(
    """
    UPDATE delivery SET state = :state, tries = max(tries - 1, 0), due_at = coalesce(:due, due_at),
      leased_until = NULL, finished_at = :finished
    WHERE id = :id
    """
)


def release(
    session: Session,
    now: datetime,
    delay_s: Callable[[int], float | None],
    only: Collection[str] | None = None,
) -> int:
    """End leases whose tries will never be recorded; return how many.

    Such a try may have arrived or not. It is no try done, so that a box that crashes over and over
    uses none up; but as `delay_s` says each in a row waits longer, and the last ends it: a delivery
    that takes the box down with it does so a few times, not for ever.
    """
    connection = session.connection()
    leased = connection.execute(LEASED).scalars().all()
    cut = [one for one in leased if only is None or one in only]
    for one in cut:
        wait_s = delay_s(cuts_in_a_row(session, one) + 1)
        connection.execute(
            TRIED, {"id": one, "status": None, "error": CUT_OFF, "ms": 0, "now": now}
        )
        due_at = None if wait_s is None else now + timedelta(seconds=wait_s)
        state, finished = ("retrying", None) if due_at else ("dead", now)
        connection.execute(CUT, {"id": one, "state": state, "due": due_at, "finished": finished})
    return len(cut)


def cuts_in_a_row(session: Session, delivery_id: str) -> int:
    """Return how many of a delivery's last tries were cut off."""
    attempts = select(Attempt.error).where(Attempt.delivery_id == delivery_id)
    count = 0
    for error in session.exec(attempts.order_by(col(Attempt.id).desc())):
        if error != CUT_OFF:
            break
        count += 1
    return count


def forgive_idle_time(session: Session, now: datetime) -> None:
    """Count no time as failing in which nothing was tried: the box was off, or its clock wrong.

    Called at the start and after a step of the clock; otherwise an endpoint that failed once
    before a holiday would be given up at the first failure after it.
    """
    last = session.exec(
        select(Attempt.created_at).order_by(col(Attempt.id).desc()).limit(1)
    ).first()
    idle = now - last if last is not None and now - last > IDLE else timedelta(0)
    for row in session.exec(select(Webhook).where(col(Webhook.failing_since).is_not(None))):
        assert row.failing_since is not None
        row.failing_since = min(now, row.failing_since + idle)
        session.add(row)
