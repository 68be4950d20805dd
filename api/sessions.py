"""The sessions API, as its clients know it: `/api/v1/audioscribe/sessions/`."""

from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api.auth import needs, refusal
from api.schemas import Session
from appliance.box import Box
from appliance.store import sessions
from appliance.store.keys import Caller

PER_PAGE, MAX_PER_PAGE = 20, 100
PATH = "/api/v1/audioscribe/sessions"
Page = Annotated[int, QueryParameter(name="page", ge=0, le=2**31, description="zero-based")]
PerPage = Annotated[int, QueryParameter(name="perPage", ge=1, le=MAX_PER_PAGE)]


def reading() -> dict[str, Any]:
    """Return what every handler here has in common."""
    return {**needs("sessions:read"), "sync_to_thread": True, "tags": ["sessions"]}


@get(f"{PATH}/", operation_id="listSessions", **reading())
def list_sessions(
    box: NamedDependency[Box],
    page: Page = 0,
    per_page: PerPage = PER_PAGE,
    *,
    caller: NamedDependency[Caller],
) -> Response[list[Session]]:
    """Return one page of the account's sessions, the newest first."""
    with box.database.read() as session:
        rows, total = sessions.page(session, caller.account_id, page, per_page)
    content = [msgspec.convert(sessions.public(row), Session) for row in rows]
    return Response(content, headers=paging(page, per_page, total))


def paging(page: int, per_page: int, total: int) -> dict[str, str]:
    """Return the headers that say how many there are and where the pages beside this one are."""
    links = []
    if (page + 1) * per_page < total:
        links.append(f'<{PATH}/?page={page + 1}&perPage={per_page}>; rel="next"')
    if page > 0:
        links.append(f'<{PATH}/?page={page - 1}&perPage={per_page}>; rel="prev"')
    headers = {"X-Total-Count": str(total)}
    return {**headers, "Link": ", ".join(links)} if links else headers


def reading_one() -> dict[str, Any]:
    """Return the same for handlers of one session, which may not exist."""
    common = reading()
    return {
        **common,
        "responses": {**common["responses"], 404: refusal("There is no such session.")},
    }


@get(f"{PATH}/{{session_id:int}}/", operation_id="getSession", **reading_one())
def get_session(
    box: NamedDependency[Box], session_id: FromPath[int], caller: NamedDependency[Caller]
) -> Session:
    """Return one session."""
    with box.database.read() as session:
        row = sessions.get(session, caller.account_id, session_id)
    return msgspec.convert(sessions.public(row), Session)
