"""Send one webhook and tell what came of it: a status, a class of failure, how long it took.

Nothing of the answer but its status and Retry-After is kept, and neither the URL nor a word of the
answer is in an outcome or a log. The deadline is over everything: name lookup, connection, TLS and
the whole answer, as far as it is read.
"""

import asyncio
import contextlib
import logging
import re
import ssl
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import certifi
import httpcore

from appliance.errors import Refused
from scheduler import target
from scheduler.destinations import Destinations
from scheduler.pinning import AnswerTooLong, PinnedNetwork, Unsent
from scheduler.resolving import Resolver
from scheduler.target import Target

log = logging.getLogger(__name__)

ERRORS = (
    "bad url",
    "forbidden destination",
    "dns",  # the name stands for nothing, or the lookup took all the time there is
    "refused",
    "unreachable",
    "tls",
    "timeout",
    "reset",  # closed or reset before the answer was complete
    "bad answer",  # no HTTP, or a head without end
    "redirect",
    "failed",  # a fault of this box
)
MAX_RETRY_AFTER_S = 86400.0
SECONDS = re.compile(r"(-?)0*([0-9]{1,9})[0-9]*")  # nine digits are more than a day as it is


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to send; its repr shows nothing of it."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. A status that is no redirect is no error, whether or not it is a failure."""

    status: int | None
    error: str | None  # one of ERRORS
    ms: int
    retry_after_s: float | None = None  # 0 to a day, if the other end named a time

    @property
    def received(self) -> bool:
        """Tell whether the receiver took it: a status 2xx and a whole answer."""
        return self.error is None and self.status is not None and 200 <= self.status < 300


class Sender:
    """Send, on whatever event loop asks; it holds no connection between two requests."""

    def __init__(
        self,
        destinations: Destinations,
        deadline_s: float = 15.0,
        connect_s: float = 5.0,
        resolver: Resolver | None = None,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        self._destinations = destinations
        self._deadline_s, self._connect_s = deadline_s, connect_s
        self._resolver = resolver or Resolver()
        self._trusted = trusted

    async def send(self, outgoing: Outgoing) -> Outcome:
        """Send it once; raise nothing but CancelledError."""
        started = time.monotonic()
        exchange = Exchange()
        error = await self._attempt(outgoing, exchange)
        if error is None and exchange.status is not None and 300 <= exchange.status < 400:
            error = "redirect"
        ms = round((time.monotonic() - started) * 1000)
        return Outcome(exchange.status, error, ms, exchange.retry_after_s)

    async def close(self) -> None:
        """End; there is nothing to wait for."""

    async def _attempt(self, outgoing: Outgoing, exchange: "Exchange") -> str | None:
        """Return the class of failure, None for an answer."""
        network = PinnedNetwork(self._destinations, self._resolver, self._connect_s)
        try:
            where = target.read(outgoing.url)
            async with asyncio.timeout(self._deadline_s):
                trusted = self._authorities() if where.scheme == "https" else None
                await exchange.carry_out(network, where, outgoing, trusted)
        except Refused:
            return "bad url"
        except TimeoutError:
            return "dns" if network.looking_up else "timeout"
        except Unsent as failure:
            return failure.error
        except (httpcore.RemoteProtocolError, AnswerTooLong):
            closed = network.stream is not None and network.stream.ended
            return "reset" if closed else "bad answer"
        except Exception as fault:
            log.error("a webhook could not be sent: %s", type(fault).__name__)
            return "failed"
        finally:
            network.close()
        return None

    def _authorities(self) -> ssl.SSLContext:
        """Return who is trusted, read at the first need: it takes up to 100 ms."""
        if self._trusted is None:
            self._trusted = trusted_authorities()
        return self._trusted


class Exchange:
    """One request and its answer; what is known of it stays when it breaks off."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.retry_after_s: float | None = None

    async def carry_out(
        self,
        network: PinnedNetwork,
        where: Target,
        outgoing: Outgoing,
        trusted: ssl.SSLContext | None,
    ) -> None:
        """Send, read the head of the answer and, if that is 2xx, what follows it."""
        url = httpcore.URL(
            scheme=where.scheme.encode(),
            host=where.host.encode(),
            port=where.port,
            target=where.path,
        )
        connection = httpcore.AsyncHTTPConnection(
            origin=url.origin, ssl_context=trusted, network_backend=network
        )
        answer = await connection.handle_async_request(
            httpcore.Request(
                "POST",
                url,
                headers=[
                    (b"Host", where.netloc),
                    *((name.encode(), value.encode()) for name, value in outgoing.headers.items()),
                    (b"Accept", b"*/*"),
                    (b"Connection", b"close"),
                    (b"Content-Length", b"%d" % len(outgoing.body)),
                ],
                content=outgoing.body,
                extensions={"sni_hostname": where.host.rstrip(".")},
            )
        )
        self.status = answer.status
        for name, value in answer.headers:
            if name.lower() == b"retry-after":
                self.retry_after_s = retry_after_s(value.decode("latin-1"), datetime.now(UTC))
        if 200 <= answer.status < 300:
            with contextlib.suppress(AnswerTooLong):  # after so much the status alone decides
                async for _ in answer.aiter_stream():
                    pass


def retry_after_s(value: str, now: datetime) -> float | None:
    """Return what a Retry-After asks for, at most a day; None if it makes no sense."""
    text = value.strip()
    if number := SECONDS.fullmatch(text):
        seconds = float(number[1] + number[2])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError, IndexError, TypeError):
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def trusted_authorities() -> ssl.SSLContext:
    """Return a context that trusts the machine's own authorities and the public ones of certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
