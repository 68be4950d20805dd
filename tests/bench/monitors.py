"""What monitors cost: /health and /metrics on a full box, and counting at every request.

    python tests/bench/monitors.py [ROWS=100000]

Fills a data folder of its own with so many sessions (with a note of 2 kB each) and as many
deliveries to 100 endpoints, 1,000 of them dead of late, starts the real server, asks both routes,
alone and while eight others list sessions, and prints what that takes. Then it passes requests
through the app in this process with the counter around it and without. Ends with 1 if the p95 of
either route, alone, is 100 ms or more.
"""

import asyncio
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from litestar import Litestar, get
from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from running_box import running

from api.metrics import Metrics
from api.request_metrics import Counted
from appliance.box import open_store
from appliance.settings import Settings
from appliance.store import accounts
from appliance.store.database import Database
from appliance.store.entities import (
    Attempt,
    Delivery,
    DeliveryState,
    Message,
    SessionRow,
    SessionState,
    Source,
    Webhook,
)

ALLOWED_P95_MS = 100
ENDPOINTS, DEAD, PER_TRANSACTION = 100, 1000, 10_000
REQUESTS, OTHERS, PASSES, ROUNDS = 100, 8, 5000, 7


def fill(database: Database, rows: int) -> None:
    """Write what a busy year leaves."""
    began = datetime.now(UTC) - timedelta(days=1)
    with database.write() as session:
        owner = accounts.create(session, "busy").id
        for number in range(ENDPOINTS):
            url = f"http://192.0.2.1/{number}"
            session.add(Webhook(account_id=owner, url=url, events=[], secret=b"x", enabled=False))
        session.add(Message(account_id=owner, event="session.created", body=b"{}"))
    for start in range(0, rows, PER_TRANSACTION):
        numbers = range(start, min(start + PER_TRANSACTION, rows))
        with database.write() as session:
            common = {"account_id": owner, "state": SessionState.DONE, "source": Source.UPLOAD}
            made = [{**common, "note": "word " * 400, "created_at": began} for _ in numbers]
            session.connection().execute(insert(SessionRow), made)
            session.connection().execute(insert(Delivery), [delivery(n, began) for n in numbers])
            tries = [{"delivery_id": f"msg_{n:026}", "status": 200, "ms": 9} for n in numbers]
            session.connection().execute(insert(Attempt), tries)


def delivery(number: int, at: datetime) -> dict[str, Any]:
    """Return the row of one delivery."""
    return {
        "id": f"msg_{number:026}",
        "webhook_id": number % ENDPOINTS + 1,
        "message_id": 1,
        "state": DeliveryState.DEAD if number < DEAD else DeliveryState.DELIVERED,
        "tries": 1,
        "due_at": at,
        "created_at": at,
        "finished_at": at,
    }


def timed(client: httpx.Client, path: str) -> list[float]:
    """Return how many milliseconds each of some requests took, in order."""
    took = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        answer = client.get(path)
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    return sorted(took)


@contextmanager
def others(url: str, headers: dict[str, str]) -> Iterator[None]:
    """List sessions from some threads meanwhile."""
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
            while not over.is_set():
                client.get("/api/v1/audioscribe/sessions/?perPage=100")

    threads = [threading.Thread(target=ask) for _ in range(OTHERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def show(what: str, took: list[float]) -> float:
    """Print a line and return the p95."""
    p95 = took[int(len(took) * 0.95) - 1]
    print(f"{what:40} p50 {statistics.median(took):6.1f} ms   p95 {p95:6.1f} ms")
    return p95


def counting() -> None:
    """Print what a request costs with the counter and without."""

    @get("/ping/{number:int}", sync_to_thread=False)
    def ping(number: int) -> dict[str, int]:
        return {"number": number}

    plain = Litestar([ping], openapi_config=None)
    counted = Counted(plain, Metrics().requests)
    path = "/ping/7"
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": b"", "scheme": "http", "http_version": "1.1", "headers": [],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "asgi": {"version": "3.0"},
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Any) -> None:
        pass

    async def passes(app: Any) -> float:
        began = time.perf_counter()
        for _ in range(PASSES):
            await app(dict(scope), receive, send)
        return (time.perf_counter() - began) / PASSES * 1e6

    rounds = [[asyncio.run(passes(app)) for app in (plain, counted)] for _ in range(ROUNDS)]
    without, with_counter = (min(each) for each in zip(*rounds, strict=True))
    print(
        f"a request through the app: {without:.0f} us ({1e6 / without:,.0f} a second), counted "
        f"{with_counter:.0f} us ({1e6 / with_counter:,.0f} a second)"
    )


def main() -> int:
    """Fill, ask, print."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder, database, _ = open_store(Settings(data_dir=name))
        fill(database, rows)
        database.close()
        print(f"{rows} sessions and deliveries, {folder.database.stat().st_size // 10**6} MB")
        with running("--port", "0", "--data", name, SCRIBEBOX_MODEL="absent") as box:
            url, key = box.url, folder.admin_key.read_text().strip()
            headers = {"Authorization": f"Bearer {key}"}
            with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
                worst = max(show(path, timed(client, path)) for path in ("/health", "/metrics"))
                with others(url, headers):
                    for path in ("/health", "/metrics"):
                        show(f"{path}, {OTHERS} others list sessions", timed(client, path))
                print(f"{len(client.get('/metrics').content)} bytes of metrics")
            box.stop()
    counting()
    return 1 if worst >= ALLOWED_P95_MS else 0


if __name__ == "__main__":
    sys.exit(main())
