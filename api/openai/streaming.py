"""The text of a file as it comes, as server-sent events in OpenAI's words."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio.to_thread
import msgspec
from litestar import Request

from api import event_stream
from api.closing import Closing
from api.event_stream import EventStream, SendingPieces
from api.head import asked_of
from api.openai import formats
from api.openai.formats import Telling
from api.openai.hearing import Hearing
from api.openai.refusals import refused
from api.padding import stopping
from appliance.direct import DirectResult
from engine.errors import Cancelled

KEEP_ALIVE_S = 15.0
ToldOf = Callable[[DirectResult], Telling]


class Streamed(EventStream):
    """An answer that goes on until the file ends, its sender leaves or the box stops."""

    def __init__(
        self,
        heard: Hearing,
        told_of: ToldOf,
        request: Request[Any, Any, Any],
        closing: Closing,
        headers: dict[str, str],
    ) -> None:
        super().__init__(events(heard, told_of, request), closing)
        self._heard, self._more = heard, headers

    def to_asgi_response(
        self, app: Any, request: Request[Any, Any, Any], **_: Any
    ) -> "SendingHearing":
        """Return what sends it."""
        sending = SendingHearing(self._pieces, self._closing, asked_of(request.scope))
        sending.heard = self._heard
        for name, value in self._more.items():
            sending.headers.add(name, value)
        return sending


class SendingHearing(SendingPieces):
    """Send the events; whatever becomes of that, the hearing is given up with it."""

    heard: Hearing

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.heard.cancel()


async def events(
    heard: Hearing, told_of: ToldOf, request: Request[Any, Any, Any]
) -> AsyncGenerator[bytes, None]:
    """Yield the events of a hearing; the deltas, one behind the other, are the whole text."""
    first = True
    async with contextlib.aclosing(heard.news(KEEP_ALIVE_S)) as news:
        async for segments in news:
            if not segments:
                yield event_stream.KEEP_ALIVE
            for segment in segments:
                if segment.suppressed is None and segment.text:
                    yield formats.delta(segment, first=first)
                    first = False
    try:
        result = await heard.result()
    except Exception as error:  # the answer has begun: it can't be a status any more
        failure = refused(request, stopping() if isinstance(error, Cancelled) else error)
        yield event_stream.encode("error", msgspec.json.decode(failure.content))
    else:
        yield await anyio.to_thread.run_sync(formats.done, told_of(result))
        yield formats.END
