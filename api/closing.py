"""That the box is about to stop: requests that wait for something end by themselves then."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Closing:
    """Made on the event loop; begun from anywhere."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun = asyncio.Event()

    def begin(self) -> None:
        """Wake whoever waits."""
        self._loop.call_soon_threadsafe(self._begun.set)

    async def before(self, waiting: Coroutine[Any, Any, Any]) -> bool:
        """Wait for something; return False if the box begins to stop before that."""
        tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(self._begun.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                tasks[0].result()  # or what went wrong
            return tasks[0].done()
        finally:
            for task in tasks:
                task.cancel()
