"""A WebSocket where there is none is 404, in Deepgram's form: whoever opens one is its client.

(Litestar would close it before it is open, which servers turn into an empty 403.)
"""

import re
import uuid
from typing import Any

from api.listen import refusals

MISSING = "There is no WebSocket at this path; live text is at /v1/listen."


class UnroutedSockets:
    """ASGI middleware that lets through the sockets with one of the paths only."""

    def __init__(self, app: Any, paths: frozenset[str]) -> None:
        self._app, self._paths = app, paths

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, or answer 404."""
        if scope["type"] == "websocket" and plain(scope["path"]) not in self._paths:
            refusal, request_id = refusals.not_found(MISSING), str(uuid.uuid4())
            await refusals.send_refusal(send, refusal, request_id)
            return
        await self._app(scope, receive, send)


def plain(path: str) -> str:
    """Return a path without the slashes that make no difference."""
    return re.sub("/+", "/", path).rstrip("/")
