"""Short-lived tokens: of the cloud or of this box, whichever the client should open."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.auth import address_of, needs
from api.links import Links
from api.openapi import refusal
from api.schemas import Token
from appliance.box import Box
from appliance.store.keys import Caller
from appliance.vendor import Wanted

LISTEN = "/v1/listen"
Engine = Annotated[
    Wanted,
    QueryParameter(
        description="auto: the cloud if it may and can be had, else this box; cloud or local: "
        "only that one"
    ),
]


@get(
    "/v1/transcribe/token",
    operation_id="getToken",
    **needs(
        "transcribe:token",
        {
            429: refusal(
                "The words of the plan are used up (engine=cloud), or too many wrong keys."
            ),
            503: refusal("The cloud can't be had (engine=cloud), or the database is busy."),
        },
    ),
    tags=["transcribe"],
)
async def get_token(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    links: NamedDependency[Links],
    caller: NamedDependency[Caller],
    engine: Engine = Wanted.AUTO,
) -> Response[Token]:
    """Return a token and the address it opens; `reason` says why it isn't the first choice."""
    listen_url = links.socket_to(request, LISTEN)
    vended = await box.vendor.vend(caller, engine, listen_url, address_of(request))
    token = Token(
        token=vended.token,
        expires_in=int(vended.expires_in_s),
        remaining=vended.remaining,
        engine=vended.engine,
        url=vended.url,
        reason=vended.reason,
    )
    return Response(token, headers={"Cache-Control": "no-store"})
