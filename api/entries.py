"""The shapes of a dictation: what a client posts, what it gets back, and what audio it has."""

from typing import Annotated, Any

import msgspec
from litestar.exceptions import ValidationException
from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIType
from msgspec import UNSET, Meta, Raw, UnsetType

from appliance.store.entities import HistoryEntry
from appliance.store.history import Dictation
from appliance.store.sessions import timestamp

MAX_TEXT_BYTES, MAX_NAME_BYTES = 1 << 20, 1 << 10
MAX_DAYS = 3650  # of one recording, so that sums stay numbers
MAX_WORDS = 2**31
Share = Annotated[float, Meta(ge=0, le=1)]
Milliseconds = Annotated[float, Meta(ge=0, le=MAX_DAYS * 86_400_000)]
Seconds = Annotated[float, Meta(ge=0, le=MAX_DAYS * 86_400)]
Words = Annotated[float, Meta(ge=0, le=MAX_WORDS, multiple_of=1)]  # 12.0 is 12 to JavaScript


class NewEntry(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A dictation to be stored; fields that are null are as good as absent."""

    raw_transcript: str
    cleaned_text: str
    duration_ms: Milliseconds
    target_app: str | None = None
    tone: str | None = None
    confidence: Share | None = None
    word_count: Words | None = None
    audio_duration_sec: Seconds | None = None
    model: str | None = None
    request_id: str | None = None

    def dictation(self) -> Dictation:
        """Return it as the history takes it."""
        values = msgspec.structs.asdict(self)
        count = values.pop("word_count")
        return Dictation(word_count=None if count is None else int(count), **values)


FIELDS = {field.encode_name: field for field in msgspec.structs.fields(NewEntry)}
LIMITS = {"rawTranscript": MAX_TEXT_BYTES, "cleanedText": MAX_TEXT_BYTES}
UNREAD: Any = [(name, Raw | UnsetType, UNSET) for name in FIELDS]  # values not looked at
Unread = msgspec.defstruct("Unread", UNREAD)
Known = msgspec.defstruct("Known", UNREAD, forbid_unknown_fields=True)


def read(body: bytes) -> NewEntry:
    """Return the entry of a JSON body; a ValidationException names every wrong field at once.

    Nothing is made of a value of the wrong type, and nothing of unknown fields but the first
    one's name, so a body costs no more than its bytes.
    """
    wrong: list[dict[str, Any]] = []
    entry = None
    try:
        entry = msgspec.json.decode(body, type=NewEntry)
    except msgspec.ValidationError as error:
        wrong = complaints(body, str(error))
    except msgspec.DecodeError as error:
        raise ValidationException(f"The body is no JSON: {error}") from None
    if entry is not None:
        wrong = [
            complaint(name, f"has {size} bytes; {limit} are the most")
            for name, field in FIELDS.items()
            if isinstance(text := getattr(entry, field.name), str)
            and (size := len(text.encode())) > (limit := LIMITS.get(name, MAX_NAME_BYTES))
        ]
    if wrong or entry is None:
        raise ValidationException("The entry can't be accepted.", extra=wrong)
    return entry


def complaints(body: bytes, first: str) -> list[dict[str, Any]]:
    """Return what is wrong with each field of a body that is JSON."""
    try:
        unread = msgspec.json.decode(body, type=Unread)
    except msgspec.ValidationError:
        return [{"key": "", "message": first, "source": "body"}]  # no object at all
    found = []
    for name, field in FIELDS.items():
        raw = getattr(unread, name)
        if raw is UNSET:
            if field.required:
                found.append(complaint(name, "is required"))
            continue
        try:
            msgspec.json.decode(raw, type=field.type)
        except msgspec.ValidationError as error:
            found.append(complaint(name, str(error)))
    try:
        msgspec.json.decode(body, type=Known)
    except msgspec.ValidationError as error:  # names the first
        found.append({"key": "", "message": str(error), "source": "body"})
    return found


def complaint(name: str, message: str) -> dict[str, Any]:
    """Return what is wrong with one field."""
    return {"key": name, "message": message, "source": "body"}


def schema() -> Schema:
    """Return how the OpenAPI document shows a new entry."""
    text = Schema(type=OpenAPIType.STRING, max_length=MAX_TEXT_BYTES)
    name = Schema(type=[OpenAPIType.STRING, OpenAPIType.NULL], max_length=MAX_NAME_BYTES)

    def number(most: float, *kinds: OpenAPIType) -> Schema:
        return Schema(type=list(kinds), minimum=0, maximum=most)

    null = OpenAPIType.NULL
    return Schema(
        type=OpenAPIType.OBJECT,
        title="NewEntry",
        required=[name for name, field in FIELDS.items() if field.required],
        additional_properties=False,
        properties={
            "rawTranscript": text,
            "cleanedText": text,
            "durationMs": Schema(type=OpenAPIType.NUMBER, minimum=0, maximum=MAX_DAYS * 86_400_000),
            "targetApp": name,
            "tone": name,
            "confidence": number(1, OpenAPIType.NUMBER, null),
            "wordCount": number(MAX_WORDS, OpenAPIType.INTEGER, null),
            "audioDurationSec": number(MAX_DAYS * 86_400, OpenAPIType.NUMBER, null),
            "model": name,
            "requestId": name,
        },
    )


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
