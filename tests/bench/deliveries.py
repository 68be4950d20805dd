"""How fast deliveries go, what that does to the server's event loop, and what the rows cost.

    python tests/bench/deliveries.py [DELIVERIES] [ENDPOINTS]

First a box with so many pending deliveries to so many endpoints, one in flight each, the receivers
in another process, its own event loop watched; then 20 receivers that never answer beside 20
healthy ones; then the questions that are asked of the database, with 100,000 old deliveries in it.
"""

import asyncio
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import receiver
import uvicorn
from delivering import (
    LOOPBACK,
    WAIT_S,
    account_of,
    delivering,
    hooked,
    real_sender,
    tell_all,
    until,
)
from sqlalchemy import text

from api import app
from api.server import configuration
from appliance.secret import WEBHOOK_SECRETS, load
from appliance.settings import Settings
from appliance.store import deliveries, outbox
from appliance.store.database import Database
from appliance.store.entities import DeliveryState, now
from appliance.webhook_secrets import WebhookSecrets

WANTED_PER_S, ALLOWED_DELAY_S, ALLOWED_P95_S = 150, 0.050, 2.0
TICK_S = 0.005
OLD, PENDING = 100_000, 10_000
ROUNDS = 8
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@contextmanager
def empty():
    """Yield a new database with an account."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "scribebox.db")
        yield database, account_of(database)
        database.close()


def p(values: list[float], percent: int) -> float:
    """Return a percentile."""
    return statistics.quantiles(values, n=100)[percent - 1]


async def ticks(late: list[float], done: Callable[[], bool]) -> None:
    """Note by how much an event loop is late, every few milliseconds until it is over."""
    while not done():
        wanted = time.perf_counter() + TICK_S
        await asyncio.sleep(TICK_S)
        late.append(max(time.perf_counter() - wanted, 0.0))


async def serve(settings: Settings, count: int) -> tuple[float, list[float]]:
    """Run the box until all is delivered; return the seconds, and how late its own loop was."""
    application = app.create(settings, "http://127.0.0.1:1")
    server = uvicorn.Server(configuration(application, settings))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(TICK_S)
        started, late = time.monotonic(), list[float]()
        deliverer = application.state.deliverer
        before = deliverer.stats().delivered
        await ticks(late, lambda: deliverer.stats().delivered >= count)
        elapsed_s = time.monotonic() - started
        server.should_exit = True
        await serving
    return elapsed_s * count / (count - before), late


def throughput(count: int, endpoints: int) -> bool:
    """Start a box with so much that waits, and see how long it takes."""
    with tempfile.TemporaryDirectory() as name, receiver.receiving() as there:
        folder = Path(name)
        settings = Settings(data_dir=folder, model="absent", webhook_allow=LOOPBACK)
        database = Database(folder / "scribebox.db")
        secrets = WebhookSecrets(load(folder / "secret").key(WEBHOOK_SECRETS))
        account = account_of(database)
        urls = [there.url(f"/ok/{n}") for n in range(endpoints)]
        hooked(database, account, *urls, secrets=secrets)
        tell_all(database, account, count // endpoints)
        spent_s = time.process_time()
        elapsed_s, late = asyncio.run(serve(settings, count))
        spent_s = time.process_time() - spent_s
        with database.read() as session:
            standing = deliveries.standing(session)
        database.close()
        arrived = there.count()
    per_s = count / elapsed_s
    print(f"load of the machine {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    print(f"{count} deliveries to {endpoints} endpoints: {per_s:.0f} a second, "
          f"{1000 * spent_s / count:.2f} ms of CPU each; {arrived} arrived")  # fmt: skip
    print(f"the server's event loop late by: p50 {1e3 * statistics.median(late):.1f} ms, "
          f"p99 {1e3 * p(late, 99):.1f} ms, most {1e3 * max(late):.1f} ms")  # fmt: skip
    whole = arrived == count and (standing.pending, standing.retrying, standing.dead) == (0, 0, 0)
    return whole and per_s >= WANTED_PER_S and p(late, 99) < ALLOWED_DELAY_S


def dead_and_healthy() -> bool:
    """Tell 20 endpoints that never answer and 20 that do, and see when these get theirs."""
    with ExitStack() as stack:
        database, account = stack.enter_context(empty())
        there = stack.enter_context(receiver.receiving())
        urls = [there.url(f"/{mood}/{n}") for mood in ("never", "ok") for n in range(20)]
        hooked(database, account, *urls)
        deliverer = stack.enter_context(delivering(database, real_sender()))
        taken: list[float] = []
        for number in range(1, ROUNDS + 1):
            told = time.time()
            tell_all(database, account)
            until(lambda number=number: deliverer.stats().delivered >= 20 * number, WAIT_S)
            paths = [one.path for one in there.received()]
            last = dict(zip(paths, there.arrivals(), strict=False))
            taken += [at - told for path, at in last.items() if path.startswith("/ok/")]
            time.sleep(2)
        lanes = {str(lane): count for lane, count in deliverer.stats().in_flight.items()}
    print(f"20 dead and 20 healthy: p50 {1e3 * statistics.median(taken):.0f} ms, "
          f"p95 {1e3 * p(taken, 95):.0f} ms, most {1e3 * max(taken):.0f} ms; {lanes}")  # fmt: skip
    return p(taken, 95) < ALLOWED_P95_S


def questions() -> None:
    """Time what is asked of a database with many old deliveries, and print how it is answered."""
    with empty() as (database, account):
        hooked(database, account, *(f"http://10.0.0.{n}/" for n in range(50)))
        for count, state in ((OLD, "delivered"), (PENDING, "pending")):
            tell_all(database, account, count // 50)
            with database.write() as session:
                session.connection().execute(
                    text("UPDATE delivery SET state = :state, tries = 1, finished_at = :at"
                         " WHERE state = 'pending' AND :state = 'delivered'"),
                    {"state": state, "at": now()},
                )  # fmt: skip
                session.connection().exec_driver_sql(
                    "INSERT INTO attempt (delivery_id, status, ms, created_at)"
                    " SELECT id, 200, 9, created_at FROM delivery WHERE state = 'delivered'"
                    " AND id NOT IN (SELECT delivery_id FROM attempt)"
                )
        with database.read() as session:
            asked = {
                "is_any_due": lambda: outbox.is_any_due(session, now()),
                "standing": lambda: deliveries.standing(session),
                "page": lambda: deliveries.page(session, account),
                "page of dead": lambda: deliveries.page(session, account, DeliveryState.DEAD),
                "page of pending": lambda: deliveries.page(session, account, DeliveryState.PENDING),
                "page of one endpoint": lambda: deliveries.page(session, account, endpoint=7),
                "page 500 further": lambda: deliveries.page(session, account, offset=50_000),
                "page since now": lambda: deliveries.page(session, account, since=now()),
                "page since 1970": lambda: deliveries.page(session, account, since=LONG_AGO),
            }
            for name, question in asked.items():
                print(f"{name}: {1e3 * best_s(question):.1f} ms")
            bounds = {"now": now(), "lease": now(), "latest": now(), "fewest": 0, "most": 2}
            plan = text(f"EXPLAIN QUERY PLAN {outbox.DUE.text}")
            for *_, step in session.connection().execute(plan, bounds):
                print(f"    {step}")

        def claim() -> None:
            with database.write() as session:
                outbox.due(session, now(), set(), 8, False)
                session.rollback()

        print(f"due, 8 claims: {1e3 * best_s(claim):.1f} ms")


def best_s(call: Callable[[], object]) -> float:
    """Return the median of some calls in seconds."""
    taken = []
    for _ in range(9):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> int:
    """Measure and print."""
    count, endpoints = (*map(int, sys.argv[1:]), *(10_000, 50)[len(sys.argv) - 1 :])
    if count == 0:
        return questions() or 0
    fast, fair = throughput(count, endpoints), dead_and_healthy()
    questions()
    return 0 if fast and fair else 1


if __name__ == "__main__":
    sys.exit(main())
