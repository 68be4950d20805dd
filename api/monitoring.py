"""Threads of their own for what monitors ask: uploads and searches never make them wait."""

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

P = ParamSpec("P")
T = TypeVar("T")
THREADS = 4
_limiter: RunVar[CapacityLimiter] = RunVar("monitoring")


def monitoring(handler: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Return the handler as one that runs in a thread for monitors."""

    @functools.wraps(handler)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            limiter = _limiter.get()
        except LookupError:
            limiter = CapacityLimiter(THREADS)
            _limiter.set(limiter)
        work = functools.partial(handler, *args, **kwargs)
        return await anyio.to_thread.run_sync(work, limiter=limiter)

    return run
