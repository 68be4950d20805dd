"""An hour of speech on one connection to `WS /v1/listen`: memory stays flat, the clock stays true.

    python tests/bench/live_soak.py [--minutes 60] [--corpus DIR] [--clips 30] [--model tiny.en]

The sound of live.py, over and over, at the speed of speech. Each minute prints the server's
memory, its threads and descriptors, and how late finals were. Ends with 1 if a bar is missed:

- resident memory after SETTLED_S (of a shorter take: after its first third) at most 30 MiB above
  the most of the minute before;
- recognised words lie where they were sent: where they lie in the first and in the last
  SPAN_S differs by less than DRIFT_S, and Metadata has the sound that was sent;
- threads and descriptors after the close at most POOLED above those before (a short stream went
  ahead; the pools of the server come and go by one or two).
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from background import MIB, Footprint, Others, Row, footprint, memory_rows, table
from live_client import CHUNK_SAMPLES, Take, chunks, stream
from live_figures import broken_rows, quantiles
from live_truth import Spoken, Truth, joined, uploaded
from running_box import running
from speech_fixtures import write_wav

from engine.audio import SAMPLE_RATE

PAUSE_S, SETTLED_S, SPAN_S, MINUTE_S = 2.0, 300, 300, 60
DRIFT_S, POOLED = 0.1, 2
AFTER_S = 30  # threads of a pool take their time to go


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds at a moment."""

    memory: Footprint
    threads: int
    descriptors: int


def held(process_id: int) -> Held:
    """Look."""
    process = psutil.Process(process_id)
    return Held(footprint(process_id), process.num_threads(), process.num_fds())


def over_and_over(spoken: Spoken, seconds: float) -> Iterator[bytes]:
    """Yield the sound chunk by chunk, from its beginning again at its end."""
    sent = 0
    while sent < seconds * SAMPLE_RATE:
        for chunk in chunks(spoken.samples):
            yield chunk
            sent += len(chunk) // 2
            if sent >= seconds * SAMPLE_RATE:
                return


def repeated(truth: Truth, period_s: float, seconds: float) -> Truth:
    """Return the words of the sound over and over."""
    times = int(seconds / period_s) + 1
    return Truth([
        replace(word, start_s=word.start_s + n * period_s, end_s=word.end_s + n * period_s)
        for n in range(times) for word in truth.words
    ])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A word that was recognised: when it was said, and how far from there it was found."""

    said_s: float
    off_s: float
    late_s: float


def found(truth: Truth, take: Take, since: int = 0) -> list[Found]:
    """Return the words of the finals that are those of the sound."""
    return [
        Found(
            truth.words[which].end_s,
            said.start_s - truth.words[which].start_s,
            message.at_s - take.began_s - truth.words[which].end_s,
        )
        for message in take.finals[since:]
        for which, said in truth.matches(message.words)
    ]


async def watch(process_id: int, take: Take, truth: Truth, seen: list[Held]) -> None:
    """Look each second, print a line each minute."""
    finals = 0
    while True:
        await asyncio.sleep(1)
        seen.append(held(process_id))
        if len(seen) % MINUTE_S == 0:
            now, most = seen[-1], max(one.memory.bytes for one in seen[-MINUTE_S:])
            words, finals = found(truth, take, finals), len(take.finals)
            late = quantiles([word.late_s for word in words]) if words else "no words"
            print(f"{len(seen) // MINUTE_S:4} min  {now.memory.bytes / MIB:6.1f} MiB "
                  f"(most {most / MIB:6.1f})  {now.threads} threads  {now.descriptors} descriptors"
                  f"  final after {late}", flush=True)  # fmt: skip


async def listen(
    url: str, key: str, process_id: int, spoken: Spoken, truth: Truth, seconds: float
) -> tuple[Take, list[Held]]:
    """Send the sound, watch the server meanwhile."""
    seen: list[Held] = []
    take = Take()
    watching = asyncio.create_task(watch(process_id, take, truth, seen))
    try:
        await stream(url, key, over_and_over(spoken, seconds), take=take, endpointing="600")
    finally:
        watching.cancel()
    return take, seen


def drift_rows(words: list[Found], take: Take) -> list[Row]:
    """Return whether the clock of the audio went as it should."""
    span_s = min(SPAN_S, take.sent_s / 3)
    first = [word for word in words if word.said_s < span_s]
    last = [word for word in words if word.said_s >= take.sent_s - span_s]
    if not first or not last:
        return [Row("words of the sound in the finals", f"{len(words)}", "some", False)]
    offs = [float(np.median([word.off_s for word in some])) for some in (first, last)]
    drift = offs[1] - offs[0]
    slope = np.polyfit([w.said_s / 3600 for w in words], [w.off_s for w in words], 1)[0]
    return [
        Row(f"words lie off by: median of the first, last {span_s:.0f} s",
            f"{1000 * offs[0]:+.0f}, {1000 * offs[1]:+.0f} ms", f"within {1000 * DRIFT_S:.0f} ms",
            abs(drift) < DRIFT_S),
        Row("  trend", f"{1000 * slope:+.0f} ms/h"),
        Row("  final after, first: p50, p95, max", quantiles([w.late_s for w in first])),
        Row("  final after, last", quantiles([w.late_s for w in last])),
        Row("sound sent, of Metadata", f"{take.sent_s:.3f}, {take.duration_s} s"),
    ]  # fmt: skip


def held_rows(before: Held, seen: list[Held], after: Held, settled_s: float) -> list[Row]:
    """Return what the process held."""
    middle = seen[len(seen) // 2]
    rows = memory_rows("server", [one.memory for one in seen], settled_s)
    for what in ("threads", "descriptors"):
        some = [getattr(one, what) for one in (before, seen[0], middle, seen[-1], after)]
        name, figures = f"{what}: before, first, middle, last, after", ", ".join(map(str, some))
        rows.append(Row(name, figures, f"{POOLED} more at most", some[-1] <= some[0] + POOLED))
    return rows


def soak(options: argparse.Namespace, folder: Path) -> bool:
    """Send for so long; print the figures."""
    seconds, arguments = options.minutes * 60, ("--port", "0", "--data", str(folder / "box"))
    with running(*arguments, SCRIBEBOX_MODEL=options.model) as box:
        box.wait_for(r"It heard its sample")
        key, server = (folder / "box" / "admin.key").read_text().strip(), box.process.pid
        spoken = joined(options.corpus, options.clips, PAUSE_S)
        whole = len(spoken.samples) // CHUNK_SAMPLES * CHUNK_SAMPLES
        spoken = replace(spoken, samples=spoken.samples[:whole])
        print(f"{options.minutes:g} minutes, a sound of {spoken.seconds:.0f} s, {options.model}, "
              f"{len(os.sched_getaffinity(0))} cores", flush=True)  # fmt: skip
        same = uploaded(box.url, key, write_wav(folder / "spoken.wav", spoken.samples))
        truth = repeated(Truth(same.words), spoken.seconds, seconds)
        asyncio.run(stream(box.url, key, chunks(spoken.samples[: 10 * SAMPLE_RATE])))
        time.sleep(AFTER_S)
        before, others = held(server), Others()
        take, seen = asyncio.run(listen(box.url, key, server, spoken, truth, seconds))
        cores = others.cores()
        time.sleep(AFTER_S)
        after = held(server)
        box.stop()
    settled_s = min(SETTLED_S, seconds / 3)
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    return table([
        *held_rows(before, seen, after, settled_s),
        *drift_rows(found(truth, take), take),
        *broken_rows([take]),
        Row("chunks sent late: p95, max", quantiles(take.late_s)),
        Row("cores that others kept busy; load", f"{cores:.2f}; {load}"),
    ])  # fmt: skip


def main() -> int:
    """Send, print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--corpus", default="", metavar="DIR")
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--model", default="tiny.en")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return 0 if soak(options, Path(name)) else 1


if __name__ == "__main__":
    sys.exit(main())
