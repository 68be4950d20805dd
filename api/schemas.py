"""The shapes of what goes out, camelCase; one struct for each JSON object of the API."""

import msgspec


class Session(msgspec.Struct, rename="camel"):
    """A session: these six fields, here and in the webhook."""

    id: int
    title: str
    note: str
    original_transcript: str
    tags: str
    created_at: str


class Check(msgspec.Struct, rename="camel"):
    """The state of one part of the box, in a word, and what is the matter if it isn't ok."""

    status: str
    detail: str | None = None


class Health(msgspec.Struct, rename="camel"):
    """The state of the box."""

    status: str
    checks: dict[str, Check]


class Problem(msgspec.Struct, rename="camel", omit_defaults=True):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = msgspec.field(default_factory=list)
