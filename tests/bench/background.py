"""What goes on beside a measurement: uploads being transcribed, memory, and who else is at work."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
import psutil

from api.sessions import PATH

MIB = 1 << 20
ALLOWED_RISE_MIB, MINUTE_S = 30, 60
VISITORS = Path(__file__).with_name("visitors.py")
ASK_S, WAIT_S, LATER_S = 1.0, 60, 1800
OPEN = ("queued", "running")
PARTS = ("RssAnon", "RssFile", "RssShmem")


def client_of(url: str, key: str) -> httpx.Client:
    """Return a client that is in no hurry."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=url, headers=headers, timeout=LATER_S, trust_env=False)


class Uploading:
    """Keep so many uploads with the box while the block runs: when one has ended, send the next.

    The box transcribes one at a time; the others wait in its queue.
    """

    def __init__(self, url: str, key: str, path: Path, at_once: int) -> None:
        self.done, self.failures = 0, list[str]()
        self._url, self._key, self._path = url, key, path
        self._over = threading.Event()
        self._jobs: dict[int, str] = {}
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(at_once)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        deadline = time.monotonic() + WAIT_S
        while "running" not in self._jobs.values():
            assert time.monotonic() < deadline and not self.failures, f"no upload: {self.failures}"
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(WAIT_S)

    def _run(self, number: int) -> None:
        try:
            with client_of(self._url, self._key) as client:
                while not self._over.is_set():
                    self._one(client, number)
        except Exception as error:
            self.failures.append(f"{type(error).__name__}: {error}")

    def _one(self, client: httpx.Client, number: int) -> None:
        """Send a file and wait until its job has ended; cancel it if the block ends before."""
        with self._path.open("rb") as file:
            sent = client.post(f"{PATH}/", content=file).raise_for_status().json()
        job = {"state": "queued"}
        while job["state"] in OPEN and not self._over.wait(ASK_S):
            job = client.get(sent["statusUrl"]).raise_for_status().json()
            self._jobs[number] = job["state"]
        if job["state"] in OPEN:
            client.post(f"{sent['statusUrl']}/cancel")
        elif job["state"] == "done":
            self.done += 1
        else:
            self.failures.append(f"job {job['state']}: {job['error']}")


@dataclass(frozen=True, slots=True)
class Footprint:
    """The resident memory of a process at a moment, in bytes, and what it is."""

    at: float  # monotonic, in seconds
    parts: tuple[int, ...]  # as PARTS

    @property
    def bytes(self) -> int:
        """Return all of it."""
        return sum(self.parts)


def footprint(process_id: int) -> Footprint:
    """Return what is resident of a process now."""
    told = dict(
        line.split(":", 1) for line in Path(f"/proc/{process_id}/status").read_text().splitlines()
    )
    return Footprint(time.monotonic(), tuple(int(told[part].split()[0]) << 10 for part in PARTS))


def mappings(process_id: int) -> dict[str, int]:
    """Return what is resident of a process by what is mapped: a file, the heap, without a name."""
    found: dict[str, int] = {}
    for mapped in psutil.Process(process_id).memory_maps(grouped=True):
        name = Path(mapped.path).name if mapped.path.startswith("/") else mapped.path
        found[name] = found.get(name, 0) + mapped.rss
    return found


class Others:
    """How many cores were busy with what this process and its children did not do."""

    def __init__(self) -> None:
        self._at, self._busy_s, self._own_s = time.monotonic(), busy_s(), own_s()

    def cores(self) -> float:
        """Return the mean since the beginning; to be asked while the children still live."""
        others_s = (busy_s() - self._busy_s) - (own_s() - self._own_s)
        return others_s / (time.monotonic() - self._at)


def busy_s() -> float:
    """Return the seconds that all cores were busy since the machine started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait)


def own_s() -> float:
    """Return the seconds of processor time that this process and its children have had."""
    me = psutil.Process()
    total = 0.0
    for process in [me, *me.children(recursive=True)]:
        try:
            total += sum(process.cpu_times()[:4])  # its own, and of children that have ended
        except psutil.NoSuchProcess:
            continue
    return total


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table of results; `good` is None for what has no bar."""

    what: str
    figure: str
    bar: str = ""
    good: bool | None = None


def table(rows: list[Row]) -> bool:
    """Print the lines; tell whether none misses its bar."""
    for row in rows:
        verdict = "" if row.good is None else ("ok" if row.good else "MISSED")
        print(f"{row.what:44} {row.figure:>32}  {row.bar:18} {verdict}".rstrip(), flush=True)
    return all(row.good is not False for row in rows)


@contextmanager
def visited(url: str, key: str, number: int) -> Iterator[list[dict[str, Any]]]:
    """Let another process ask the box while the block runs; what came of it is in the list."""
    told: list[dict[str, Any]] = []
    asking = subprocess.Popen(
        [sys.executable, str(VISITORS), url, str(number)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert asking.stdin is not None
        asking.stdin.write(f"{key}\n")
        asking.stdin.flush()
        yield told
        out, _ = asking.communicate(timeout=2 * WAIT_S)
        told.append(json.loads(out))
    finally:
        if asking.poll() is None:
            asking.kill()
            asking.wait(WAIT_S)


def play(environment: dict[str, str], path: Path, seconds: float) -> None:
    """Play a file of so many seconds into the microphone of that environment."""
    subprocess.run(
        ["paplay", "--device=mic", str(path)],
        env={**os.environ, **environment}, timeout=seconds + WAIT_S, check=True,
    )  # fmt: skip


def memory_rows(
    name: str, seen: list[Footprint], settled_s: float, rise_mib: float = ALLOWED_RISE_MIB
) -> list[Row]:
    """Return how the memory of a process went after `settled_s`.

    A window that is transcribed takes tens of MiB and gives them back within seconds, so what
    memory was at a moment says little: it is compared with the most of the minute before.
    """
    ages = [each.at - seen[0].at for each in seen]
    later = [each for each, age in zip(seen, ages, strict=True) if age >= settled_s]
    earlier = [
        each
        for each, age in zip(seen, ages, strict=True)
        if settled_s - MINUTE_S <= age < settled_s
    ]
    if not later or not earlier:
        return [Row(f"memory of the {name}", "not seen", "", False)]
    before, most = max(earlier, key=size), max(later, key=size)
    mib = np.array([size(each) for each in later]) / MIB
    rise = (most.bytes - before.bytes) / MIB
    moved = ", ".join(
        f"{part[3:]} {(after - was) / MIB:+.0f}"
        for part, was, after in zip(PARTS, before.parts, most.parts, strict=True)
    )
    slope = np.polyfit([each.at / MINUTE_S for each in later], mib, 1)[0]
    middle, highest = np.percentile(mib, 50), mib.max()
    return [
        Row(f"memory of the {name}, most of the minute before", f"{before.bytes / MIB:.1f} MiB"),
        Row(
            f"  from {settled_s:.0f} s on: least, median, most",
            f"{mib.min():.1f}, {middle:.1f}, {highest:.1f} MiB",
        ),
        Row(
            "  rise of the most",
            f"{rise:.1f} MiB ({moved})",
            f"<= {rise_mib:g} MiB",
            rise <= rise_mib,
        ),
        Row(f"  most above what it was just at {settled_s:.0f} s", f"{highest - mib[0]:.1f} MiB"),
        Row("  trend", f"{slope:+.2f} MiB/min"),
    ]


def upload_rows(uploads: Uploading) -> list[Row]:
    """Return whether the uploads went well."""
    good = not uploads.failures
    first = Row("uploads transcribed meanwhile", f"{uploads.done}", "no failure", good)
    return [first, *(Row("", failure) for failure in uploads.failures[:3])]


def size(seen: Footprint) -> int:
    """Return the bytes, for sorting."""
    return seen.bytes
