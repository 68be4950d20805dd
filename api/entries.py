"""The shapes of a dictation: what a client posts, what it gets back, and what audio it has.

The one body that is checked by pydantic: it names every wrong field at once, not only the first.
"""

from typing import Annotated

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from appliance.store.entities import HistoryEntry
from appliance.store.history import Dictation
from appliance.store.sessions import timestamp

MAX_TEXT_BYTES = 1 << 20
MAX_DAYS = 31
MAX_WORDS = 2**31


def short_enough(text: str) -> str:
    """Refuse a text of more than a mebibyte."""
    size = len(text.encode())
    if size > MAX_TEXT_BYTES:
        raise ValueError(f"has {size} bytes; {MAX_TEXT_BYTES} are the most")
    return text


def whole(number: object) -> object:
    """Take 12.0 for 12, as JavaScript has one kind of number."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


Text = Annotated[str, AfterValidator(short_enough)]
Milliseconds = Annotated[float, Field(ge=0, le=MAX_DAYS * 86_400_000)]
Seconds = Annotated[float, Field(ge=0, le=MAX_DAYS * 86_400)]
Words = Annotated[int, BeforeValidator(whole), Field(ge=0, le=MAX_WORDS)]


class NewEntry(BaseModel):
    """A dictation to be stored; fields that are null are as good as absent."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)

    raw_transcript: Text
    cleaned_text: Text
    duration_ms: Milliseconds
    target_app: Text | None = None
    tone: Text | None = None
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    word_count: Words | None = None
    audio_duration_sec: Seconds | None = None
    model: Text | None = None
    request_id: Text | None = None

    def dictation(self) -> Dictation:
        """Return it as the history takes it."""
        return Dictation(**self.model_dump())


class Entry(msgspec.Struct, rename="camel"):
    """A dictation as it is stored."""

    id: str
    created_at: str
    raw_transcript: str
    cleaned_text: str
    duration_ms: float
    target_app: str | None
    tone: str | None
    confidence: float | None
    word_count: int
    audio_duration_sec: float | None
    model: str | None
    request_id: str | None
    has_audio: bool


class History(msgspec.Struct, rename="camel"):
    """A stretch of the history, the newest first; `total` is how many there are in all."""

    items: list[Entry]
    total: int
    limit: int
    offset: int


class UploadUrl(msgspec.Struct, rename="camel"):
    """Where to send audio to, for `expires_in` seconds."""

    upload_url: str
    expires_in: int


class Stored(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Audio that the box has."""

    storage_id: str


class AudioUrl(msgspec.Struct, rename="camel"):
    """Where to fetch audio, for `expires_in` seconds."""

    url: str
    expires_in: int


def described(row: HistoryEntry) -> Entry:
    """Return an entry as clients see it."""
    return Entry(
        id=row.id,
        created_at=timestamp(row.created_at),
        raw_transcript=row.raw_transcript,
        cleaned_text=row.cleaned_text,
        duration_ms=number(row.duration_ms),
        target_app=row.target_app,
        tone=row.tone,
        confidence=row.confidence,
        word_count=row.word_count,
        audio_duration_sec=None
        if row.audio_duration_sec is None
        else number(row.audio_duration_sec),
        model=row.model,
        request_id=row.request_id,
        has_audio=row.storage_id is not None,
    )


def number(value: float) -> float:
    """Return 3000.0 as 3000, the way it came."""
    return int(value) if value == int(value) else value
