"""Recordings and what they tell: events with sequence numbers, in the order they happened.

Guarantee: an event is a row before anybody hears of it, its number follows the one before it, and
a line of the journal becomes at most one event (`told_events` is raised in the same transaction).
"""

from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from appliance.errors import NotFound
from appliance.events import Event
from appliance.store.database import tell
from appliance.store.entities import Recording, RecordingEvent, RecordingState, SessionRow, now

EVENT, LEVEL, PARTIAL = "recording.event", "recording.level", "recording.partial"
SEGMENT, GAP, ALARM, STATE = "segment", "gap", "alarm", "state"
OPEN = (RecordingState.RECORDING, RecordingState.FINISHING)
LISTED = 100


def add(
    session: Session,
    account_id: int,
    session_id: int,
    *,
    device: str,
    profile: str,
    language: str | None = None,
    max_seconds: float | None = None,
) -> Recording:
    """Note a recording that begins now."""
    row = Recording(
        account_id=account_id,
        session_id=session_id,
        state=RecordingState.RECORDING,
        device=device,
        profile=profile,
        language=language,
        max_seconds=max_seconds,
    )
    session.add(row)
    session.flush()
    told_state(session, row)
    return row


def get(session: Session, account_id: int, recording_id: int) -> Recording:
    """Return a recording of the account."""
    row = session.get(Recording, recording_id) if 0 < recording_id < 2**63 else None
    if row is None or row.account_id != account_id:
        raise NotFound(f"there is no recording {recording_id}")
    return row


def delete(session: Session, row: Recording) -> None:
    """Delete a recording with its session and all that is theirs."""
    session.delete(session.get_one(SessionRow, row.session_id))


def still(session: Session, recording_id: int) -> Recording:
    """Return a recording that may have been discarded meanwhile."""
    row = session.get(Recording, recording_id)
    if row is None:
        raise NotFound(f"recording {recording_id} was discarded")
    return row


def level(recording_id: int, account_id: int, dbfs: float | None) -> Event:
    """Return the event of the moment that tells a level in dBFS; it is not stored."""
    return Event(LEVEL, {"recording_id": recording_id, "account_id": account_id, "dbfs": dbfs})


def partial(recording_id: int, account_id: int, after: int, content: dict[str, Any]) -> Event:
    """Return the event of the moment that tells what is being said; it is not stored.

    It follows the stored event `after`, and means nothing once another segment was told.
    """
    whose = {"recording_id": recording_id, "account_id": account_id}
    return Event(PARTIAL, {**whose, "after": after, "content": content})


def newest(session: Session, account_id: int) -> list[Recording]:
    """Return the account's recordings, the newest first, at most a hundred."""
    own = select(Recording).where(Recording.account_id == account_id)
    return list(session.exec(own.order_by(col(Recording.id).desc()).limit(LISTED)))


def unfinished(session: Session) -> list[Recording]:
    """Return the recordings that have not come to their end, the oldest first."""
    found = select(Recording).where(col(Recording.state).in_(OPEN))
    return list(session.exec(found.order_by(col(Recording.id))))


def recording_now(session: Session, device: str) -> Recording | None:
    """Return the recording that uses the device."""
    using = select(Recording).where(
        Recording.state == RecordingState.RECORDING, Recording.device == device
    )
    return session.exec(using).first()


def change_state(session: Session, row: Recording, state: RecordingState) -> None:
    """Put a recording into another state and tell of it."""
    if row.state is state:
        return
    row.state = state
    if row.stopped_at is None and state is not RecordingState.RECORDING:
        row.stopped_at = now()
    session.add(row)
    told_state(session, row)


def told_state(session: Session, row: Recording) -> None:
    """Tell in which state a recording is, and of its session once that is there."""
    done = row.state in (RecordingState.DONE, RecordingState.RECOVERED)
    payload = {"state": row.state.value, "sessionId": row.session_id if done else None}
    append_event(session, row, STATE, payload)


def append_event(session: Session, row: Recording, kind: str, payload: dict[str, Any]) -> int:
    """Store an event, to be told once that is committed; return its number, from 1."""
    assert row.id is not None
    sequence = last_event(session, row.id) + 1
    session.add(RecordingEvent(recording_id=row.id, sequence=sequence, kind=kind, payload=payload))
    session.flush()
    tell(session, EVENT, recording_id=row.id, account_id=row.account_id, sequence=sequence)
    return sequence


def last_event(session: Session, recording_id: int) -> int:
    """Return the number of the newest stored event; 0: there is none."""
    own = RecordingEvent.recording_id == recording_id
    return session.exec(select(func.max(RecordingEvent.sequence)).where(own)).one() or 0


def events_after(
    session: Session, recording_id: int, sequence: int, limit: int = 100
) -> list[RecordingEvent]:
    """Return stored events that come after a number, the oldest first."""
    found = select(RecordingEvent).where(
        RecordingEvent.recording_id == recording_id, RecordingEvent.sequence > sequence
    )
    return list(session.exec(found.order_by(col(RecordingEvent.sequence)).limit(limit)))


def events_of(session: Session, recording_id: int, kind: str) -> list[dict[str, Any]]:
    """Return what the events of one kind say, the oldest first."""
    found = select(RecordingEvent.payload).where(
        RecordingEvent.recording_id == recording_id, RecordingEvent.kind == kind
    )
    return [dict(payload) for payload in session.exec(found.order_by(col(RecordingEvent.sequence)))]
