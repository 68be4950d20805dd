"""A refusal given before the body of its request is read: the connection ends with it.

Closing at once would reset the connection, and a client that is still sending might then see the
reset and not the answer. So what it sends meanwhile is thrown away, for a moment.
"""

import contextlib
from typing import Any

import anyio
from litestar import Request, Response
from litestar.response.base import ASGIResponse

LINGER_S = 2.0


class Unread(Response[bytes]):
    """An answer after which the connection is closed."""

    def __init__(self, answer: Response[bytes]) -> None:
        super().__init__(
            answer.content,
            status_code=answer.status_code,
            media_type=answer.media_type,
            headers={**answer.headers, "connection": "close"},
        )

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **_: Any) -> "Lingering":
        """Return what sends it."""
        return Lingering(
            body=self.content,
            status_code=self.status_code,
            media_type=self.media_type,
            headers=dict(self.headers),
        )


class Lingering(ASGIResponse):
    """Send all of the answer, then listen on without hearing."""

    async def send_body(self, send: Any, receive: Any) -> None:
        """Send the body; its length is known, so the client has the whole answer at once."""
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with contextlib.suppress(TimeoutError), anyio.fail_after(LINGER_S):
            while (await receive()).get("more_body"):
                pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})
