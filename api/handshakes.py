"""Answer the handshake of a WebSocket that no route takes with 404 instead of an empty 403.

The route of live streams answers its handshakes itself; only a path that has none is closed
unopened by Litestar, which uvicorn would make a bare 403 of. Deepgram's clients read `dg-error` and
the body, so both are in its form; such a path is `/v2/listen` (Flux), a protocol of its own.
"""

import uuid
from typing import Any

from api.listen.refusals import not_found, send_refusal


class Handshakes:
    """ASGI middleware that turns the close of an unopened socket into an HTTP answer."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        answered = False

        async def send_or_refuse(message: Any) -> None:
            nonlocal answered
            first, answered = not answered, True
            if first and message["type"] == "websocket.close":
                path = scope["path"][:100]
                refusal = not_found(
                    f"There is no WebSocket at {path}; live ones are at /v1/listen."
                )
                await send_refusal(send, refusal, str(uuid.uuid4()))
            else:
                await send(message)

        await self._app(scope, receive, send_or_refuse)
