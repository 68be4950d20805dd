"""Deepgram's cloud: ask it for a token with which a client opens its own socket there.

`POST /v1/auth/grant`, as Deepgram's OpenAPI description of 2026-07 has it. What comes back is a
stranger's: at most 64 KiB of it are read, none of it is followed, unpacked, logged or put into an
error, for it may repeat the API key. Proxies and certificates of the environment count.
"""

import asyncio
import contextlib
import functools
import json
import logging
import math
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import httpx

from engine.errors import CloudRefused, CloudUnreachable

DEADLINE_S = 5.0
FIRST_TRY_S = 2.5
LONGEST_S = 3600  # that a token of Deepgram lasts
ANSWER_LIMIT_BYTES = 64 << 10
TOKEN_LIMIT_BYTES = 16 << 10
# Refused before they are sent: the library's own complaint would show the header, and so the key.
UNSENDABLE = "can't be asked: the API key has characters that no key has"
WHAT_TO_DO = {
    400: "did not accept the API key; check SCRIBEBOX_DEEPGRAM_API_KEY",  # seen for a wrong key
    401: "did not accept the API key; check SCRIBEBOX_DEEPGRAM_API_KEY",
    402: "has no credit left for the project of this API key; add some in its console",
    403: "gives no tokens to this API key, whose role is below Member; make a key of that role "
    "and set SCRIBEBOX_DEEPGRAM_API_KEY",
    404: "has no token grant at this address; check SCRIBEBOX_DEEPGRAM_URL",
    429: "had too many requests; try again later",
}
REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, f"did not answer within {DEADLINE_S:g} s"),
    (socket.gaierror, "can't be found: no address is known for this name"),
    (ssl.SSLError, "can't be trusted: TLS failed, perhaps for its certificate or the clock here"),
    (ConnectionRefusedError, "refused the connection"),
)

for _name in ("httpx", "httpcore"):  # they log addresses at INFO and headers at DEBUG
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where Deepgram is, such as https://api.deepgram.com, and the key that pays for it."""

    url: str
    api_key: str = field(repr=False)

    @property
    def listen_url(self) -> str:
        """Return where its WebSocket is."""
        parts = urlsplit(self.url)
        scheme = "ws" if parts.scheme == "http" else "wss"
        return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/v1/listen"

    @property
    def host(self) -> str:
        """Return the name and port for messages."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Grant:
    """A token, opaque to all but Deepgram. It must live when a socket opens, not longer."""

    token: str = field(repr=False)
    expires_in_s: float


async def grant(cloud: Cloud, ttl_seconds: int = 30) -> Grant:
    """Return a token, within 5 s; raise CloudRefused or CloudUnreachable.

    Asks a second time if there was no connection, a 5xx or no whole answer within 2.5 s.
    """
    if not graphic(cloud.api_key):
        raise CloudUnreachable(f"Deepgram {UNSENDABLE}; check SCRIBEBOX_DEEPGRAM_API_KEY.")
    start = asyncio.get_running_loop().time()
    failure = ""
    for ends in (start + FIRST_TRY_S, start + DEADLINE_S):
        answer = await ask(cloud, ttl_seconds, ends)
        if isinstance(answer, str):
            failure = answer
            continue
        status, body = answer
        if status < 500:
            return granted(cloud, status, body, ttl_seconds)
        failure = f"is in trouble itself: it answered {status}"
    raise unreachable(cloud, failure)


async def ask(cloud: Cloud, ttl_seconds: int, ends: float) -> tuple[int, bytes] | str:
    """Return status and body of one request, or why there is no answer by `ends` (loop time).

    Nothing is raised: an exception would take the library's along, which may quote a header.
    """
    headers = {"Authorization": f"Token {cloud.api_key}", "Accept-Encoding": "identity"}
    body = bytearray()
    sockets = contextlib.AsyncExitStack()

    async def note(event: str, told: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            sockets.push_async_callback(told["return_value"].aclose)

    try:
        async with (
            sockets,  # httpcore leaves one open that is given up amid the TLS handshake
            asyncio.timeout_at(ends),  # httpx has none for the whole: DNS, TLS and a slow body
            httpx.AsyncClient(verify=trusted(), timeout=None) as client,
            client.stream(
                "POST",
                f"{cloud.url.rstrip('/')}/v1/auth/grant",
                headers=headers,
                json={"ttl_seconds": ttl_seconds},
                extensions={"trace": note},
            ) as answer,
        ):
            if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
                return answer.status_code, b""
            if answer.status_code == httpx.codes.OK:
                chunks = cast(AsyncGenerator[bytes, None], answer.aiter_raw())
                async with contextlib.aclosing(chunks):
                    async for chunk in chunks:
                        body += chunk
                        if len(body) > ANSWER_LIMIT_BYTES:
                            return answer.status_code, b""
            return answer.status_code, bytes(body)
    # ValueError and ImportError: a proxy in the environment that httpx can't use
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ImportError) as error:
        return reason(error)


@functools.cache
def trusted() -> ssl.SSLContext:
    """Return the certificates to trust; reading them takes 25 ms, so once."""
    return httpx.create_ssl_context()


def reason(error: BaseException) -> str:
    """Return in our words what went wrong below httpx."""
    cause: BaseException | None = error
    while cause is not None:
        for kind, words in REASONS:
            if isinstance(cause, kind):
                return words
        cause = cause.__cause__ or cause.__context__
    return f"can't be reached ({type(error).__name__})"


def granted(cloud: Cloud, status: int, body: bytes, ttl_seconds: int) -> Grant:
    """Return what the answer grants; raise what it amounts to otherwise."""
    if 400 <= status < 500:
        said = WHAT_TO_DO.get(status, "refused a token; check the API key and its project")
        raise CloudRefused(f"Deepgram answered {status}: it {said}.", status)
    if status != httpx.codes.OK:
        raise unreachable(cloud, f"answered {status}, which is no grant")
    found = read(body, ttl_seconds)
    if found is None:
        raise unreachable(cloud, f"answered {status}, but without a token that can be used")
    return found


def read(body: bytes, ttl_seconds: int) -> Grant | None:
    """Return the grant that the JSON holds, None if it holds none."""
    try:
        said = json.loads(body.decode())
        expires_in = said.get("expires_in") if isinstance(said, dict) else None
        if expires_in is not None and type(expires_in) not in (int, float):
            return None
        expires_in_s = float(ttl_seconds if expires_in is None else expires_in)
    except (ValueError, RecursionError, OverflowError):
        return None
    token = said.get("access_token") if isinstance(said, dict) else None
    if not isinstance(token, str) or not graphic(token) or len(token) > TOKEN_LIMIT_BYTES:
        return None
    if not (math.isfinite(expires_in_s) and 1 <= expires_in_s <= LONGEST_S):
        return None
    return Grant(token, expires_in_s)


def graphic(text: str) -> bool:
    """Tell whether it is one or more ASCII characters that leave ink, as a header's word is."""
    return text != "" and all("!" <= character <= "~" for character in text)


def unreachable(cloud: Cloud, failure: str) -> CloudUnreachable:
    """Return the error with what to do about it."""
    return CloudUnreachable(
        f"Deepgram at {cloud.host} {failure}. Check the network and SCRIBEBOX_DEEPGRAM_URL, "
        "or try again later."
    )
