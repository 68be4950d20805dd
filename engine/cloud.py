"""Deepgram's cloud over HTTP: where it is, and one request to it, with all the care that takes.

What comes back is a stranger's: a limited part of it is read, none of it is followed, unpacked,
logged or put into an error, for it may repeat the API key. Proxies and certificates of the
environment count.
"""

import asyncio
import contextlib
import functools
import logging
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import httpx

from engine.errors import CloudUnreachable

# Refused before they are sent: the library's own complaint would show the header, and so the key.
UNSENDABLE = "can't be asked: the API key has characters that no key has"
REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "did not answer within {deadline_s:g} s"),
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

    def unreachable(self, failure: str) -> CloudUnreachable:
        """Return the error with what to do about it."""
        return CloudUnreachable(
            f"Deepgram at {self.host} {failure}. Check the network and SCRIBEBOX_DEEPGRAM_URL, "
            "or try again later."
        )

    def check_key(self) -> None:
        """Raise CloudUnreachable if the key can't be sent."""
        if not graphic(self.api_key):
            raise CloudUnreachable(f"Deepgram {UNSENDABLE}; check SCRIBEBOX_DEEPGRAM_API_KEY.")


@dataclass(frozen=True, slots=True)
class Post:
    """A request: its target below the cloud's address, what it carries, how much may come back."""

    target: str
    content: bytes
    media_type: str
    deadline_s: float  # for messages; `post` is told when that is
    limit_bytes: int


async def post(cloud: Cloud, asked: Post, ends: float) -> tuple[int, bytes] | str:
    """Return status and body of one request, or why there is no answer by `ends` (loop time).

    The body is read with status 200 only, and is empty if it is packed or too large. Nothing is
    raised: an exception would take the library's along, which may quote a header.
    """
    headers = {
        "Authorization": f"Token {cloud.api_key}",
        "Accept-Encoding": "identity",
        "Content-Type": asked.media_type,
    }
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
                f"{cloud.url.rstrip('/')}{asked.target}",
                headers=headers,
                content=asked.content,
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
                        if len(body) > asked.limit_bytes:
                            return answer.status_code, b""
            return answer.status_code, bytes(body)
    # ValueError and ImportError: a proxy in the environment that httpx can't use
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ImportError) as error:
        return reason(error, asked.deadline_s)


@functools.cache
def trusted() -> ssl.SSLContext:
    """Return the certificates to trust; reading them takes 25 ms, so once."""
    return httpx.create_ssl_context()


def reason(error: BaseException, deadline_s: float) -> str:
    """Return in our words what went wrong below httpx."""
    cause: BaseException | None = error
    while cause is not None:
        for kind, words in REASONS:
            if isinstance(cause, kind):
                return words.format(deadline_s=deadline_s)
        cause = cause.__cause__ or cause.__context__
    return f"can't be reached ({type(error).__name__})"


def graphic(text: str) -> bool:
    """Tell whether it is one or more ASCII characters that leave ink, as a header's word is."""
    return text != "" and all("!" <= character <= "~" for character in text)
