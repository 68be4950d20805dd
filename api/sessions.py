"""The sessions API, as its clients know it: `/api/v1/audioscribe/sessions/`."""

from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from litestar import Response, delete, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.auth import needs
from api.schemas import Session, SessionChange
from api.threads import threaded, writing
from appliance.box import Box
from appliance.store import search, sessions
from appliance.store.entities import SessionRow
from appliance.store.keys import Caller

PER_PAGE, MAX_PER_PAGE = 20, 100
PATH = "/api/v1/audioscribe/sessions"
ONE = f"{PATH}/{{session_id:int}}"
MISSING = "There is no such session."
CAPPED = "X-Total-Count-Capped"
Page = Annotated[int, QueryParameter(name="page", ge=0, description="zero-based")]
PerPage = Annotated[int, QueryParameter(name="perPage", ge=1, le=MAX_PER_PAGE)]
Words = Annotated[
    str | None,
    QueryParameter(
        name="q",
        max_length=search.MAX_QUERY,
        description="words to find in note, title and transcript; the last one may be a beginning; "
        'words in "double quotes" are a phrase',
    ),
]
Tag = Annotated[str | None, QueryParameter(name="tag", max_length=search.MAX_TAG)]
READING: dict[str, Any] = {"tags": ["sessions"]}


@get(f"{PATH}/", operation_id="listSessions", **needs("sessions:read"), **READING)
@threaded
def list_sessions(
    box: NamedDependency[Box],
    page: Page = 0,
    per_page: PerPage = PER_PAGE,
    q: Words = None,
    tag: Tag = None,
    *,
    caller: NamedDependency[Caller],
) -> Response[list[Session]]:
    """Return one page of the account's sessions, the newest first.

    With `q` or `tag`, X-Total-Count counts up to 1000; X-Total-Count-Capped: true says that there
    are more.
    """
    page = min(page, 2**31)  # far past any end, and still a number to SQLite
    words, tag = q if q and q.strip() else None, tag or None
    with box.database.read() as session:
        if words is None and tag is None:
            rows, total = sessions.page(session, caller.account_id, page, per_page)
            found = search.Found(rows, total, False)
        else:
            found = search.find(session, caller.account_id, page, per_page, words, tag)
    given = {"q": words, "tag": tag, "perPage": per_page}
    query = {name: value for name, value in given.items() if value is not None}
    return Response([public(row) for row in found.rows], headers=paging(page, query, found))


def public(row: SessionRow) -> Session:
    """Return the session object."""
    return msgspec.convert(sessions.public(row), Session)


def paging(page: int, query: dict[str, Any], found: search.Found) -> dict[str, str]:
    """Return the headers that say how many there are and where the pages beside this one are."""

    def link(number: int, rel: str) -> str:
        return f'<{PATH}/?{urlencode({"page": number, **query})}>; rel="{rel}"'

    links = []
    if (page + 1) * query["perPage"] < found.total or (found.capped and found.rows):
        links.append(link(page + 1, "next"))
    if page > 0:
        links.append(link(page - 1, "prev"))
    headers = {"X-Total-Count": str(found.total)}
    if found.capped:
        headers[CAPPED] = "true"
    return {**headers, "Link": ", ".join(links)} if links else headers


@get(f"{ONE}/", operation_id="getSession", **needs("sessions:read", _404=MISSING), **READING)
@threaded
def get_session(
    box: NamedDependency[Box], session_id: FromPath[int], caller: NamedDependency[Caller]
) -> Session:
    """Return one session."""
    with box.database.read() as session:
        return public(sessions.get(session, caller.account_id, session_id))


@patch(
    f"{ONE}/",
    operation_id="changeSession",
    **needs("sessions:write", _404=MISSING, _413="The body is too large."),
    **READING,
)
@writing
def change_session(
    data: JSONBody[SessionChange],
    box: NamedDependency[Box],
    session_id: FromPath[int],
    caller: NamedDependency[Caller],
) -> Session:
    """Change title, note or tags; what the engine said never changes."""
    with box.database.write() as session:
        row = sessions.get(session, caller.account_id, session_id)
        changes = {k: v for k, v in msgspec.structs.asdict(data).items() if v is not msgspec.UNSET}
        sessions.change(session, row, **changes)
    return public(row)


@delete(
    f"{ONE}/",
    operation_id="deleteSession",
    **needs("sessions:write", _404=MISSING),
    **READING,
)
@writing
def delete_session(
    box: NamedDependency[Box], session_id: FromPath[int], caller: NamedDependency[Caller]
) -> None:
    """Delete a session with its segments and its audio; what it used stays in the ledger."""
    box.uploads.delete_session(caller.account_id, session_id)
