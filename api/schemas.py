"""The shapes of what comes in and goes out, camelCase; one struct for each JSON object of the API.

What comes in refuses fields it does not know, so that a misspelt one is not lost silently.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType


class Session(msgspec.Struct, rename="camel"):
    """A session: these six fields, here and in the webhook."""

    id: int
    title: str
    note: str
    original_transcript: str
    tags: str
    created_at: str


class SessionChange(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What people may change of a session; `tags` are separated by commas."""

    title: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    tags: str | UnsetType = UNSET


class Accepted(msgspec.Struct, rename="camel"):
    """An upload that waits for its transcription, and where to ask how it goes."""

    job: int
    status_url: str


class Job(msgspec.Struct, rename="camel"):
    """A transcription job: queued, running, done, failed or cancelled; progress 0..1."""

    id: int
    state: str
    position: int
    progress: float
    session_id: int | None
    error: str | None


class ListedJob(Job, rename="camel", kw_only=True):
    """The same with the title of what it makes ("" until it has one), and when it came."""

    title: str
    created_at: str


class Word(msgspec.Struct, rename="camel"):
    """A word and when it was said, in seconds."""

    word: str
    start: float
    end: float
    probability: float


class Segment(msgspec.Struct, rename="camel", omit_defaults=True):
    """A stretch of speech; `reason` is there if a gate held its text back.

    `engine_reason` says why it wasn't the engine of the box, null if it was.
    """

    start: float
    end: float
    text: str
    words: list[Word]
    confidence: float
    engine: str
    engine_reason: str | None
    reason: str | None = None


class Timed(msgspec.Struct, rename="camel", omit_defaults=True):
    """The timed transcript, as `scribebox transcribe --json` spells it too."""

    model: str
    language: str | None
    duration_seconds: float
    text: str
    segments: list[Segment]
    suppressed: list[Segment]
    warning: str | None = None


class Peaks(msgspec.Struct, rename="camel"):
    """The outline of audio: the largest amplitude of each slice, 0 to 100 % of full scale."""

    duration_seconds: float
    points: list[int]


class Replacement(msgspec.Struct, rename={"heard": "from", "meant": "to"}):
    """What to write instead of what is heard."""

    heard: str
    meant: str


class Vocabulary(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Words the engine should expect, and those the note should have replaced."""

    hotwords: list[str] = []
    replacements: list[Replacement] = []


class NewKey(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A key to be made; it expires at a moment or after a time such as 90d, or never."""

    name: str
    scopes: list[str]
    account: str | None = None
    expires: str | None = None
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class Key(msgspec.Struct, rename="camel"):
    """What may be known of a key."""

    id: str
    name: str
    account: str
    scopes: list[str]
    state: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None


class CreatedKey(Key, rename="camel", kw_only=True):
    """The same with the key itself, which is shown this once."""

    key: str


class Token(msgspec.Struct, rename="camel", omit_defaults=True):
    """A token that opens `url` for `expires_in` seconds; `remaining` words of the plan, if any."""

    token: str
    expires_in: int
    remaining: int | None
    engine: str
    url: str
    reason: str | None = None


class Grant(msgspec.Struct):
    """A token in Deepgram's shape."""

    access_token: str
    expires_in: float


class DeepgramProblem(msgspec.Struct):
    """A refusal in Deepgram's shape."""

    err_code: str
    err_msg: str
    request_id: str


class MonthOfUsage(msgspec.Struct, rename="camel", kw_only=True):
    """What dictations of a month add up to; zeros if there were none."""

    month: str
    dictation_count: int
    audio_minutes: float
    word_count: int
    estimated_cost: float
    currency: str


class DayOfUsage(msgspec.Struct, rename="camel", kw_only=True):
    """The same of a day."""

    date: str
    dictation_count: int
    audio_minutes: float
    word_count: int
    estimated_cost: float
    currency: str


class UsageByMonth(msgspec.Struct, rename="camel"):
    """Usage by month, the current one first."""

    plan: str
    months: list[MonthOfUsage]


class UsageByDay(msgspec.Struct, rename="camel"):
    """Usage by day of a time zone, today first."""

    plan: str
    timezone: str
    days: list[DayOfUsage]


class LimitCheck(msgspec.Struct, rename="camel", kw_only=True):
    """Words used and left of the plan; null is unlimited; `limitType` is what is used up."""

    allowed: bool
    daily_words_used: int
    daily_words_limit: int | None
    daily_words_remaining: int | None
    weekly_words_used: int
    weekly_words_limit: int | None
    weekly_words_remaining: int | None
    limit_type: Literal["daily", "weekly"] | None
    plan: str


class Problem(msgspec.Struct, rename="camel", omit_defaults=True):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = msgspec.field(default_factory=list)
