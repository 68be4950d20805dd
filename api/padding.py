"""An answer in JSON that may take longer than its client waits for: spaces come until it is there.

SDKs give up after so many seconds without a byte, and a long file takes a CPU longer than that;
white space before JSON means nothing. What is ready in PATIENCE_S is an ordinary answer with the
status it deserves; after that the status has been sent (200), and a failure can only be told in
the body.

Guarantee: the work has ended and what was held for it is let go before the answer is told, and also
when the client leaves or the box stops, which ends the work.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
from litestar import Request, Response
from litestar.exceptions import ServiceUnavailableException
from litestar.response.base import ASGIResponse

from api.closing import Closing
from engine.errors import Cancelled

log = logging.getLogger(__name__)
PATIENCE_S = 10.0
SPACE_EVERY_S = 1.0
JSON = "application/json"
Task = asyncio.Future[Any]
Work = Callable[[threading.Event], bytes]
Refused = Callable[[Request[Any, Any, Any], Exception], Response[bytes]]


class Padded(Response[bytes]):
    """The answer that `work` makes in a thread of its own, given an event that tells it to end.

    `refused` makes the answer to what it raises; `held` is let go in the end.
    """

    def __init__(
        self,
        work: Work,
        refused: Refused,
        closing: Closing,
        held: contextlib.ExitStack,
        headers: dict[str, str],
    ) -> None:
        super().__init__(b"", headers=headers, media_type=JSON)
        self._parts = (work, refused, closing, held)

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **_: Any) -> "Padding":
        """Return what sends it."""
        return Padding(request, dict(self.headers), *self._parts)


class Padding(ASGIResponse):
    """Wait for the work, and send."""

    _should_set_content_length = False

    def __init__(
        self,
        request: Request[Any, Any, Any],
        headers: dict[str, str],
        work: Work,
        refused: Refused,
        closing: Closing,
        held: contextlib.ExitStack,
    ) -> None:
        super().__init__(headers=headers, media_type=JSON)
        self._request, self._head = request, headers
        self._work, self._refused = work, refused
        self._closing, self._held = closing, held
        self._begun = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as soon as there is something to say, or end when nobody is there to hear it."""
        cancelled = threading.Event()
        work = asyncio.ensure_future(in_thread(self._work, cancelled))
        left = asyncio.ensure_future(until_left(receive))
        try:
            await self._closing.before(self._pad(work, left, send))
            heard = not left.done()
        finally:
            left.cancel()
            cancelled.set()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([work])
                await anyio.to_thread.run_sync(self._held.close)
            answer = self._outcome(work)
        if heard:
            await self._tell(answer, scope, receive, send)

    async def _pad(self, work: Task, left: Task, send: Any) -> None:
        """Send spaces until the work has ended or the client has left."""
        wait_s = PATIENCE_S
        while True:
            await asyncio.wait([work, left], timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            if work.done() or left.done():
                return
            if not self._begun:
                self._begun = True
                await self.start_response(send)
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            wait_s = SPACE_EVERY_S

    def _outcome(self, work: Task) -> Response[bytes]:
        """Return the answer; work that was told to end while its client waits: the box stops."""
        try:
            body: bytes = work.result()
            return Response(body, headers=self._head, media_type=JSON, status_code=200)
        except Cancelled:
            return self._refused(self._request, stopping())
        except Exception as error:
            return self._refused(self._request, error)

    async def _tell(self, answer: Response[bytes], scope: Any, receive: Any, send: Any) -> None:
        if not self._begun:
            await answer.to_asgi_response(None, self._request)(scope, receive, send)
            return
        if answer.status_code != 200:
            log.warning("an answer that had begun ends with an error: %d", answer.status_code)
        await send({"type": "http.response.body", "body": answer.content, "more_body": False})


def stopping() -> ServiceUnavailableException:
    """Return what to tell those who still wait when the box stops."""
    return ServiceUnavailableException(
        "The box is stopping; send the request again in a moment.", headers={"Retry-After": "5"}
    )


async def in_thread(work: Work, cancelled: threading.Event) -> bytes:
    """Do the work in a thread beside all others: it may take an hour."""
    return await anyio.to_thread.run_sync(work, cancelled, limiter=anyio.CapacityLimiter(1))


async def until_left(receive: Any) -> None:
    """Wait until the client has left; the request has been read whole."""
    while (await receive())["type"] != "http.disconnect":
        pass
