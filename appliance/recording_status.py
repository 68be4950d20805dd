"""What is known of a recording, from its row, its take while there is one, and its session."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from appliance.store import recordings
from appliance.store.entities import Recording, RecordingState, SessionRow
from appliance.take import Take
from engine.failover import BOX


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time without sound: where in the audio, how long, and why."""

    at_seconds: float
    seconds: float
    cause: str


@dataclass(frozen=True, slots=True)
class Failover:
    """Whether the cloud hears it now; why, or why it can't though it should; how much it heard."""

    active: bool
    reason: str | None
    cloud_seconds: float


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a recording; `level` in dBFS while it runs, `session_id` once it is there.

    `captured_seconds` are the sound there is, `elapsed_seconds` the time it took: gaps tell where
    the difference is.
    """

    id: int
    state: str
    title: str  # as it was begun, or of its session
    device: str
    started_at: datetime
    elapsed_seconds: float
    captured_seconds: float
    transcribed_seconds: float
    gaps: tuple[Gap, ...]
    level: float | None
    alarms: tuple[str, ...]
    session_id: int | None
    failover: Failover


def status_of(session: Session, row: Recording, take: Take | None) -> Status:
    """Return what is known now."""
    assert row.id is not None
    made = session.get_one(SessionRow, row.session_id)
    gaps = recordings.events_of(session, row.id, recordings.GAP)
    captured = transcribed = made.captured_seconds
    elapsed, level = made.elapsed_seconds, None
    alarms: tuple[str, ...] = ()
    decision = BOX
    if take is not None and row.state in recordings.OPEN:
        captured, transcribed = take.captured_seconds, take.transcribed_seconds
        elapsed = take.capturing.elapsed_seconds or captured
        decision = take.decision
        if row.state is RecordingState.RECORDING:
            level, alarms = take.level, take.alarms
    done = row.state in (RecordingState.DONE, RecordingState.RECOVERED)
    return Status(
        id=row.id,
        state=row.state.value,
        title=made.title,
        device=row.device,
        started_at=row.started_at,
        elapsed_seconds=elapsed,
        captured_seconds=captured,
        transcribed_seconds=transcribed,
        gaps=tuple(Gap(gap["atSeconds"], gap["seconds"], gap["cause"]) for gap in gaps),
        level=level,
        alarms=alarms,
        session_id=row.session_id if done else None,
        failover=Failover(decision.to_cloud, decision.reason, row.cloud_ms / 1000),
    )
