"""Say no to Deepgram's clients in Deepgram's form: `err_code`, `err_msg` and `request_id`.

A WebSocket is refused before it opens, with a real HTTP status: without the extension used here
every reason would become an empty 403.
"""

import math
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Response, WebSocket

from api import problems
from api.listen.query import InvalidOption
from api.schemas import DeepgramProblem
from appliance.errors import Busy
from engine.errors import AudioUnreadable, LanguageUnsupported

MAX_HEADER_BYTES = 200
CODES = {
    400: "BAD_REQUEST",
    401: "INVALID_AUTH",
    403: "INSUFFICIENT_PERMISSIONS",
    404: "NOT_FOUND",
    413: "PAYLOAD_TOO_LARGE",
    429: "TOO_MANY_REQUESTS",
    503: "SERVICE_UNAVAILABLE",
    504: "GATEWAY_TIMEOUT",
    507: "INSUFFICIENT_STORAGE",
}
UNFORESEEN = "INTERNAL_SERVER_ERROR"


class Refusal(Exception):
    """A request that is not served; `retry_after_s` where it may be at another time."""

    def __init__(
        self, status: int, code: str, message: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.retry_after_s = retry_after_s

    def body(self, request_id: str) -> bytes:
        """Return the answer as clients read it."""
        return msgspec.json.encode(DeepgramProblem(self.code, self.message, request_id))

    def headers(self, request_id: str) -> dict[str, str]:
        """Return the headers that go with it, besides its type and length."""
        headers = {"dg-request-id": request_id, "dg-error": header_of(self.message)}
        if self.retry_after_s is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after_s)))
        return headers


def invalid_query(message: str) -> Refusal:
    """Refuse a query."""
    return Refusal(400, "INVALID_QUERY_PARAMETER", message)


def undecodable(reason: str = "") -> Refusal:
    """Refuse bytes that are no sound, in the words that clients look for, and why if known."""
    message = "Bad Request: failed to process audio: corrupt or unsupported data"
    return Refusal(400, "Bad Request", f"{message} ({reason})" if reason else message)


def remote_content() -> Refusal:
    """Refuse a body that names an address instead of holding sound."""
    return Refusal(
        400,
        "REMOTE_CONTENT_ERROR",
        "This box fetches nothing from an address (listen_url_hosts names no host); send the bytes "
        "of the file instead of its url.",
    )


def invalid_credentials() -> Refusal:
    """Refuse whoever has no valid key and no valid token."""
    return Refusal(401, CODES[401], "Invalid credentials.")


def insufficient_permissions(scope: str) -> Refusal:
    """Refuse a key that lacks the scope."""
    return Refusal(403, CODES[403], f"Insufficient permissions: the key lacks the scope {scope}.")


def not_found(message: str) -> Refusal:
    """Refuse what is not there."""
    return Refusal(404, CODES[404], message)


def too_large(message: str) -> Refusal:
    """Refuse too many bytes."""
    return Refusal(413, CODES[413], message)


def too_many_requests(retry_after_s: float) -> Refusal:
    """Refuse while others are served, in the words of Deepgram."""
    message = "Too many requests. Please try again later"
    return Refusal(429, CODES[429], message, retry_after_s)


def unavailable(message: str, retry_after_s: float | None = None) -> Refusal:
    """Refuse because the box itself is not as it should be."""
    return Refusal(503, CODES[503], message, retry_after_s)


def refusal_of(connection: Any, error: Exception) -> Refusal:
    """Return any failure as a refusal; what is unforeseen is logged once, under a number."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, AudioUnreadable):
        return undecodable(str(error))
    if isinstance(error, Busy):
        return too_many_requests(error.retry_after_s)
    if isinstance(error, InvalidOption | LanguageUnsupported):
        return invalid_query(str(error))
    told = problems.answer_to(connection, error)
    status = told.status_code or HTTPStatus.INTERNAL_SERVER_ERROR
    if status == HTTPStatus.UNAUTHORIZED:
        return invalid_credentials()
    wait_s = told.headers.get("Retry-After")
    return Refusal(
        status,
        CODES.get(status, UNFORESEEN if status >= 500 else CODES[400]),
        told.content["detail"],
        None if wait_s is None else float(wait_s),
    )


def answer(refusal: Refusal, request_id: str) -> Response[bytes]:
    """Return the refusal of an ordinary request."""
    return Response(
        refusal.body(request_id),
        status_code=refusal.status,
        media_type="application/json",
        headers=refusal.headers(request_id),
    )


async def refuse_handshake(
    socket: WebSocket[Any, Any, Any], refusal: Refusal, request_id: str
) -> None:
    """Answer the handshake of a WebSocket with the refusal instead of opening it."""
    await send_refusal(socket.send, refusal, request_id)


async def send_refusal(send: Any, refusal: Refusal, request_id: str) -> None:
    """Send it by ASGI's denial of a WebSocket."""
    body = refusal.body(request_id)
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        **refusal.headers(request_id),
    }
    await send(
        {
            "type": "websocket.http.response.start",
            "status": refusal.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "websocket.http.response.body", "body": body, "more_body": False})


def header_of(text: str) -> str:
    """Return text as a header can hold it: one short line of ASCII."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line.encode("ascii", "replace")[:MAX_HEADER_BYTES].decode().strip()
