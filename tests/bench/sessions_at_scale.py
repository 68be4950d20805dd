"""Listing, reading and searching sessions over HTTP when there are many of them.

    python tests/bench/sessions_at_scale.py [SESSIONS=100000]

Fills a data folder of its own (10 segments of about 15 words a session, two accounts), starts the
real server on one core, asks from another, and prints what each kind of request takes. Ends with
1 if the p95 of any kind is 25 ms or more.
"""

import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from sqlalchemy import func, insert
from sqlmodel import select

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from running_box import running

from api.sessions import PATH, PER_PAGE
from appliance.data_folder import DataFolder
from appliance.store import accounts, search
from appliance.store.database import Database
from appliance.store.entities import SegmentRow, SessionRow, SessionState, Source

SEED = 1879
ALLOWED_P95_MS = 25
REQUESTS, WARM_UP = 200, 10
PER_TRANSACTION = 1000
SEGMENTS, WORDS = 10, (10, 20)  # of a session; of a segment, from and to
VOCABULARY, COMMON, RARE = 30_000, 50, 100  # words; how many count as common and as rare
WEEKLY, EVERY_WEEKLY, EVERY_OTHER = "weekly", 7, 10
MS_PER_WORD = 400
SYLLABLES = [
    c + v
    for c in [
        "b",
        "d",
        "f",
        "g",
        "h",
        "k",
        "l",
        "m",
        "n",
        "p",
        "r",
        "s",
        "t",
        "v",
        "w",
        "z",
        "ch",
        "sh",
        "st",
    ]
    for v in "aeiou"
]
MISS = "xqzzy"  # no syllable begins like that
Kinds = dict[str, Callable[[], tuple[str, dict[str, Any]]]]


class Speech:
    """Made-up speech: the words of a language, the common ones said by far more often."""

    def __init__(self) -> None:
        choose = random.Random(SEED)
        words: dict[str, None] = {}
        while len(words) < VOCABULARY:
            words["".join(choose.choices(SYLLABLES, k=choose.randint(1, 4)))] = None
        self.words = list(words)  # the most common first
        self._rng = np.random.default_rng(SEED)
        share = 1 / np.arange(1, VOCABULARY + 1)
        self._bounds = np.cumsum(share / share.sum())
        self._bounds[-1] = 1.0
        self.said: Counter[str] = Counter()

    def sessions(self, number: int) -> list[list[list[str]]]:
        """Return so many sessions, each as segments of words."""
        lengths = self._rng.integers(WORDS[0], WORDS[1] + 1, (number, SEGMENTS))
        ranks = np.searchsorted(self._bounds, self._rng.random(lengths.sum()), side="right")
        words = [self.words[rank] for rank in ranks.tolist()]
        self.said.update(words)
        left = iter(words)
        return [[[next(left) for _ in range(n)] for n in row] for row in lengths.tolist()]


class Filled:
    """What the database was filled with, as far as it is asked for again."""

    def __init__(self) -> None:
        self.ids: list[int] = []  # of the account that asks
        self.phrases: list[str] = []


def fill(database: Database, speech: Speech, number: int) -> Filled:
    """Write so many finished sessions, one in ten of them somebody else's."""
    with database.write() as session:
        mine = accounts.named(session, accounts.DEFAULT).id
        other = accounts.create(session, "other").id
        first = (session.exec(select(func.max(SessionRow.id))).one() or 0) + 1
    assert mine is not None and other is not None
    filled, began = Filled(), datetime(2024, 1, 1, tzinfo=UTC)
    for start in range(0, number, PER_TRANSACTION):
        rows: list[dict[str, Any]] = []
        parts: list[dict[str, Any]] = []
        count = min(PER_TRANSACTION, number - start)
        for index, said in enumerate(speech.sessions(count), start):
            session_id, at = first + index, began + timedelta(minutes=7 * index)
            account_id = other if index % EVERY_OTHER == EVERY_OTHER - 1 else mine
            rows.append(session_row(session_id, account_id, at, index, said))
            parts += segment_rows(session_id, said)
            if account_id == mine:
                filled.ids.append(session_id)
                filled.phrases.append(" ".join(said[index % SEGMENTS][2:5]))
        with database.write() as session:
            connection = session.connection()
            connection.execute(insert(SessionRow), rows)
            connection.execute(insert(SegmentRow), parts)
        print(f"\r{start + count} of {number} sessions written", end="", file=sys.stderr)
    print(file=sys.stderr)
    return filled


def session_row(
    session_id: int, account_id: int, at: datetime, index: int, said: list[list[str]]
) -> dict[str, Any]:
    """Return a finished session."""
    text = " ".join(word for segment in said for word in segment)
    tags = WEEKLY if index % EVERY_WEEKLY == 0 else ""
    seconds = len(text.split()) * MS_PER_WORD / 1000
    return {
        "id": session_id,
        "account_id": account_id,
        "state": SessionState.DONE,
        "title": " ".join(said[0][:8]),
        "note": text,
        "original_transcript": text,
        "tags": tags,
        "labels": search.labels_of(account_id, tags),
        "language": "en",
        "source": Source.UPLOAD,
        "engine": "whisper-tiny.en",
        "captured_seconds": seconds,
        "elapsed_seconds": seconds / 10,
        "created_at": at,
        "finished_at": at + timedelta(seconds=seconds),
    }


def segment_rows(session_id: int, said: list[list[str]]) -> Iterator[dict[str, Any]]:
    """Yield the segments of a session, every word with its times and probability."""
    at = 0
    for sequence, segment in enumerate(said):
        start, words = at, []
        for word in segment:
            words.append([word, at, at + MS_PER_WORD, 0.5 + len(word) / 32])
            at += MS_PER_WORD
        yield {
            "session_id": session_id,
            "sequence": sequence,
            "start_ms": start,
            "end_ms": at,
            "text": " ".join(segment),
            "words": words,
            "engine": "whisper-tiny.en",
            "confidence": 0.75,
        }


def kinds(speech: Speech, filled: Filled, choose: random.Random) -> Kinds:
    """Return the kinds of requests, each as what makes one: path and parameters."""
    last = (len(filled.ids) - 1) // PER_PAGE
    common = speech.words[:COMMON]
    rare = [word for word, _ in speech.said.most_common()[-RARE:]]

    def listed(**query: Callable[[], Any]) -> Callable[[], tuple[str, dict[str, Any]]]:
        return lambda: (f"{PATH}/", {name: value() for name, value in query.items()})

    return {
        "list, first page": listed(),
        "list, middle page": listed(page=lambda: last // 2),
        "list, last page": listed(page=lambda: last),
        "get one": lambda: (f"{PATH}/{choose.choice(filled.ids)}/", {}),
        "q: rare word": listed(q=lambda: choose.choice(rare)),
        "q: common word": listed(q=lambda: choose.choice(common)),
        "q: two common words": listed(q=lambda: " ".join(choose.sample(common, 2))),
        "q: phrase": listed(q=lambda: f'"{choose.choice(filled.phrases)}"'),
        "q: miss": listed(q=lambda: MISS),
        "q: two letters": listed(q=lambda: choose.choice(speech.words)[:2]),
        "tag": listed(tag=lambda: WEEKLY),
        "tag and word": listed(tag=lambda: WEEKLY, q=lambda: choose.choice(common)),
    }


def pin(process_id: int, core: int) -> None:
    """Keep all threads of a process, and so those they start, on one core."""
    for task in os.listdir(f"/proc/{process_id}/task"):
        os.sched_setaffinity(int(task), {core})


def ask(client: httpx.Client, path: str, query: dict[str, Any]) -> tuple[float, int]:
    """Make a request; return its milliseconds and how many sessions there are, as it says."""
    at = time.perf_counter()
    answer = client.get(path, params=query)
    ms = (time.perf_counter() - at) * 1000
    if answer.status_code != 200:
        sys.exit(f"{answer.request.url}: {answer.status_code} {answer.text}")
    return ms, int(answer.headers.get("X-Total-Count", 1))


def measured(client: httpx.Client, asked: Kinds, choose: random.Random) -> dict[str, Any]:
    """Return milliseconds and totals of each kind, asked in a mixed order."""
    for make in asked.values():
        for _ in range(WARM_UP):
            ask(client, *make())
    order = [kind for kind in asked for _ in range(REQUESTS)]
    choose.shuffle(order)
    taken: dict[str, Any] = {kind: [] for kind in asked}
    for kind in order:
        taken[kind].append(ask(client, *asked[kind]()))
    return taken


def report(taken: dict[str, Any]) -> bool:
    """Print a line for each kind; tell whether all are fast enough."""
    print(f"{'':20} {'count':>6} {'found':>7} {'p50':>8} {'p95':>8} {'max':>8}  ms")
    slow = []
    for kind, pairs in taken.items():
        ms, totals = zip(*pairs, strict=True)
        p50, p95 = np.percentile(ms, [50, 95])
        found = int(np.median(totals))
        print(f"{kind:20} {len(ms):6} {found:7} {p50:8.1f} {p95:8.1f} {max(ms):8.1f}")
        if p95 >= ALLOWED_P95_MS:
            slow.append(kind)
    print(f"p95 of {ALLOWED_P95_MS} ms or more: {'; '.join(slow) or 'none'}")
    return not slow


def main() -> int:
    """Fill, ask, print the figures."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = DataFolder(Path(name))
        start = ("--port", "0", "--data", name)
        with running(*start, SCRIBEBOX_MODEL="absent") as box:  # makes the account and the key
            assert box.url
            box.stop()
        speech, began = Speech(), time.monotonic()
        database = Database(folder.database)
        filled = fill(database, speech, number)
        database.close()
        size = sum(path.stat().st_size for path in folder.path.glob(folder.database.name + "*"))
        print(
            f"{number} sessions, {len(filled.ids)} of them of the account that asks, "
            f"{size / (1 << 20):.0f} MiB, written in {time.monotonic() - began:.0f} s"
        )
        key = folder.admin_key.read_text().strip()
        choose = random.Random(SEED)
        with running(*start, SCRIBEBOX_MODEL="absent") as box:
            url, cores = box.url, sorted(os.sched_getaffinity(0))
            pin(box.process.pid, cores[0])
            pin(os.getpid(), cores[-1])
            print(f"server on core {cores[0]}, client on core {cores[-1]}")
            headers = {"Authorization": f"Bearer {key}"}
            with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
                good = report(measured(client, kinds(speech, filled, choose), choose))
            box.stop()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
