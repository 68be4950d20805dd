"""Usage and limits over HTTP when the ledger of an account is long.

    python tests/bench/usage_at_scale.py [LINES=1000000]

Fills a data folder of its own (dictations at random moments of the last 24 months, so that nearly
every quarter of an hour has some), starts the real server on one core, asks from another, and
prints what each kind of request takes. Ends with 1 if a sum is wrong, or if the p95 of any kind is
50 ms or more.
"""

import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from running_box import running
from sessions_at_scale import pin

from api.usage import PATH
from appliance import periods
from appliance.data_folder import DataFolder
from appliance.store import accounts, usage
from appliance.store.database import Database
from appliance.store.entities import UsageEvent, UsageQuarter

SEED = 1879
ALLOWED_P95_MS = 50
REQUESTS, WARM_UP = 200, 10
PER_TRANSACTION = 20_000
MONTHS, ZONE = 24, "America/New_York"
KINDS = {
    f"usage, {MONTHS} months": (PATH, {"months": MONTHS}),
    "usage, this month": (PATH, {}),
    "usage, 92 days": (f"{PATH}/daily", {"days": 92}),
    "check-limit": (f"{PATH}/check-limit", {}),
    "check-limit, elsewhere": (f"{PATH}/check-limit", {"timezone": "Asia/Kathmandu"}),
}


def fill(database: Database, number: int) -> None:
    """Write so many dictations, oldest first, and what they add up to by quarter of an hour."""
    choose, until = random.Random(SEED), datetime.now(UTC)
    begin = periods.last_months(periods.zone_of(ZONE), until, MONTHS)[-1].start
    span_s = (until - begin).total_seconds()
    seconds = sorted(choose.uniform(0, span_s) for _ in range(number))
    with database.write() as session:
        account = accounts.change(session, accounts.DEFAULT, plan="hobby", timezone=ZONE)
        account_id = account.id
    quarters: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for start in range(0, number, PER_TRANSACTION):
        lines = []
        for second in seconds[start : start + PER_TRANSACTION]:
            words = choose.randint(1, 120)
            audio_ms, cost_micros = words * 400, words * 29
            at = begin + timedelta(seconds=second)
            sums = quarters[usage.quarter_of(at)]
            for place, amount in enumerate((1, words, audio_ms, cost_micros)):
                sums[place] += amount
            lines.append(
                {"account_id": account_id, "kind": usage.DICTATION, "words": words,
                 "audio_ms": audio_ms, "cost_micros": cost_micros, "created_at": at}
            )  # fmt: skip
        with database.write() as session:
            session.connection().execute(insert(UsageEvent), lines)
        print(f"\r{start + len(lines)} of {number} lines written", end="", file=sys.stderr)
    print(file=sys.stderr)
    rows = [
        {"account_id": account_id, "kind": usage.DICTATION, "quarter": quarter, "events": events,
         "words": words, "audio_ms": audio_ms, "cost_micros": cost_micros}
        for quarter, (events, words, audio_ms, cost_micros) in quarters.items()
    ]  # fmt: skip
    with database.write() as session:
        session.connection().execute(insert(UsageQuarter), rows)
    print(f"{len(rows)} of {int(span_s) // usage.QUARTER_S} quarters of an hour have some")


def ask(client: httpx.Client, path: str, query: dict[str, Any]) -> tuple[float, Any]:
    """Make a request; return its milliseconds and its answer."""
    at = time.perf_counter()
    answer = client.get(path, params=query)
    ms = (time.perf_counter() - at) * 1000
    if answer.status_code != 200:
        sys.exit(f"{answer.request.url}: {answer.status_code} {answer.text}")
    return ms, answer.json()


def measured(client: httpx.Client) -> dict[str, list[float]]:
    """Return milliseconds of each kind, asked in a mixed order."""
    order = [kind for kind in KINDS for _ in range(REQUESTS)]
    random.Random(SEED).shuffle(order)
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for kind in [*KINDS] * WARM_UP:
        ask(client, *KINDS[kind])
    for kind in order:
        taken[kind].append(ask(client, *KINDS[kind])[0])
    return taken


def report(taken: dict[str, list[float]]) -> bool:
    """Print a line for each kind; tell whether all are fast enough."""
    print(f"{'':24} {'count':>6} {'p50':>8} {'p95':>8} {'max':>8}  ms")
    slow = []
    for kind, ms in taken.items():
        p50, p95 = np.percentile(ms, [50, 95])
        print(f"{kind:24} {len(ms):6} {p50:8.1f} {p95:8.1f} {max(ms):8.1f}")
        if p95 >= ALLOWED_P95_MS:
            slow.append(kind)
    print(f"p95 of {ALLOWED_P95_MS} ms or more: {'; '.join(slow) or 'none'}")
    return not slow


def main() -> int:
    """Fill, ask, print the figures."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = DataFolder(Path(name))
        start = ("--port", "0", "--data", name)
        with running(*start, SCRIBEBOX_MODEL="absent") as box:  # makes the account and the key
            assert box.url
            box.stop()
        began, database = time.monotonic(), Database(folder.database)
        fill(database, number)
        database.close()
        size = sum(path.stat().st_size for path in folder.path.glob(folder.database.name + "*"))
        took_s = time.monotonic() - began
        print(f"{number} lines, {size / (1 << 20):.0f} MiB, written in {took_s:.0f} s")
        headers = {"Authorization": f"Bearer {folder.admin_key.read_text().strip()}"}
        with running(*start, SCRIBEBOX_MODEL="absent") as box:
            url, cores = box.url, sorted(os.sched_getaffinity(0))
            pin(box.process.pid, cores[0])
            pin(os.getpid(), cores[-1])
            print(f"server on core {cores[0]}, client on core {cores[-1]}")
            with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
                months = ask(client, PATH, {"months": MONTHS})[1]["months"]
                counted = sum(month["dictationCount"] for month in months)
                if counted != number:
                    print(f"{counted} of {number} dictations are counted")
                good = report(measured(client)) and counted == number
            box.stop()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
