"""`POST /v1/auth/grant` as Deepgram's clients know it: a token for the box's own `/v1/listen`.

Requests and answers have Deepgram's shape, refusals too (`err_code`, `err_msg`, `request_id`):
its SDKs send `{}`, `{"ttl_seconds": 60}` or nothing at all, and any scheme of a key.
"""

import uuid
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from api import problems
from api.auth import DEEPGRAM, address_of, needs
from api.entries import number
from api.openapi import answer
from api.schemas import DeepgramProblem, Grant
from appliance.box import Box
from appliance.errors import Refused
from appliance.store.keys import Caller

DEFAULT_TTL_S, LONGEST_TTL_S = 30, 3600
MAX_BODY_BYTES = 10_000
CODES = {
    400: "BAD_REQUEST",
    401: "INVALID_AUTH",
    403: "FORBIDDEN",
    413: "PAYLOAD_TOO_LARGE",
    429: "TOO_MANY_REQUESTS",
    503: "SERVICE_UNAVAILABLE",
}


class Wish(msgspec.Struct):
    """How long the token is to open doors, in seconds."""

    ttl_seconds: Annotated[float, msgspec.Meta(ge=1, le=LONGEST_TTL_S)] | None = None


@dataclass
class Granting(Operation):
    """The operation with the body it takes."""

    def __post_init__(self) -> None:
        ttl = Schema(type=OpenAPIType.NUMBER, minimum=1, maximum=LONGEST_TTL_S)
        wish = Schema(type=OpenAPIType.OBJECT, properties={"ttl_seconds": ttl})
        content = {"application/json": OpenAPIMediaType(schema=wish)}
        self.request_body = RequestBody(content=content, required=False)


def in_deepgrams_shape(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Return any failure as Deepgram would."""
    told = problems.answer_to(request, error)
    code = CODES.get(told.status_code or 500, "INTERNAL_SERVER_ERROR")
    request_id = str(uuid.uuid4())
    content = DeepgramProblem(code, told.content["detail"], request_id)
    headers = {**told.headers, "dg-request-id": request_id, "dg-error": code}
    return Response(content, status_code=told.status_code, headers=headers)


def refusal(status: int) -> Any:
    """Return how the document shows a refusal in Deepgram's shape."""
    return answer(DeepgramProblem, CODES[status])


@post(
    "/v1/auth/grant",
    operation_id="grantToken",
    operation_class=Granting,
    status_code=200,
    request_max_body_size=MAX_BODY_BYTES,
    exception_handlers={HTTPException: in_deepgrams_shape, Exception: in_deepgrams_shape},
    **needs("listen", {status: refusal(status) for status in CODES}, surface=DEEPGRAM),
    tags=["listen"],
)
async def grant_token(
    request: Request[Any, Any, Any],
    box: NamedDependency[Box],
    caller: NamedDependency[Caller],
) -> Response[Grant]:
    """Return a token of this box for the caller's key."""
    body = await request.body()
    try:
        wish = msgspec.json.decode(body, type=Wish) if body.strip() else Wish()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(f"the body can't be accepted: {error}") from None
    lifetime_s = wish.ttl_seconds or DEFAULT_TTL_S
    token = await box.vendor.local(caller, lifetime_s, address_of(request))
    headers = {"Cache-Control": "no-store", "dg-request-id": str(uuid.uuid4())}
    return Response(Grant(token, number(lifetime_s)), headers=headers)
