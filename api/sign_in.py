"""Signing in on the page for a day, by a cookie in place of the key, and out again.

The cookie holds a token, never the key. Both routes are for the page alone: another site must
neither sign people in (to an account of its own) nor out.
"""

from typing import Any

import anyio.to_thread
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.exceptions import NotAuthorizedException
from litestar.params import JSONBody

from api import cookie, me
from api.account_schemas import Me, SignIn
from api.auth import OPEN, slow_down
from api.openapi import answer, refusal
from appliance.box import Box
from appliance.store.keys import Caller

NO_STORE = {"Cache-Control": "no-store"}
MAX_BODY_BYTES = 4096
FOREIGN = refusal("The request was not made by the page of this box.")
WRONG = "The key is not valid: it is mistyped, revoked or expired. Make one: scribebox keys create"


@post(
    "/api/v1/sign-in",
    operation_id="signIn",
    status_code=200,
    request_max_body_size=MAX_BODY_BYTES,
    responses={
        400: refusal("The body can't be accepted."),
        401: refusal("The key is not valid."),
        403: FOREIGN,
        413: refusal("The body is too large."),
        429: refusal("There were too many wrong keys from this address."),
        503: refusal("The database is busy or can't be written; try again."),
    },
    **OPEN,
    **me.PAGE,
)
async def sign_in(
    data: JSONBody[SignIn], request: Request[Any, Any, Any], box: NamedDependency[Box]
) -> Response[Me]:
    """Set a cookie that stands for the key for 24 hours, unless it is revoked or expires before."""
    cookie.refuse_foreign(request, unsaid=True)
    caller: Caller | None = await request.app.state.authenticator.caller(data.key.strip())
    if caller is None:
        slow_down(request)
        raise NotAuthorizedException(WRONG)

    def described() -> Me:
        with box.database.read() as session:
            return me.described(session, caller)

    token = box.page_tokens.mint(caller, cookie.LIFETIME_S)
    content = await anyio.to_thread.run_sync(described)
    return Response(content, headers=NO_STORE, cookies=[cookie.made(request, token)])


@post(
    "/api/v1/sign-out",
    operation_id="signOut",
    status_code=204,
    responses={204: answer(None, "whoever it was is signed out"), 403: FOREIGN},
    **OPEN,
    **me.PAGE,
)
async def sign_out(request: Request[Any, Any, Any], box: NamedDependency[Box]) -> Response[None]:
    """End the cookie, which is accepted never again; without one that is fine too."""
    cookie.refuse_foreign(request, unsaid=True)
    if token := request.cookies.get(cookie.NAME):
        box.page_tokens.end(token)
    return Response(None, status_code=204, cookies=[cookie.gone(request)])
