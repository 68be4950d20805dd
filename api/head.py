"""HEAD for every route that has GET: the same answer without its body.

(A Litestar route with two methods wraps a threaded handler once for each, and breaks it; and two
handlers for each thing would be twice the routes to get wrong.)
"""

from typing import Any

NOT = {"/v1/transcribe/token"}  # its GET makes something, which nobody would see
ASKED = "scribebox.head"  # in the extensions of a scope: a handler may spare itself the body


class Head:
    """ASGI middleware that answers HEAD by GET."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on; of a HEAD's answer let the headers through only."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"].rstrip("/") in NOT:
            await self._app(scope, receive, send)
            return

        async def send_bare(message: Any) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        extensions = {**(scope.get("extensions") or {}), ASKED: {}}
        asked = {**scope, "method": "GET", "extensions": extensions}
        await self._app(asked, receive, send_bare)


def asked_of(scope: Any) -> bool:
    """Tell whether the body of the answer will be thrown away."""
    return ASKED in (scope.get("extensions") or {})
