"""How many rows there are in each state, for monitors: read from indexes, never from the rows."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from appliance.store.deliveries import PING
from appliance.store.entities import (
    Account,
    Delivery,
    DeliveryState,
    Job,
    JobState,
    Message,
    Recording,
    RecordingState,
    SessionRow,
    SessionState,
)


def sessions(session: Session) -> dict[str, int]:
    """Return how many sessions there are by state."""
    return by_state(session, col(SessionRow.state), SessionState)


def recordings(session: Session) -> dict[str, int]:
    """Return how many recordings there are by state."""
    return by_state(session, col(Recording.state), RecordingState)


def jobs(session: Session) -> dict[str, int]:
    """Return how many jobs there are by state."""
    return by_state(session, col(Job.state), JobState)


def deliveries(session: Session) -> dict[str, int]:
    """Return how many deliveries there are by state."""
    return by_state(session, col(Delivery.state), DeliveryState)


def by_state(session: Session, column: Any, states: type[StrEnum]) -> dict[str, int]:
    """Return the count of every state, also of those without a row."""
    found = session.exec(select(column, func.count()).group_by(column)).all()
    counts: Mapping[Any, int] = {state: count for state, count in found}
    return {state.value: counts.get(state, 0) for state in states}


def died_since(session: Session, since: datetime) -> int:
    """Return how many deliveries were given up since then; a test that failed is none."""
    dead = (col(Delivery.state) == DeliveryState.DEAD, col(Delivery.finished_at) >= since)
    found = select(func.count()).select_from(Delivery).join(Message)
    return session.exec(found.where(*dead, col(Message.event) != PING)).one()


def anything(session: Session) -> bool:
    """Read one row; tell whether there is one."""
    return session.exec(select(Account.id).limit(1)).first() is not None
