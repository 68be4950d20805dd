"""The dictation history of the Transcribe API: list, add, delete."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody
from litestar.params import FromPath, HeaderParameter, QueryParameter

from api import entries
from api.auth import needs
from api.entries import Entry, History, described
from api.openapi import answer
from api.threads import WRITERS, in_thread, threaded, writing
from appliance.box import Box
from appliance.errors import Conflict
from appliance.store import history, idempotency
from appliance.store.entities import HistoryEntry
from appliance.store.keys import Caller

PATH = "/v1/transcribe/history"
ONE = f"{PATH}/{{entry_id:str}}"
MISSING = "There is no such entry."
HISTORY: dict[str, Any] = {"tags": ["transcribe"]}
MAX_BODY_BYTES = 14 << 20  # two texts of a mebibyte, every character of them escaped
JSON = "application/json"
LISTED = {200: answer(History, "a stretch of the history")}
PER_PAGE, MAX_PER_PAGE = 20, 100
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=MAX_PER_PAGE)]
Offset = Annotated[int, QueryParameter(name="offset", ge=0)]
Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        max_length=idempotency.MAX_CHARACTERS,
        description="makes it safe to send the same again, for 24 hours",
    ),
]


@get(PATH, operation_id="listHistory", **needs("transcribe:history", LISTED), **HISTORY)
@threaded
def list_history(
    box: NamedDependency[Box],
    limit: Limit = PER_PAGE,
    offset: Offset = 0,
    *,
    caller: NamedDependency[Caller],
) -> Response[bytes]:
    """Return entries of the account, the newest first."""
    with box.database.read() as session:
        rows, total = history.page(session, caller.account_id, limit, min(offset, 2**62))
    page = History([described(row) for row in rows], total, limit, offset)
    return Response(msgspec.json.encode(page), media_type=JSON)  # in this thread: it may be long


@dataclass
class Adding(Operation):
    """The operation with the body it takes."""

    def __post_init__(self) -> None:
        content = {"application/json": OpenAPIMediaType(schema=entries.schema())}
        self.request_body = RequestBody(content=content, required=True)


@post(
    PATH,
    operation_id="addHistory",
    operation_class=Adding,
    request_max_body_size=MAX_BODY_BYTES,
    **needs(
        "transcribe:history",
        _409="The Idempotency-Key came with another body, or its entry was deleted since.",
        _413="The body is too large.",
    ),
    **HISTORY,
)
async def add_history(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    caller: NamedDependency[Caller],
    idempotency_key: Key = None,
) -> Response[Entry]:
    """Store a dictation and count its words."""
    body = await request.body()
    return await in_thread(WRITERS, lambda: add(box, caller, body, idempotency_key))


def add(box: Box, caller: Caller, body: bytes, key: str | None) -> Response[Entry]:
    """Read, count and store."""
    said = entries.read(body).dictation()
    digest = hashlib.sha256(msgspec.json.encode(said)).hexdigest() if key is not None else ""
    if key is not None:
        idempotency.checked(key)
    with box.database.write() as session:
        if key is not None:
            made = idempotency.earlier(session, caller.account_id, key, digest)
            if made is not None:
                return created(first_answer(session.get(HistoryEntry, made)))
        cost = box.settings.prices.cost_micros(said.model, said.audio_ms)
        row = history.add(session, caller.account_id, said, cost)
        if key is not None:
            idempotency.remember(session, caller.account_id, key, digest, row.id)
    return created(described(row))


def first_answer(row: HistoryEntry | None) -> Entry:
    """Return what was answered when the entry was made: nothing was attached yet."""
    if row is None:
        raise Conflict("the entry that this Idempotency-Key made was deleted; send a new key")
    entry = described(row)
    entry.has_audio = False
    return entry


def created(entry: Entry) -> Response[Entry]:
    """Return the answer to what made an entry."""
    return Response(entry, status_code=201)


@delete(
    ONE,
    operation_id="deleteHistory",
    **needs("transcribe:history", _404=MISSING),
    **HISTORY,
)
@writing
def delete_history(
    box: NamedDependency[Box], entry_id: FromPath[str], caller: NamedDependency[Caller]
) -> None:
    """Delete an entry with its audio; the words it counted stay counted."""
    box.history_audio.delete_entry(caller.account_id, entry_id)
