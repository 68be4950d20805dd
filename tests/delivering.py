"""What tests of deliveries share: endpoints in a database, a deliverer that sends to loopback."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from sqlmodel import select

from appliance import networks
from appliance.store import accounts, endpoints, webhooks
from appliance.store.database import Database
from appliance.store.entities import Delivery
from appliance.webhook_secrets import WebhookSecrets
from scheduler.delivery import Deliverer
from scheduler.destinations import Destinations
from scheduler.sending import Outcome, Outgoing, Sender

EVENT = webhooks.SESSION_CREATED
SECRETS = WebhookSecrets(b"k" * 32)
LOOPBACK = networks.read("127.0.0.0/8, ::1")
WAIT_S = 60
RECEIVED = Outcome(200, None, 1)


def real_sender(**options: float) -> Sender:
    """Return a sender that may call this machine."""
    return Sender(Destinations(LOOPBACK, lambda address, port: False), **options)


class VirtualClock:
    """A clock that only a test moves; wall time and monotonic time go together."""

    def __init__(self) -> None:
        self.start = self.at = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return (self.at - self.start).total_seconds()

    def pass_s(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class FakeSender:
    """Answer as a function says; note what was sent. A test may hold answers back."""

    def __init__(self, answer: Callable[[Outgoing], Outcome] = lambda _: RECEIVED) -> None:
        self.answer = answer
        self.sent: list[Outgoing] = []
        self.closed = False
        self.arrived = threading.Semaphore(0)
        self._held: set[str] = set()

    def hold(self, *urls: str) -> None:
        """Let what goes to these wait until the test lets go."""
        self._held |= set(urls)

    def let_go(self, *urls: str) -> None:
        self._held -= set(urls)

    async def send(self, outgoing: Outgoing) -> Outcome:
        self.sent.append(outgoing)
        self.arrived.release()
        while outgoing.url in self._held:
            await asyncio.sleep(0.005)
        return self.answer(outgoing)

    async def close(self) -> None:
        self.closed = True

    def wait_for(self, count: int) -> None:
        """Wait until that many more have been sent."""
        for _ in range(count):
            assert self.arrived.acquire(timeout=WAIT_S), f"{len(self.sent)} were sent, no more"


def account_of(database: Database) -> int:
    """Make an account and return its number."""
    with database.write() as session:
        made = accounts.create(session, "alice")
        assert made.id is not None
        return made.id


def hooked(
    database: Database, account: int, *urls: str, secrets: WebhookSecrets = SECRETS
) -> list[int]:
    """Make endpoints and return their numbers."""
    with database.write() as session:
        rows = [
            endpoints.create(session, account, url, secrets.seal(secrets.new()), [EVENT])
            for url in urls
        ]
        return [row.id for row in rows if row.id is not None]


def tell_all(database: Database, account: int, count: int = 1) -> None:
    """Commit so many events, each to every endpoint, in one transaction."""
    with database.write() as session:
        for number in range(count):
            webhooks.enqueue(session, account, EVENT, b'{"number": %d}' % number)


def rows(database: Database, kind: type = Delivery) -> list:
    """Return all rows of a table."""
    with database.read() as session:
        return list(session.exec(select(kind)))


def until(holds: Callable[[], object], timeout_s: float = WAIT_S) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not so within {timeout_s} s"
        time.sleep(0.005)


@contextlib.contextmanager
def delivering(database: Database, sender: object, **options: object) -> Iterator[Deliverer]:
    """Deliver until the block ends."""
    deliverer = Deliverer(database, sender, SECRETS, **options).start()
    try:
        yield deliverer
    finally:
        deliverer.stop(timeout_s=0)
