"""Server-Sent Events on the wire: how an event is written, and an answer that goes on for long.

Guarantee: a listener that doesn't read holds up nobody and costs little. What waits for it is what
the socket takes; once that is full for SLOW_S its connection is cut, and when it comes back with
Last-Event-ID it goes on where it was. Every stream ends as soon as the box begins to stop.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any

import anyio
from litestar import Request, Response
from litestar.response.base import ASGIResponse

from api.closing import Closing
from api.head import asked_of

log = logging.getLogger(__name__)
MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
SLOW_S = 10.0
LAST_S = 1.0  # for the end of the answer: nothing is lost with it
RETRY = b"retry: 2000\n\n"
KEEP_ALIVE = b": still here\n\n"


def encode(kind: str, content: Any, number: int | None = None) -> bytes:
    """Return one event as bytes; `number` is what a client resumes by.

    All ASCII: many clients take U+2028 or U+0085 for the end of a line.
    """
    lines = [] if number is None else [f"id: {number}"]
    lines += [f"event: {kind}", f"data: {json.dumps(content)}"]
    return ("\n".join(lines) + "\n\n").encode()


class EventStream(Response[bytes]):
    """An answer whose pieces are sent as they come, until they or the box end."""

    def __init__(self, pieces: AsyncGenerator[bytes, None], closing: Closing) -> None:
        super().__init__(b"", headers=HEADERS, media_type=MEDIA_TYPE)
        self._pieces, self._closing = pieces, closing

    def to_asgi_response(
        self, app: Any, request: Request[Any, Any, Any], **_: Any
    ) -> "SendingPieces":
        """Return what sends it; for HEAD the headers only."""
        return SendingPieces(self._pieces, self._closing, asked_of(request.scope))


class SendingPieces(ASGIResponse):
    """Send the pieces; notice when the client leaves, doesn't read, or the box stops."""

    _should_set_content_length = False

    def __init__(
        self, pieces: AsyncGenerator[bytes, None], closing: Closing, is_head: bool
    ) -> None:
        super().__init__(headers=HEADERS, media_type=MEDIA_TYPE, is_head_response=is_head)
        self._pieces, self._closing = pieces, closing
        self._slow = False

    async def send_body(self, send: Any, receive: Any) -> None:
        """Send everything there will be."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._until_left, receive, group.cancel_scope)
            await self._closing.before(self._send_pieces(send))
            if self._slow or not await sent(send, b"", LAST_S):
                cut(receive)
            group.cancel_scope.cancel()

    async def _send_pieces(self, send: Any) -> None:
        async with contextlib.aclosing(self._pieces) as pieces:
            try:
                async for piece in pieces:
                    if not await sent(send, piece, SLOW_S):
                        self._slow = True
                        return
            except Exception:  # the answer has begun, so nobody else can tell of it
                log.exception("a stream of events broke off")

    @staticmethod
    async def _until_left(receive: Any, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()


async def sent(send: Any, piece: bytes, timeout_s: float) -> bool:
    """Send a piece, or the end (b""); tell whether there was room for it in time."""
    message = {"type": "http.response.body", "body": piece, "more_body": bool(piece)}
    try:
        async with asyncio.timeout(timeout_s):
            await send(message)
    except TimeoutError:
        return False
    return True


def cut(receive: Any) -> None:
    """Break the connection: an orderly end would wait for the client to read what is left.

    ASGI has no word for that, so this reaches for uvicorn's transport, if it is there.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()
