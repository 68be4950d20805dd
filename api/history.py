"""The dictation history of the Transcribe API: list, add, delete."""

import hashlib
from typing import Annotated, Any

import msgspec
from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter

from api.auth import needs
from api.entries import Entry, History, NewEntry, described
from api.threads import threaded
from appliance.box import Box
from appliance.errors import Conflict
from appliance.store import history, idempotency
from appliance.store.entities import HistoryEntry
from appliance.store.keys import Caller

PATH = "/v1/transcribe/history"
ONE = f"{PATH}/{{entry_id:str}}"
MISSING = "There is no such entry."
HISTORY: dict[str, Any] = {"tags": ["transcribe"]}
MAX_BODY_BYTES = 64 << 20  # seven texts of a mebibyte, also if every character is escaped
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


@get(PATH, operation_id="listHistory", **needs("transcribe:history"), **HISTORY)
@threaded
def list_history(
    box: NamedDependency[Box],
    limit: Limit = PER_PAGE,
    offset: Offset = 0,
    *,
    caller: NamedDependency[Caller],
) -> History:
    """Return entries of the account, the newest first."""
    with box.database.read() as session:
        rows, total = history.page(session, caller.account_id, limit, min(offset, 2**62))
    return History([described(row) for row in rows], total, limit, offset)


@post(
    PATH,
    operation_id="addHistory",
    request_max_body_size=MAX_BODY_BYTES,
    **needs(
        "transcribe:history",
        _409="The Idempotency-Key came with another body, or its entry was deleted since.",
        _413="The body is too large.",
    ),
    **HISTORY,
)
@threaded
def add_history(
    data: JSONBody[NewEntry],
    box: NamedDependency[Box],
    caller: NamedDependency[Caller],
    idempotency_key: Key = None,
) -> Response[Entry]:
    """Store a dictation and count its words."""
    said = data.dictation()
    key = None if idempotency_key is None else idempotency.checked(idempotency_key)
    digest = hashlib.sha256(msgspec.json.encode(said)).hexdigest() if key else ""
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
@threaded
def delete_history(
    box: NamedDependency[Box], entry_id: FromPath[str], caller: NamedDependency[Caller]
) -> None:
    """Delete an entry with its audio; the words it counted stay counted."""
    box.history_audio.delete_entry(caller.account_id, entry_id)
