"""Look names up without an event loop waiting for it, and without a lookup that hangs in the way.

Guarantee: each lookup has a daemon thread of its own, so one that hangs delays neither another
nor the end of the process. Nothing is remembered: an answer is for one connection.
"""

import asyncio
import contextlib
import ipaddress
import itertools
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from appliance.networks import Address

MAX_HANGING = 256  # threads: twice what may be in flight, as a lookup may outlive its delivery
LookUp = Callable[..., list[Any]]  # like socket.getaddrinfo


class LookupFailed(Exception):
    """The name stands for nothing, or nobody could tell."""


class Resolver:
    """Turn names into addresses; usable from any event loop."""

    def __init__(self, look_up: LookUp = socket.getaddrinfo) -> None:
        self._look_up = look_up
        self._free = threading.BoundedSemaphore(MAX_HANGING)

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Return all addresses of a host, IPv6 and IPv4 in turn; raise LookupFailed without any."""
        address = numeric(host)
        if address is not None:
            return [address]
        if not self._free.acquire(blocking=False):
            raise LookupFailed("too many lookups hang")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Any]] = loop.create_future()
        arguments = (host, port, loop, answer)
        try:
            threading.Thread(target=self._run, args=arguments, name="lookup", daemon=True).start()
        except RuntimeError:
            self._free.release()
            raise LookupFailed("no room for a thread") from None
        return in_turn(await answer)

    def _run(
        self,
        host: str,
        port: int,
        loop: asyncio.AbstractEventLoop,
        answer: "asyncio.Future[list[Any]]",
    ) -> None:
        def settle(found: list[Any] | None) -> None:
            if answer.done():  # given up meanwhile
                return
            if found:
                answer.set_result(found)
            else:
                answer.set_exception(LookupFailed("no address"))

        try:
            found = self._look_up(host.encode("ascii"), port, type=socket.SOCK_STREAM)
        except (OSError, ValueError):  # ValueError: what Python itself refuses in a name
            found = None
        finally:
            self._free.release()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, found)


def numeric(host: str) -> Address | None:
    """Return what a host is in any notation of the C library (0x7f.1, too); None for a name."""
    try:
        found = socket.getaddrinfo(
            host.encode("ascii"), 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except (OSError, ValueError):
        return None
    return read(found[0])


def read(entry: Any) -> Address:
    """Return the address in an entry of getaddrinfo, without its zone."""
    return ipaddress.ip_address(entry[4][0].partition("%")[0])


def in_turn(entries: Iterable[Any]) -> list[Address]:
    """Return each address once, the families in turn: neither has to fail for the other's sake."""
    found = list(dict.fromkeys(read(entry) for entry in entries))
    first = [address for address in found if address.version == found[0].version]
    second = [address for address in found if address.version != found[0].version]
    pairs = itertools.zip_longest(first, second)
    return [address for pair in pairs for address in pair if address is not None]
