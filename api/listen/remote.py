"""Fetch the file that a body of `POST /v1/listen` names by its url, from hosts of the settings.

Guarantee: as with webhooks, a name is looked up once, everything it stands for is judged, and what
is connected to is one of those addresses (`scheduler.pinning`). No redirect is followed, nothing of
the url or of what its host says stands in an answer or a log.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import urlsplit

import httpcore
import msgspec

from api.listen.refusals import Refusal, remote_content, too_large, undecodable
from appliance.errors import Refused
from appliance.networks import Network
from scheduler import target
from scheduler.destinations import Destinations, Own
from scheduler.pinning import PinnedNetwork, Unsent
from scheduler.resolving import Resolver
from scheduler.sending import trusted_authorities
from scheduler.target import Target

CONNECT_S, STALL_S, DEADLINE_S = 5.0, 30.0, 600.0
ENDLESS = 1 << 62  # bytes; how many are kept is counted where they are written


class Named(msgspec.Struct):
    """The body that Deepgram's clients send instead of sound."""

    url: str


class Remote:
    """Fetch files for clients, from those hosts."""

    def __init__(
        self,
        hosts: tuple[str, ...],
        own: Own,
        limit_bytes: int,
        resolver: Resolver | None = None,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._destinations = Destinations(addresses_among(self._hosts), own)
        self._limit_bytes, self._resolver = limit_bytes, resolver or Resolver()
        self._trusted = trusted

    def named(self, body: bytes) -> Target:
        """Return what a body names; raise a Refusal if it names nothing, or nothing allowed."""
        try:
            url = msgspec.json.decode(body, type=Named).url
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise undecodable() from None
        if not self._hosts:
            raise remote_content()
        try:
            where = target.read(url)
        except Refused as error:
            raise wrong(f"Not a url to fetch from: {error}.") from None
        host = where.host.rstrip(".").lower()
        spelt = f"[{host}]" if ":" in host else host
        if not {spelt, f"{spelt}:{where.port}"} & self._hosts:
            raise wrong(f"This box fetches nothing from {host[:100]}; see listen_url_hosts.")
        return where

    async def chunks(self, where: Target) -> AsyncIterator[bytes]:
        """Yield the file as it comes; raise a Refusal that says what is the matter with it."""
        network = PinnedNetwork(self._destinations, self._resolver, CONNECT_S, ENDLESS)
        clock = asyncio.get_running_loop().time
        ends_at = clock() + DEADLINE_S  # no timeout spans a yield: it would end whoever writes
        try:
            async with asyncio.timeout(STALL_S):
                answer = await self._ask(network, where)
            self._check(answer)
            stream = answer.aiter_stream()
            async with aclosing(stream):  # type: ignore[type-var]
                while True:
                    async with asyncio.timeout_at(min(clock() + STALL_S, ends_at)):
                        chunk = await anext(stream, None)
                    if chunk is None:
                        return
                    yield chunk
        except TimeoutError:
            raise wrong("The host of the url did not answer in time.") from None
        except Unsent as failure:
            raise wrong(f"The url can't be fetched: {failure.error}.") from None
        except (httpcore.RemoteProtocolError, httpcore.NetworkError):
            raise wrong("The url can't be fetched: its answer broke off.") from None
        finally:
            network.close()

    async def _ask(self, network: PinnedNetwork, where: Target) -> httpcore.Response:
        url = httpcore.URL(
            scheme=where.scheme.encode(),
            host=where.host.encode(),
            port=where.port,
            target=where.path,
        )
        if where.scheme == "https" and self._trusted is None:
            self._trusted = await asyncio.to_thread(trusted_authorities)
        connection = httpcore.AsyncHTTPConnection(
            origin=url.origin, ssl_context=self._trusted, network_backend=network
        )
        headers = [
            (b"Host", where.netloc),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"identity"),
            (b"Connection", b"close"),
        ]
        sni = {"sni_hostname": where.host.rstrip(".")}
        return await connection.handle_async_request(
            httpcore.Request("GET", url, headers=headers, extensions=sni)
        )

    def _check(self, answer: httpcore.Response) -> None:
        """Refuse what is no file, or is known to be too large."""
        if answer.status != 200:
            raise wrong(f"The host of the url answered {answer.status} where 200 was expected.")
        told: dict[bytes, Any] = {name.lower(): value for name, value in answer.headers}
        with suppress(ValueError):
            if int(told.get(b"content-length", b"0")) > self._limit_bytes:
                raise too_large(f"The file has more than {self._limit_bytes} bytes.")


def wrong(message: str) -> Refusal:
    """Refuse an address in Deepgram's words."""
    return Refusal(400, "REMOTE_CONTENT_ERROR", message)


def addresses_among(hosts: frozenset[str]) -> tuple[Network, ...]:
    """Return the addresses that stand in the settings as such: the owner has judged them."""
    found = []
    for parts in (urlsplit(f"//{host}") for host in hosts):
        with suppress(ValueError):  # a name
            found.append(Network(ipaddress.ip_network(parts.hostname or ""), parts.port))
    return tuple(found)
