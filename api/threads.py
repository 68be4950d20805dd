"""Run handlers that wait for the disk in a thread, so that the event loop never does.

Litestar's own way (`sync_to_thread`) wraps a handler once more for every other method of its path,
and then answers with a coroutine (2.25: `AsyncCallable` is not seen to be asynchronous).
"""

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import anyio.to_thread

P = ParamSpec("P")
T = TypeVar("T")


def threaded(handler: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Return the handler as one that runs in a thread of its own."""

    @functools.wraps(handler)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return await anyio.to_thread.run_sync(functools.partial(handler, *args, **kwargs))

    return run
