"""The shapes of the recordings API, camelCase as in `api/schemas.py`."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MAX_SECONDS = 86_400.0  # a day


class NewRecording(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A recording to be started; `device` and `profile` are those of the settings if not given."""

    title: str = ""
    tags: str = ""
    language: str | None = None
    device: Annotated[str, Meta(min_length=1, max_length=300)] | None = None
    profile: Literal["meeting", "dictation"] | None = None
    max_seconds: Annotated[float, Meta(gt=0, le=MAX_SECONDS)] | None = None


class Gap(msgspec.Struct, rename="camel"):
    """A stretch without sound, from where it is in the recording, and why."""

    at_seconds: float
    seconds: float
    cause: str


class Failover(msgspec.Struct, rename="camel"):
    """Whether the cloud hears it now (`active`), why (or why not, though the box is in need): see
    the README; and how much of it the cloud has heard."""

    active: bool
    reason: str | None
    cloud_seconds: float


class Recording(msgspec.Struct, rename="camel"):
    """A recording: recording, finishing, done, recovered or failed; `level` in dBFS."""

    id: int
    state: str
    title: str
    device: str
    started_at: str
    elapsed_seconds: float
    captured_seconds: float
    transcribed_seconds: float
    gaps: list[Gap]
    level: float | None
    alarms: list[str]
    session_id: int | None
    failover: Failover


class Device(msgspec.Struct, rename="camel"):
    """An input device, as PortAudio names it."""

    name: str
    channels: int
    default_rate: int
    default: bool
