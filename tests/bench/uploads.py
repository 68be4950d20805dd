"""What large uploads cost the server: its memory, and the patience of everybody else.

    python tests/bench/uploads.py [MIB=1024]

Sends one file raw and once again as a form, and prints by how much the server's resident memory
rises above what it was before the first. Then lists sessions while another process sends four
files at once. Ends with 1 if a rise is 64 MiB or more, or the p95 of listing 50 ms or more.
"""

import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from running_box import RunningBox, running

from api.sessions import PATH
from appliance.data_folder import DataFolder
from appliance.store import accounts, sessions
from appliance.store.database import Database
from appliance.store.entities import Source
from engine.transcript import Segment

MIB = 1 << 20
CHUNK_BYTES = 1 << 18
ALLOWED_RISE_MIB, ALLOWED_P95_MS = 64, 50
SAMPLE_S, ASK_S = 0.05, 0.02
AT_ONCE, FINISHED, BASELINE = 4, 50, 250  # uploads; sessions in the list; requests
TEXT = "it was agreed that nobody would say at this meeting what had been said at the last one "
LATER_S = 1800


class Highest:
    """The highest resident memory of a process while the block runs."""

    def __init__(self, process_id: int) -> None:
        self._process = psutil.Process(process_id)
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self.bytes = 0

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_S):
            self.bytes = max(self.bytes, self._process.memory_info().rss)

    def __enter__(self) -> "Highest":
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watcher.join()


def noise(size: int) -> Iterator[bytes]:
    """Yield random bytes, a chunk at a time."""
    rng = np.random.default_rng()
    for start in range(0, size, CHUNK_BYTES):
        yield rng.bytes(min(CHUNK_BYTES, size - start))


def client_of(url: str, key: str) -> httpx.Client:
    """Return a client that is in no hurry."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=url, headers=headers, timeout=LATER_S)


def send_raw(url: str, key: str, size: int) -> int:
    """Send noise as the body, of no announced length; return the status."""
    with client_of(url, key) as client:
        return client.post(f"{PATH}/", content=noise(size)).status_code


def send_form(url: str, key: str, path: Path) -> int:
    """Send a file as a part of a form; return the status."""
    with client_of(url, key) as client, path.open("rb") as file:
        return client.post(f"{PATH}/", files={"file": file}).status_code


def send_at_once(url: str, key: str, size: int) -> list[int]:
    """Send some files at the same time; return their statuses."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sent = [pool.submit(send_raw, url, key, size) for _ in range(AT_ONCE)]
        return [one.result() for one in sent]


def accepted(*statuses: int) -> None:
    """End unless every upload was."""
    if set(statuses) != {202}:
        sys.exit(f"uploads were answered with {statuses}, not with 202")


def finish_some(database: Database) -> None:
    """Put finished sessions into the list."""
    with database.write() as session:
        account_id = accounts.named(session, accounts.DEFAULT).id
        assert account_id is not None
        for number in range(FINISHED):
            row = sessions.open_one(session, account_id, Source.UPLOAD)
            assert row.id is not None
            text = TEXT * 10
            segment = Segment(0, 60_000, text, (), "whisper-tiny.en", 0.9)
            sessions.add_segments(session, row.id, [segment])
            sessions.finish(
                session,
                row,
                title=f"Meeting {number}",
                note=text,
                original_transcript=text,
                language="en",
                engine="whisper-tiny.en",
                captured_seconds=60.0,
                elapsed_seconds=6.0,
            )


def memory(box: RunningBox, mib: int, sending: dict[str, Callable[[], int]]) -> bool:
    """Print what each way of sending does to the memory; tell whether it is little."""
    before, good = psutil.Process(box.process.pid).memory_info().rss, True
    print(f"memory before: {before / MIB:.0f} MiB")
    for kind, send in sending.items():
        with Highest(box.process.pid) as highest:
            at = time.perf_counter()
            accepted(send())
            seconds = time.perf_counter() - at
        rise = (highest.bytes - before) / MIB
        good = good and rise < ALLOWED_RISE_MIB
        print(f"{mib} MiB {kind:10} {mib / seconds:6.0f} MiB/s, memory rises by {rise:.1f} MiB")
    return good


def listing(client: httpx.Client, enough: Callable[[int], bool]) -> list[float]:
    """List sessions again and again; return the milliseconds."""
    taken: list[float] = []
    while not enough(len(taken)):
        at = time.perf_counter()
        client.get(f"{PATH}/").raise_for_status()
        taken.append((time.perf_counter() - at) * 1000)
        time.sleep(max(ASK_S - taken[-1] / 1000, 0))
    return taken


def report(kind: str, ms: list[float]) -> bool:
    """Print a line; tell whether it is fast enough."""
    p50, p95 = np.percentile(ms, [50, 95])
    print(f"{kind:20} {len(ms):6} {p50:8.1f} {p95:8.1f} {max(ms):8.1f}")
    return bool(p95 < ALLOWED_P95_MS)


def patience(url: str, key: str, mib: int) -> bool:
    """Print what listing takes without and with uploads; tell whether it is fast enough."""
    print(f"{'listing':20} {'count':>6} {'p50':>8} {'p95':>8} {'max':>8}  ms")
    spawn = multiprocessing.get_context("spawn")
    with client_of(url, key) as client, ProcessPoolExecutor(1, spawn) as others:
        others.submit(os.getpid).result()  # it is there, and has imported everything
        listing(client, lambda asked: asked == 10)
        good = report("alone", listing(client, lambda asked: asked == BASELINE))
        size, at = mib * MIB // AT_ONCE, time.perf_counter()
        sent: Future[list[int]] = others.submit(send_at_once, url, key, size)
        ended_s: list[float] = []
        sent.add_done_callback(lambda _: ended_s.append(time.perf_counter() - at))
        during = listing(client, lambda asked: sent.done() and asked > 0)
        accepted(*sent.result())
    good = report(f"with {AT_ONCE} uploads", during) and good
    print(f"{AT_ONCE} uploads of {size / MIB:g} MiB at once: {mib / ended_s[0]:.0f} MiB/s together")
    return good


def main() -> int:
    """Send, list, print the figures."""
    mib = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    with tempfile.TemporaryDirectory() as name:
        folder = DataFolder(Path(name) / "box")
        start = ("--port", "0", "--data", str(folder.path))
        with running(*start, SCRIBEBOX_MODEL="absent") as box:  # makes the account and the key
            assert box.url
            box.stop()
        database = Database(folder.database)
        finish_some(database)
        database.close()
        key = folder.admin_key.read_text().strip()
        sparse = Path(name) / "sparse"
        with sparse.open("wb") as file:
            file.truncate(mib * MIB)
        limit = str((mib + 1) * MIB)
        with running(*start, SCRIBEBOX_MODEL="absent", SCRIBEBOX_UPLOAD_LIMIT_BYTES=limit) as box:
            url = box.url
            with client_of(url, key) as client:
                listing(client, lambda asked: asked == 10)
            sending = {
                "raw": lambda: send_raw(url, key, mib * MIB),
                "as a form": lambda: send_form(url, key, sparse),
            }
            little = memory(box, mib, sending)
            fast = patience(url, key, mib)
            box.stop()
    return 0 if little and fast else 1


if __name__ == "__main__":
    sys.exit(main())
