"""The network under a webhook's request: it connects to addresses that were judged, and no other.

Guarantee: a name is looked up once for a connection; unless every address it has is permitted,
none is connected to; what is connected to is one of those very addresses. No more than 64 KiB is
taken from the socket for an answer, unless more is asked for. One `PinnedNetwork` serves one
request and is then closed.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import httpcore

from appliance.networks import Address
from scheduler.destinations import Destinations
from scheduler.resolving import LookupFailed, Resolver

T = TypeVar("T")
ANSWER_BYTES = 64 * 1024
HANDSHAKE_BYTES = 256 * 1024  # certificates can be long
PIECE_BYTES = 16 * 1024
MAX_ADDRESSES = 4  # that are tried, however many a name has

for _name in ("httpx", "httpcore"):  # they log addresses at INFO and headers at DEBUG
    logging.getLogger(_name).setLevel(logging.WARNING)


class Unsent(Exception):
    """The request can't be sent, or its answer not be read; `error` is the class of failure."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class AnswerTooLong(Exception):
    """There is more of the answer than anyone reads."""


class PinnedNetwork(httpcore.AsyncNetworkBackend):
    """Connect for one request, to where it may go."""

    def __init__(
        self,
        destinations: Destinations,
        resolver: Resolver,
        connect_s: float,
        answer_bytes: int = ANSWER_BYTES,
    ) -> None:
        self._destinations = destinations
        self._resolver = resolver
        self._connect_s, self._answer_bytes = connect_s, answer_bytes
        self.looking_up = False
        self.stream: PinnedStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Look a host up, judge all it stands for, connect to one of them."""
        self.looking_up = True
        try:
            addresses = await self._resolver.addresses(host, port)
        except LookupFailed:
            raise Unsent("dns") from None
        self.looking_up = False
        if not all(self._destinations.permitted(address, port) for address in addresses):
            raise Unsent("forbidden destination")
        ends_at = asyncio.get_running_loop().time() + self._connect_s
        connected = await first_to_connect(addresses[:MAX_ADDRESSES], port, ends_at)
        self.stream = PinnedStream(connected, ends_at, self._answer_bytes)
        return self.stream

    def close(self) -> None:
        """Drop the connection, if there is one."""
        if self.stream is not None:
            self.stream.close()


async def first_to_connect(addresses: list[Address], port: int, ends_at: float) -> socket.socket:
    """Return a socket connected to one of them; each has an equal share of the time left."""
    loop = asyncio.get_running_loop()
    error = "unreachable"
    for tried, address in enumerate(addresses):
        share_s = (ends_at - loop.time()) / (len(addresses) - tried)
        try:
            async with asyncio.timeout(share_s):
                return await connect(address, port)
        except ConnectionRefusedError:
            error = "refused"
        except TimeoutError:  # of ours, or the kernel's
            error = "timeout"
        except OSError:
            error = "unreachable"
    raise Unsent(error)


async def connect(address: Address, port: int) -> socket.socket:
    """Return a socket that is connected to exactly this."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connecting, (str(address), port))
    except BaseException:
        connecting.close()
        raise
    return connecting


class PinnedStream(httpcore.AsyncNetworkStream):
    """Bytes to and from the other end, by TLS once that has been started."""

    def __init__(self, connected: socket.socket, ends_at: float, answer_bytes: int) -> None:
        self._socket = connected
        self._loop = asyncio.get_running_loop()
        self._ends_at = ends_at  # of connecting, to which the handshake belongs
        self._tls: ssl.SSLObject | None = None
        self._from_peer, self._to_peer = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._left = self._answer_bytes = answer_bytes
        self.ended = False
        """The other end has closed."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return some bytes, none at the end."""
        try:
            if self._tls is None:
                taken = await self._take(max_bytes)
            else:
                taken = await self._by_tls(self._tls.read, max_bytes)
        except ssl.SSLEOFError:  # many close without TLS's word of farewell
            taken = b""
        except ssl.SSLError:
            raise Unsent("tls") from None
        self.ended = not taken
        return taken

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        try:
            if self._tls is None:
                await self._loop.sock_sendall(self._socket, buffer)
            else:
                await self._by_tls(self._tls.write, buffer)
        except (OSError, Unsent):  # its answer may have come already: httpcore goes on to read
            raise httpcore.WriteError from None

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Shake hands, in what is left of the time to connect."""
        self._left = HANDSHAKE_BYTES
        try:
            async with asyncio.timeout_at(self._ends_at):
                self._tls = ssl_context.wrap_bio(
                    self._from_peer, self._to_peer, server_hostname=server_hostname
                )
                await self._by_tls(self._tls.do_handshake)
        except TimeoutError:
            raise Unsent("timeout") from None
        except (OSError, ValueError, AnswerTooLong):  # ssl.SSLError is an OSError
            raise Unsent("tls") from None
        self._left = self._answer_bytes
        return self

    async def aclose(self) -> None:
        """Close at once; what was not read is dropped."""
        self.close()

    def close(self) -> None:
        """Do the same outside a coroutine, as often as one likes."""
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks for: which protocol TLS agreed on."""
        return self._tls if info == "ssl_object" else None

    async def _take(self, max_bytes: int) -> bytes:
        wanted = min(max_bytes, PIECE_BYTES, self._left)
        if wanted == 0:
            raise AnswerTooLong
        try:
            taken = await self._loop.sock_recv(self._socket, wanted)
        except OSError:
            raise Unsent("reset") from None
        self._left -= len(taken)
        return taken

    async def _by_tls(self, step: Callable[..., T], *arguments: Any) -> T:
        """Do a step of TLS, with as much to and fro as it needs."""
        while True:
            try:
                done = step(*arguments)
            except ssl.SSLWantReadError:
                await self._flush()
                if taken := await self._take(PIECE_BYTES):
                    self._from_peer.write(taken)
                else:
                    self._from_peer.write_eof()
            except ssl.SSLError:
                with contextlib.suppress(Unsent):
                    await self._flush()  # the alert that tells the other end why
                raise
            else:
                await self._flush()
                return done

    async def _flush(self) -> None:
        if self._to_peer.pending:
            try:
                await self._loop.sock_sendall(self._socket, self._to_peer.read())
            except OSError:
                raise Unsent("reset") from None
