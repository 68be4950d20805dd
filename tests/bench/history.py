"""Eight clients post to the dictation history at once: nothing lost, nothing doubled, how long.

python tests/bench/history.py [ENTRIES]
"""

import random
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from running_box import running

CLIENTS, ALLOWED_P95_S = 8, 0.040
PATH = "/v1/transcribe/history"


def post_all(url: str, key: str, number: int, entries: int) -> tuple[list[float], int]:
    """Post as one client, each tenth entry twice; return the seconds of each and all words."""
    chance, taken, words = random.Random(number), [], 0
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
        for at in range(entries):
            said = " ".join(["word"] * chance.randint(1, 60))
            words += len(said.split())
            body = {"rawTranscript": said, "cleanedText": said, "durationMs": 1000}
            again = {"Idempotency-Key": f"{number}-{at}"}
            for _ in range(2 if at % 10 == 0 else 1):
                started = time.perf_counter()
                client.post(PATH, json=body, headers=again).raise_for_status()
                taken.append(time.perf_counter() - started)
    return taken, words


def main() -> int:
    """Run, compare, print."""
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with (
        tempfile.TemporaryDirectory() as folder,
        running("--port", "0", "--data", folder, SCRIBEBOX_MODEL="absent") as box,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        url, key = box.url, (Path(folder) / "admin.key").read_text().strip()
        started = time.perf_counter()
        sent = [pool.submit(post_all, url, key, n, entries // CLIENTS) for n in range(CLIENTS)]
        results = [one.result() for one in sent]
        elapsed = time.perf_counter() - started
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
            total = client.get(PATH).json()["total"]
            used = client.get("/v1/transcribe/usage?months=2").json()["months"]
    taken = sorted(t for times, _ in results for t in times)
    words, counted = sum(w for _, w in results), sum(m["wordCount"] for m in used)
    count = sum(m["dictationCount"] for m in used)
    print(f"{len(taken)} posts by {CLIENTS} clients at once in {elapsed:.1f} s")
    print(f"entries {total}, wanted {entries // CLIENTS * CLIENTS}; in the usage {count}")
    print(f"words in the usage {counted}, wanted {words}")
    p95 = statistics.quantiles(taken, n=20)[-1]
    print(f"POST: p50 {1000 * statistics.median(taken):.1f} ms, p95 {1000 * p95:.1f} ms")
    whole = (total, counted) == (entries // CLIENTS * CLIENTS, words)
    return 0 if whole and p95 < ALLOWED_P95_S else 1


if __name__ == "__main__":
    sys.exit(main())
