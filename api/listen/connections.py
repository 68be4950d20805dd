"""The sockets that are open: ended when their key is, and before the box stops."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from api.listen.connection import FAILED, REFUSED, Connection
from appliance.events import Event
from appliance.store import keys
from appliance.store.database import Database

STOPPING, REVOKED = "the box is stopping", "the key was revoked"
LAST_WORDS_S = 2.0  # for each to tell them when the box stops


class Connections:
    """Hold them. Made on the event loop, where everything but the bus calls it."""

    def __init__(self, database: Database) -> None:
        self._loop = asyncio.get_running_loop()
        self._open: dict[Connection, str] = {}  # the key behind each
        self._empty = asyncio.Event()
        self._empty.set()
        self._stopping = False
        database.bus.subscribe(self._hear)

    @contextlib.contextmanager
    def holding(self, connection: Connection, key_id: str) -> Iterator[None]:
        """Have a connection ended from now on when its key is, or when the box stops."""
        self._open[connection] = key_id
        self._empty.clear()
        if self._stopping:
            connection.end(FAILED, STOPPING, LAST_WORDS_S)
        try:
            yield
        finally:
            del self._open[connection]
            if not self._open:
                self._empty.set()

    async def stop(self, timeout_s: float) -> None:
        """End all of them, and wait until their clients know it."""
        self._stopping = True
        for connection in self._open:
            connection.end(FAILED, STOPPING, LAST_WORDS_S)
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            pass

    def _hear(self, event: Event) -> None:
        if event.name == keys.REVOKED:
            self._loop.call_soon_threadsafe(self._revoke, event.values)

    def _revoke(self, values: dict[str, Any]) -> None:
        for connection, key_id in self._open.items():
            if key_id == values["key_id"]:
                connection.end(REFUSED, REVOKED)
