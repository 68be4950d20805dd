"""uvicorn's WebSocket, where it would keep a connection for ever or not say why it ends.

All on the event loop: a handshake that is too long is answered; whoever breaks the protocol (a
frame too large, text that is none) learns why before the connection goes; a client that does not
take what it is told is cut off once the stream is over; and little waits in the socket itself.
"""

import asyncio
import contextlib
import socket
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

ABNORMAL = 1006  # what an end without a close frame is called
QUIET_S = 2.0  # without anything more from a client that has been told why it is cut off
PARTING_S = 10.0  # for a client to take the last of what it is told
UNREAD_BYTES = 64 << 10  # a ping that waits behind megabytes of sound is taken for lost


class Protocol(WebSocketsSansIOProtocol):
    """One connection, from its handshake on."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._quiet: asyncio.TimerHandle | None = None  # until then it is read and thrown away

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with the handshake."""
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):  # it has gone, or is no socket
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self._quiet is not None:
            self._wait_for_quiet()
            return
        super().data_received(data)
        if not self.handshake_initiated and (answer := b"".join(self.conn.data_to_send())):
            self.transport.write(answer)
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        """Pass a message on, unless it came before the handshake's answer (RFC 6455, 4.1)."""
        if self.handshake_complete:
            super().send_receive_event_to_app()
        elif not self.disconnected:
            self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        """Say why it ends, and read on: closed at once, what is unread would reset it."""
        close = self.conn.close_sent
        code, reason = (ABNORMAL, "") if close is None else (close.code, close.reason)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if close is None:  # it was not open yet: there is no frame to say so
            self.transport.abort()
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.close_sent = True
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(PARTING_S, self.transport.abort)
        self._wait_for_quiet()

    def _wait_for_quiet(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = self.loop.call_later(QUIET_S, self.transport.close)

    async def run_asgi(self) -> None:
        """Serve the stream, then cut off what does not end by itself."""
        await super().run_asgi()
        self.loop.call_later(PARTING_S, self._give_up)

    def _give_up(self) -> None:
        if not self.disconnected:
            self.transport.abort()
