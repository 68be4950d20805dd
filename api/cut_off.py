"""What a request hears that is still underway when the box stops: 503, where uvicorn would say 500.

An upload may take longer than a stop waits. Whoever sends it learns that the box is going, not that
it is broken, and may send it again once it is back.
"""

import asyncio
from typing import Any

from api.problems import PROBLEM, encode

AGAIN_S = 5
STOPPING = (
    "The box is stopping and can't say whether this request was carried out. Look once it is back. "
    "Send it again if it was not."
)


class CutOff:
    """ASGI middleware that answers for a request whose task is cancelled."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on; if it is cancelled before its answer began, answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:
            if begun:
                raise
            await refuse(send)


async def refuse(send: Any) -> None:
    """Send the problem; the connection ends with it, since the rest of the body is not read."""
    body = encode(503, STOPPING)
    headers = [
        (b"content-type", PROBLEM.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(AGAIN_S).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
