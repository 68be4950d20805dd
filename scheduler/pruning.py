"""What was once needed and isn't any more goes: a duty of the clock, one row of a table each.

Deliveries that ended (the bodies of their messages hold transcripts, so never longer than the
account keeps text), endpoints that were deleted, jobs that ended, idempotency keys. The audit and
the ledger are never pruned.
"""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, inspect
from sqlmodel import SQLModel, col, delete, select

from appliance.store import accounts, entities, idempotency
from appliance.store.database import Database
from appliance.store.entities import (
    Account,
    Delivery,
    DeliveryState,
    IdempotencyKey,
    Job,
    JobState,
    Message,
    SessionRow,
    SessionState,
    Webhook,
)
from scheduler.retention import Days

log = logging.getLogger(__name__)
RECEIVED, DEAD, JOBS = timedelta(days=7), timedelta(days=30), timedelta(days=30)
OF_NO_USE = (DeliveryState.DELIVERED, DeliveryState.CANCELLED)
ENDED = (*OF_NO_USE, DeliveryState.DEAD)
JOB_ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
BATCH = 200
BUDGET_S = 0.02
PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Useless:
    """Rows of one table that go: those of which all this holds."""

    table: type[SQLModel]
    conditions: tuple[Any, ...]


class Pruning:
    """Delete rows that are of no use any more; `stopping` ends a run soon."""

    def __init__(self, database: Database, days: Days, stopping: threading.Event) -> None:
        self._database, self._days, self._stopping = database, days, stopping

    def run(self, at: datetime | None = None) -> None:
        """Go through the table."""
        with self._database.read() as session:
            owners = accounts.every(session)
        for useless in self._table(owners, at or entities.now()):
            gone = self._prune(useless)
            if gone:
                log.info("pruned: %d of %s", gone, useless.table.__tablename__)

    def _table(self, owners: list[Account], at: datetime) -> Iterator[Useless]:
        """Return what goes, what depends on others after them."""
        finished_at = col(Delivery.finished_at)
        yield Useless(Delivery, (col(Delivery.state).in_(OF_NO_USE), finished_at <= at - RECEIVED))
        yield Useless(Delivery, (Delivery.state == DeliveryState.DEAD, finished_at <= at - DEAD))
        for account in owners:
            if text_days := self._days.of(account).text:
                old = select(Message.id).where(
                    Message.account_id == account.id,
                    Message.created_at <= at - timedelta(days=text_days),
                )
                yield Useless(
                    Delivery, (col(Delivery.state).in_(ENDED), col(Delivery.message_id).in_(old))
                )
        yield Useless(Message, (~exists().where(col(Delivery.message_id) == Message.id),))
        yield Useless(
            Webhook,
            (
                col(Webhook.deleted_at).is_not(None),
                ~exists().where(col(Delivery.webhook_id) == Webhook.id),
            ),
        )
        failed = exists().where(
            col(SessionRow.id) == Job.session_id, col(SessionRow.state) == SessionState.FAILED
        )
        yield Useless(  # a session that failed goes by `scheduler.retention`, its job with it
            Job, (col(Job.state).in_(JOB_ENDED), col(Job.finished_at) <= at - JOBS, ~failed)
        )
        yield Useless(IdempotencyKey, (col(IdempotencyKey.created_at) <= at - idempotency.KEPT,))

    def _prune(self, useless: Useless) -> int:
        """Delete rows in short transactions; return how many."""
        key = inspect(useless.table).primary_key
        gone = 0
        while not self._stopping.is_set():
            with self._database.read() as session:
                found = (
                    session.connection()
                    .execute(select(*key).where(*useless.conditions).limit(BATCH))
                    .all()
                )
            if not found:
                break
            with self._database.write() as session:
                began = time.monotonic()
                for values in found:
                    this = [column == value for column, value in zip(key, values, strict=True)]
                    rows = delete(useless.table).where(*this, *useless.conditions)
                    gone += session.connection().execute(rows).rowcount
                    if time.monotonic() - began > BUDGET_S:
                        break
            self._database.relieve()
            self._stopping.wait(max(PAUSE_S, time.monotonic() - began))
        return gone
