"""The shape of the health: one check for each part of the box."""

import msgspec
from msgspec import UNSET, UnsetType


class LastRun(msgspec.Struct, rename="camel"):
    """When a duty of the clock ran last, for how long, and how that ended: ok, failed, not yet."""

    outcome: str
    at: str | None = None
    seconds: float | None = None


class Check(msgspec.Struct, rename="camel"):
    """The state of one part of the box, in a word, and what is the matter if it isn't ok."""

    status: str
    detail: str | None = None
    duties: dict[str, LastRun] | UnsetType = UNSET  # of the scheduler


class Health(msgspec.Struct, rename="camel"):
    """The state of the box."""

    status: str
    checks: dict[str, Check]
