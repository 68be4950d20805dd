"""Run handlers that wait for the disk in a thread, so that the event loop never does.

Writers have threads of their own number: when they wait for the database, those who read (and
whoever is to be authenticated) don't wait behind them.

Litestar's own way (`sync_to_thread`) wraps a handler once more for every other method of its path,
and then answers with a coroutine (2.25: `AsyncCallable` is not seen to be asynchronous).
"""

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

P = ParamSpec("P")
T = TypeVar("T")
WRITERS, DECODERS, MICROPHONES = "writers", "decoders", "microphones"
TESTERS, MONITORS, LISTENERS, OUTLINES = "testers", "monitors", "listeners", "outlines"
# beside the 40 that AnyIO has for all others
THREADS = {WRITERS: 16, DECODERS: 4, MICROPHONES: 6, TESTERS: 16, MONITORS: 4, LISTENERS: 16}
THREADS |= {OUTLINES: 2}  # each has a file decoded for it
_limiters: RunVar[dict[str, CapacityLimiter]] = RunVar("limiters")


def threaded(handler: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Return the handler as one that runs in a thread of its own."""

    @functools.wraps(handler)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return await anyio.to_thread.run_sync(functools.partial(handler, *args, **kwargs))

    return run


def writing(handler: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Return a handler that writes to the database as one that runs in a thread for writers."""

    @functools.wraps(handler)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(WRITERS, functools.partial(handler, *args, **kwargs))

    return run


def recording(handler: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Return a handler that may wait for a microphone as one that runs in a thread for those."""

    @functools.wraps(handler)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(MICROPHONES, functools.partial(handler, *args, **kwargs))

    return run


def monitoring(handler: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Return a handler for monitors, whom uploads and searches never make wait."""

    @functools.wraps(handler)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(MONITORS, functools.partial(handler, *args, **kwargs))

    return run


async def in_thread(kind: str, work: Callable[[], T], abandon: bool = False) -> T:
    """Do work in one of the threads of a kind (a key of THREADS).

    `abandon`: whoever waits may give up, and the thread ends when it does.
    """
    limiters = _limiters.get({})
    if kind not in limiters:
        limiters[kind] = CapacityLimiter(THREADS[kind])
        _limiters.set(limiters)
    limiter = limiters[kind]
    return await anyio.to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=abandon)
