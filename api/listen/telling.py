"""What one client of a live stream is told: each thing heard in its channel's words, in order.

A client that does not take a message within `SLOW_S` is given up, for what it is still to be told
would pile up.
"""

import asyncio
import contextlib
import json
import logging
from datetime import UTC, datetime
from typing import Any

from litestar import WebSocket

from api.listen import messages
from api.listen.channel import Channel
from api.listen.messages import Message, Model
from api.listen.options import Options
from appliance.listeners import Listeners
from appliance.listening import Heard, Listening
from engine.audio import SAMPLE_RATE
from engine.live_events import Final

log = logging.getLogger(__name__)
SLOW_S = 10.0  # for a client to take what it is told


class Gone(Exception):
    """The client is no longer there, or doesn't read."""


class Telling:
    """Write to the socket of one client."""

    def __init__(
        self,
        socket: WebSocket[Any, Any, Any],
        listeners: Listeners,
        options: Options,
        model: Model,
        request_id: str,
    ) -> None:
        self._socket, self._listeners = socket, listeners
        self._options, self._model, self._request_id = options, model, request_id
        self._channels: list[Channel] = []
        self._created = datetime.now(UTC)

    async def tell(self, heard: list[Heard], listening: Listening) -> None:
        """Tell what was heard; raise Gone if nobody takes it."""
        for number, told in heard:
            self._note_channels(listening.channels)
            if isinstance(told, Final) and told.ended:
                position_s = listening.position_s(number)
                self._listeners.note_final(position_s - told.end_sample / SAMPLE_RATE)
            await self.send(self._channels[number].tell(told, listening.language))

    async def finish(self, listening: Listening) -> None:
        """Tell what each channel still owes, then Metadata."""
        duration_s = listening.samples / SAMPLE_RATE
        if listening.samples:
            self._note_channels(listening.channels)
        for channel in self._channels:
            await self.send(channel.rest(duration_s))
        last = messages.metadata(
            request_id=self._request_id,
            created=self._created,
            duration_s=duration_s,
            channels=listening.channels,
            model=self._model if listening.samples else None,
            options=self._options,
        )
        await self.send([last])

    async def send(self, told: list[Message]) -> None:
        """Send messages as they are; raise Gone if nobody takes them."""
        for message in told:
            text = json.dumps(message, ensure_ascii=False)
            try:
                async with asyncio.timeout(SLOW_S):
                    await self._socket.send_text(text)
            except TimeoutError:
                log.warning("a live stream is cut: its client does not read")
                raise Gone from None
            except Exception:  # whatever the server calls a client that left
                raise Gone from None

    async def close(self, code: int, reason: str) -> None:
        """Close the socket, if there still is one."""
        with contextlib.suppress(Exception):  # it may be gone by now
            async with asyncio.timeout(SLOW_S):
                await self._socket.close(code=code, reason=reason)

    def _note_channels(self, count: int) -> None:
        """Have all channels that there are; of a container they are known with its first sound."""
        for number in range(len(self._channels), count):
            channel = Channel(number, count, self._options, self._model, self._request_id)
            self._channels.append(channel)
        for channel in self._channels:
            channel.channels = count
