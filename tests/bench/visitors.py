"""Visitors of a box: RATE GETs a second, of many kinds, until standard input ends.

    python tests/bench/visitors.py URL RECORDING

The first line of standard input is the key. Prints one line of JSON at the end: how many were
asked, how many a second, their p50, p95 and longest in ms, and what was not answered with 2xx.
"""

import asyncio
import json
import sys
import time
from collections import Counter

import httpx
import numpy as np

RATE = 20
API = "/api/v1"
SESSIONS, RECORDINGS = f"{API}/audioscribe/sessions", f"{API}/recordings"
# not the list of devices: it starts a process each time
PATHS = (
    "/health",
    RECORDINGS,
    f"{RECORDINGS}/{{recording}}",
    f"{SESSIONS}/",
    f"{SESSIONS}/?q=budget",
    f"{SESSIONS}/1/",
    f"{SESSIONS}/1/segments",
    f"{SESSIONS}/1/audio",
)


class Visitors:
    """Ask and take notes."""

    def __init__(self, client: httpx.AsyncClient, recording: str) -> None:
        self._client = client
        self._paths = [path.format(recording=recording) for path in PATHS]
        self.taken_ms: list[float] = []
        self.refused: Counter[str] = Counter()

    async def _ask(self, path: str) -> None:
        at = time.perf_counter()
        try:
            answer = await self._client.get(path)
        except httpx.HTTPError as error:
            self.refused[f"{path}: {type(error).__name__}"] += 1
            return
        self.taken_ms.append((time.perf_counter() - at) * 1000)
        if not answer.is_success:
            self.refused[f"{path}: {answer.status_code}"] += 1

    async def ask_until(self, over: asyncio.Task[bytes]) -> dict[str, object]:
        """Ask at a steady pace, whether the answers come or not; return what came of it."""
        began, asked = time.perf_counter(), 0
        async with asyncio.TaskGroup() as group:
            while not over.done():
                group.create_task(self._ask(self._paths[asked % len(self._paths)]))
                asked += 1
                await asyncio.sleep(max(began + asked / RATE - time.perf_counter(), 0))
            seconds = time.perf_counter() - began
        p50, p95 = np.percentile(self.taken_ms, [50, 95])
        return {
            "asked": asked,
            "perSecond": asked / seconds,
            "p50": float(p50),
            "p95": float(p95),
            "longest": max(self.taken_ms),
            "refused": dict(self.refused),
        }


async def main() -> None:
    """Ask until standard input ends; print the figures."""
    url, recording = sys.argv[1:3]
    headers = {"Authorization": f"Bearer {sys.stdin.readline().strip()}"}
    over = asyncio.create_task(asyncio.to_thread(sys.stdin.buffer.read))
    # the box closes what was idle for 5 s, and a request may just be on its way then
    limits = httpx.Limits(keepalive_expiry=2)
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=60, trust_env=False, limits=limits
    ) as client:
        print(json.dumps(await Visitors(client, recording).ask_until(over)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
