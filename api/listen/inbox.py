"""What a client has sent and nobody has taken yet: sound and commands, in their order, bounded.

A client may send faster than it is heard, and after a broken connection will. So much is taken from
it at once; beyond that the socket is not read, and the client's own buffer waits.
"""

import asyncio
import json
from collections import deque
from typing import Any

LIMIT_BYTES = 32 << 20  # a quarter of an hour of linear16 at 16 kHz
MESSAGE_BYTES = 128  # what an empty one costs
AT_ONCE_BYTES = 64 << 10  # handed on together
PIECE_BYTES = 128 << 10  # of a longer message; longer than any packet of a codec
COMMAND_BYTES = 256  # a command sent as bytes is shorter than that
MAX_COMMAND = 64 << 10

Command = dict[str, Any]


class Inbox:
    """Filled by who reads the socket, emptied by who listens; on one event loop."""

    def __init__(self, woken: asyncio.Event) -> None:
        self._woken, self._room = woken, asyncio.Event()
        self._items: deque[bytes | Command] = deque()
        self._bytes = 0
        self.closed = False  # nothing more will come: the client is gone
        self._room.set()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, message: Any) -> None:
        """Take a message of the socket, if it is one that means something."""
        item = item_of(message)
        if item is None:
            return
        for piece in pieces(item):
            self._items.append(piece)
            self._bytes += weight(piece)
        if self._bytes >= LIMIT_BYTES:
            self._room.clear()
        self._woken.set()

    async def room(self) -> None:
        """Wait until there is room for another message."""
        await self._room.wait()

    def close(self) -> None:
        """Nothing more will come."""
        self.closed = True
        self._woken.set()

    def take(self) -> list[bytes] | Command | None:
        """Return the sound up to the next command, or that command, or None."""
        if not self._items:
            return None
        first = self._items[0]
        if isinstance(first, dict):
            self._leave()
            return first
        sound: list[bytes] = []
        taken = 0
        while self._items and isinstance(self._items[0], bytes) and taken < AT_ONCE_BYTES:
            chunk = self._leave()
            assert isinstance(chunk, bytes)
            sound.append(chunk)
            taken += weight(chunk)
        return sound

    def _leave(self) -> Any:
        item = self._items.popleft()
        self._bytes -= weight(item)
        if self._bytes < LIMIT_BYTES:
            self._room.set()
        return item


def weight(item: bytes | Command) -> int:
    """Return how much of the limit a message takes."""
    return MESSAGE_BYTES + (len(item) if isinstance(item, bytes) else 0)


def pieces(item: bytes | Command) -> list[bytes] | list[Command]:
    """Return a message in parts, none of which becomes more sound than may wait."""
    if isinstance(item, dict):
        return [item]
    return [item[at : at + PIECE_BYTES] for at in range(0, len(item), PIECE_BYTES)]


def item_of(message: Any) -> bytes | Command | None:
    """Return sound, or a command; None for text that is no command, which is passed over.

    No bytes at all are how older clients say CloseStream.
    """
    data, text = message.get("bytes"), message.get("text")
    if data is None:
        return command_of(text or "")
    if not data:
        return {"type": "CloseStream"}
    if len(data) < COMMAND_BYTES and data.lstrip()[:7] in (b'{"type"', b"{'type'"):
        return command_of(data.decode("utf-8", "replace"))
    return bytes(data)


def command_of(text: str) -> Command | None:
    """Return the object that a text is, None if it is none with a type."""
    if len(text) > MAX_COMMAND:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("type"), str) else None
