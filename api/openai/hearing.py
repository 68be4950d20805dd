"""A file on its way to text while its sender waits: whole, or as it comes.

Guarantee: place and file are given back when the thread has ended, whatever became of the request;
and the thread ends soon once the sender has left or the box begins to stop.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from litestar import Request

from api.closing import Closing
from api.padding import stopping, until_left
from appliance.direct import DirectResult
from appliance.errors import Refused
from engine.errors import Cancelled
from engine.transcript import Segment

T = TypeVar("T")
Segments = tuple[Segment, ...]
Listen = Callable[[Callable[[Segments], None], threading.Event], DirectResult]


class Hearing:
    """Made and asked on the event loop; `listen` runs in a thread, and `held` is left after it."""

    def __init__(self, listen: Listen, held: contextlib.ExitStack) -> None:
        self._listen, self._held = listen, held
        self._loop = asyncio.get_running_loop()
        self._cancelled = threading.Event()
        self._heard: deque[Segments] = deque()
        self._woken = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._end)

    def cancel(self) -> None:
        """Give up; twice is fine."""
        self._cancelled.set()

    async def result(self) -> DirectResult:
        """Wait for the end, and return what was heard or raise what went wrong."""
        return await asyncio.shield(self._task)

    async def begun(self, patience_s: float) -> None:
        """Wait until there is something to tell, but not longer; raise why there is nothing."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while not self._heard and not self._task.done():
                    await self._woken.wait()
                    self._woken.clear()
        if self._task.done():
            self._task.result()

    async def news(self, patience_s: float) -> AsyncGenerator[Segments, None]:
        """Yield the segments as they come; none if there were none for so long."""
        while True:
            while self._heard:
                yield self._heard.popleft()
            if self._task.done():
                return
            try:
                async with asyncio.timeout(patience_s):
                    await self._woken.wait()
            except TimeoutError:
                yield ()
            self._woken.clear()

    async def _run(self) -> DirectResult:
        own = anyio.CapacityLimiter(1)  # a thread beside all others: it may take an hour
        return await anyio.to_thread.run_sync(self._work, limiter=own)

    def _work(self) -> DirectResult:
        with self._held:
            return self._listen(self._tell, self._cancelled)

    def _tell(self, segments: Segments) -> None:
        """Take note of what was heard; runs in the thread that listens."""
        self._loop.call_soon_threadsafe(self._add, segments)

    def _add(self, segments: Segments) -> None:
        self._heard.append(segments)
        self._woken.set()

    def _end(self, task: "asyncio.Task[DirectResult]") -> None:
        if not task.cancelled():
            task.exception()  # it is known now, also if nobody asks any more
        self._woken.set()


async def before_leaving(
    waiting: Coroutine[Any, Any, T],
    hearing: Hearing,
    request: Request[Any, Any, Any],
    closing: Closing,
) -> T:
    """Wait for something of a hearing, which is given up if its sender leaves or the box stops."""
    wanted = asyncio.ensure_future(waiting)
    leaving = asyncio.ensure_future(until_left(request.receive))
    try:
        either = asyncio.wait({wanted, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not await closing.before(either):
            raise stopping()
        if not wanted.done():
            raise Refused("the sender has left")  # which nobody reads
        return wanted.result()
    except BaseException as error:
        hearing.cancel()
        if isinstance(error, Cancelled):  # the thread learned of it first
            raise stopping() from None
        raise
    finally:
        wanted.cancel()
        leaving.cancel()
