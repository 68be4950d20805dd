"""The tables as classes, one for each; nothing outside `appliance` sees them.

An entity never validates (SQLModel's tables do not): what comes in is checked at the edge, and
enumerations are checked by the column type. Times are aware and UTC.
"""

import enum
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


E = TypeVar("E", bound=enum.StrEnum)


def column_of(kind: type[E]) -> Any:
    """Return a column type that stores the value of an enumeration and refuses any other."""
    return Enum(
        kind,
        values_callable=lambda e: [m.value for m in e],
        native_enum=False,
        validate_strings=True,
    )


def owned_by(table: str, *, index: bool = True) -> Any:
    """Return a foreign key whose rows go when their owner goes; no index where another serves."""
    owner = ForeignKey(f"{table}.id", ondelete="CASCADE")
    return Column(Integer, owner, nullable=False, index=index)


class SessionState(enum.StrEnum):
    """A session is listed, searched and told of only when it is done."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"


class Source(enum.StrEnum):
    """Where the sound of a session came from."""

    MICROPHONE = "microphone"
    UPLOAD = "upload"
    LIVE = "live"


class JobState(enum.StrEnum):
    """The life of a transcription job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RecordingState(enum.StrEnum):
    """The life of a recording."""

    RECORDING = "recording"
    FINISHING = "finishing"
    DONE = "done"
    RECOVERED = "recovered"
    FAILED = "failed"


class DeliveryState(enum.StrEnum):
    """The life of a webhook delivery."""

    PENDING = "pending"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Account(SQLModel, table=True):
    """Someone whose sessions nobody else sees."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    plan: str = "selfhosted"
    timezone: str = "UTC"
    retention_audio_days: int | None = None  # None: what the settings say; 0: for ever
    retention_text_days: int | None = None
    created_at: datetime = Field(default_factory=now)


class ApiKey(SQLModel, table=True):
    """A key: only the hash of its secret is kept."""

    __tablename__ = "api_key"
    id: str = Field(primary_key=True)  # eight characters, the public part
    account_id: int = Field(sa_column=owned_by("account"))
    name: str
    secret_sha256: str
    scopes: str  # separated by spaces
    created_at: datetime = Field(default_factory=now)
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


class SessionRow(SQLModel, table=True):
    """A session; hidden until its state is done."""

    __tablename__ = "session"
    __table_args__ = (
        Index("ix_session_listing", "account_id", "state", "id", "finished_at"),
        Index("ix_session_audio_path", "audio_path", sqlite_where=text("audio_path IS NOT NULL")),
        {"sqlite_autoincrement": True},  # a number once used is never used again
    )
    id: int | None = Field(default=None, primary_key=True)
    account_id: int = Field(sa_column=owned_by("account", index=False))
    state: SessionState = Field(default=SessionState.OPEN, sa_type=column_of(SessionState))
    title: str = ""
    note: str = ""
    original_transcript: str = ""
    tags: str = ""
    labels: str = ""  # owner and tags as the full-text index holds them
    language: str | None = None
    source: Source = Field(sa_type=column_of(Source))
    engine: str | None = None
    warning: str | None = None
    audio_path: str | None = None  # relative to the data folder
    audio_bytes: int | None = None
    audio_sha256: str | None = None
    audio_type: str | None = None  # media type, known once it was decoded
    captured_seconds: float = 0.0
    elapsed_seconds: float = 0.0
    created_at: datetime = Field(default_factory=now)
    finished_at: datetime | None = None


class SegmentRow(SQLModel, table=True):
    """A segment of a session's transcript."""

    __tablename__ = "segment"
    __table_args__ = (UniqueConstraint("session_id", "sequence"),)
    id: int | None = Field(default=None, primary_key=True)
    session_id: int = Field(sa_column=owned_by("session", index=False))
    sequence: int
    start_ms: int
    end_ms: int
    text: str
    words: list[list[Any]] = Field(sa_type=JSON)  # [text, start_ms, end_ms, probability]
    engine: str
    confidence: float
    suppressed: str | None = None
    engine_reason: str | None = None  # why it wasn't the engine of the box


class Recording(SQLModel, table=True):
    """A running or finished capture."""

    __table_args__ = (Index("ix_recording_state", "state"), {"sqlite_autoincrement": True})
    id: int | None = Field(default=None, primary_key=True)
    account_id: int = Field(sa_column=owned_by("account"))
    session_id: int = Field(sa_column=owned_by("session"))
    state: RecordingState = Field(sa_type=column_of(RecordingState))
    device: str
    profile: str
    started_at: datetime = Field(default_factory=now)
    stopped_at: datetime | None = None
    max_seconds: float | None = None
    settled_samples: int = 0  # the text of all before is committed
    mid_speech: bool = False  # the last utterance was cut there, the next one goes on
    told_events: int = 0  # lines of the journal's events that have been told
    language: str | None = None  # asked for, or that of the first speech
    cloud_ms: int = 0  # of its sound, heard in the cloud


class RecordingEvent(SQLModel, table=True):
    """A segment, gap, alarm or state of a recording, in the order in which it is told."""

    __tablename__ = "recording_event"
    __table_args__ = (UniqueConstraint("recording_id", "sequence"),)
    id: int | None = Field(default=None, primary_key=True)
    recording_id: int = Field(sa_column=owned_by("recording", index=False))
    sequence: int
    kind: str
    payload: dict[str, Any] = Field(sa_type=JSON)
    created_at: datetime = Field(default_factory=now)


class Job(SQLModel, table=True):
    """A file to be transcribed into a session."""

    __table_args__ = (Index("ix_job_state", "state", "id"), {"sqlite_autoincrement": True})
    id: int | None = Field(default=None, primary_key=True)
    account_id: int = Field(sa_column=owned_by("account"))
    session_id: int = Field(sa_column=owned_by("session"))
    state: JobState = Field(default=JobState.QUEUED, sa_type=column_of(JobState))
    language: str | None = None
    progress: float = 0.0
    error: str | None = None
    created_at: datetime = Field(default_factory=now)
    started_at: datetime | None = None
    finished_at: datetime | None = None


class AudioFile(SQLModel, table=True):
    """Audio of the dictation history: uploaded first, attached to an entry later."""

    __tablename__ = "audio_file"
    storage_id: str = Field(primary_key=True)
    account_id: int = Field(sa_column=owned_by("account"))
    path: str
    bytes: int
    sha256: str
    media_type: str
    created_at: datetime = Field(default_factory=now)


class HistoryEntry(SQLModel, table=True):
    """A dictation as its client posted it."""

    __tablename__ = "history_entry"
    __table_args__ = (Index("ix_history_entry_listing", "account_id", "id"),)
    id: str = Field(primary_key=True)  # UUIDv7
    account_id: int = Field(sa_column=owned_by("account", index=False))
    raw_transcript: str
    cleaned_text: str
    duration_ms: float
    target_app: str | None = None
    tone: str | None = None
    confidence: float | None = None
    word_count: int
    counted_words: int  # the box's own count, which usage and limits go by
    audio_duration_sec: float | None = None
    model: str | None = None
    request_id: str | None = None
    storage_id: str | None = Field(default=None, foreign_key="audio_file.storage_id", unique=True)
    created_at: datetime = Field(default_factory=now)


class IdempotencyKey(SQLModel, table=True):
    """The answer once given to a key, kept for 24 hours."""

    __tablename__ = "idempotency_key"
    account_id: int = Field(foreign_key="account.id", primary_key=True, ondelete="CASCADE")
    key: str = Field(primary_key=True)
    body_sha256: str
    status: int
    answer: str
    created_at: datetime = Field(default_factory=now, index=True)


class UsageEvent(SQLModel, table=True):
    """One line of the ledger; never changed, never deleted with what it was for."""

    __tablename__ = "usage_event"
    __table_args__ = (Index("ix_usage_event_account_time", "account_id", "created_at"),)
    id: int | None = Field(default=None, primary_key=True)
    account_id: int = Field(foreign_key="account.id")
    kind: str  # session, dictation, token, failover
    words: int = 0
    audio_ms: int = 0
    cost_micros: int = 0  # millionths of the price table's currency
    engine: str | None = None
    reference: str | None = None  # the id of what it was for
    created_at: datetime = Field(default_factory=now)


class UsageQuarter(SQLModel, table=True):
    """The ledger summed by quarter of an hour, the grain that every time zone's day is made of."""

    __tablename__ = "usage_quarter"
    account_id: int = Field(foreign_key="account.id", primary_key=True)
    kind: str = Field(primary_key=True)
    quarter: int = Field(primary_key=True)  # seconds since 1970 divided by 900
    events: int = 0
    words: int = 0
    audio_ms: int = 0
    cost_micros: int = 0


class Vocabulary(SQLModel, table=True):
    """What an account's transcriptions should know and replace."""

    account_id: int = Field(foreign_key="account.id", primary_key=True, ondelete="CASCADE")
    hotwords: list[str] = Field(default_factory=list, sa_type=JSON)
    replacements: list[dict[str, str]] = Field(default_factory=list, sa_type=JSON)


class Webhook(SQLModel, table=True):
    """An endpoint that wants to be told."""

    __table_args__ = ({"sqlite_autoincrement": True},)
    id: int | None = Field(default=None, primary_key=True)
    account_id: int = Field(sa_column=owned_by("account"))
    url: str
    events: list[str] = Field(sa_type=JSON)
    description: str = ""
    secret: bytes = Field(sa_type=LargeBinary)  # encrypted
    old_secret: bytes | None = Field(default=None, sa_type=LargeBinary)
    old_secret_until: datetime | None = None
    enabled: bool = True
    disabled_because: str | None = None  # asked, gone (410), failing (for five days)
    deleted_at: datetime | None = None  # its deliveries may still be looked at
    failures: int = 0  # in a row
    failing_since: datetime | None = None
    created_at: datetime = Field(default_factory=now)


class Message(SQLModel, table=True):
    """What is to be told: its bytes are kept once, and sent as they stand here."""

    __table_args__ = (
        CheckConstraint("length(body) > 0", name="body_not_empty"),
        {"sqlite_autoincrement": True},
    )
    id: int | None = Field(default=None, primary_key=True)
    account_id: int = Field(sa_column=owned_by("account"))
    session_id: int | None = Field(  # that it tells of: what is deleted is sent to nobody
        default=None, foreign_key="session.id", ondelete="CASCADE", index=True
    )
    event: str
    body: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(default_factory=now)


class Delivery(SQLModel, table=True):
    """One message for one endpoint."""

    __table_args__ = (
        Index("ix_delivery_due", "webhook_id", "state", "due_at"),
        Index("ix_delivery_finished", "state", "finished_at"),
    )
    id: str = Field(primary_key=True)  # msg_…, the webhook-id
    webhook_id: int = Field(sa_column=owned_by("webhook", index=False))
    message_id: int = Field(sa_column=owned_by("message"))
    state: DeliveryState = Field(default=DeliveryState.PENDING, sa_type=column_of(DeliveryState))
    tries: int = 0
    due_at: datetime = Field(default_factory=now)
    leased_until: datetime | None = None
    created_at: datetime = Field(default_factory=now)
    finished_at: datetime | None = None  # delivered, dead or cancelled


class Attempt(SQLModel, table=True):
    """One try of a delivery; nothing of the answer's body is kept."""

    id: int | None = Field(default=None, primary_key=True)
    delivery_id: str = Field(foreign_key="delivery.id", ondelete="CASCADE", index=True)
    status: int | None = None
    error: str | None = None
    ms: int
    created_at: datetime = Field(default_factory=now)


class Audit(SQLModel, table=True):
    """Who did what with which key; append-only."""

    id: int | None = Field(default=None, primary_key=True)
    account_id: int | None = None
    key_id: str | None = None
    action: str
    target: str
    result: str
    address: str | None = None
    created_at: datetime = Field(default_factory=now)
