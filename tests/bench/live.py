"""How soon what is said is text on `WS /v1/listen`, and what that costs the box.

    python tests/bench/live.py [--corpus DIR] [--clips 30] [--model base] [--endpointing 600]
    python tests/bench/live.py --streams 4        # as many at once, with tiny.en
    python tests/bench/live.py --until-break      # 1, 2, 4, 6, 8, 12 ... at once, until it breaks

Clips of English speech (those of the project, over and over, or of DIR, a folder with manifest.json
and audio/) with PAUSE_S between them are one stream, which a client of the `websockets` library
sends to a `scribebox serve` of its own at the speed of speech, 100 ms at a time. A chunk is sent
when its last sample has been spoken; from there on the client's clock tells. The same sound
uploaded as a file to the same box says which words there are and when each was spoken; Silero and
the segmenter say where speech ends.

- first shown: from the end of a word to the first message that has it, interim or final;
- final: from the end of a word to the final that has it;
- end of speech: from its last voiced 32 ms to the Results with speech_final that tells it. Only
  pauses that are surely longer than the endpointing count.

Ends with 1 if a bar is missed. Of several streams at once each begins a part of STAGGER_S later;
what one stream alone made of the sound says whether words are lost. Others at work on the machine
count in full: their share is printed, and so is how late the client itself was.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from background import Others, Row, own_s, table
from live_client import Take, chunks, stream
from live_figures import Corpus, Run, at_once, delays, holds, one_stream
from live_truth import Spoken, Truth, ends, joined, speeches, uploaded
from running_box import RunningBox, running
from speech_fixtures import write_wav
from websockets.exceptions import InvalidStatus

PAUSE_S, STAGGER_S = 2.0, 8.0
LEVELS = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64)


def tree_s(process_id: int) -> float:
    """Return the seconds of processor time that a process and its children have had."""
    process = psutil.Process(process_id)
    every = [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[:4]) for one in every)


def run(box: RunningBox, key: str, spoken: Spoken, streams: int, endpointing: int) -> Run:
    """Send the sound in so many streams at once."""
    others, began_s = Others(), time.monotonic()
    box_s, all_s = tree_s(box.process.pid), own_s()

    async def every() -> list[Take]:
        sent = (
            stream(box.url, key, chunks(spoken.samples), endpointing=str(endpointing),
                   begin_after_s=STAGGER_S * number / streams)
            for number in range(streams)
        )  # fmt: skip
        return await asyncio.gather(*sent)

    takes = asyncio.run(every())
    elapsed_s = time.monotonic() - began_s
    box_s, all_s = tree_s(box.process.pid) - box_s, own_s() - all_s
    return Run(takes, box_s / elapsed_s, (all_s - box_s) / elapsed_s, others.cores())


class Bench:
    """One box, one sound, and the figures of each run."""

    def __init__(self, options: argparse.Namespace, box: RunningBox, folder: Path) -> None:
        self.options, self.box = options, box
        self.key = (folder / "box" / "admin.key").read_text().strip()
        spoken = joined(options.corpus, options.clips, PAUSE_S)
        print(f"{spoken.seconds:.0f} s of sound, {spoken.clips} clips, {options.model}, "
              f"{len(os.sched_getaffinity(0))} cores, endpointing {options.endpointing} ms",
              flush=True)  # fmt: skip
        wav = write_wav(folder / "spoken.wav", spoken.samples)
        same = uploaded(box.url, self.key, wav)
        truth = Truth(same.words)
        found = speeches(spoken.samples, options.endpointing)
        told = [each for each in found if truth.between(each.from_s, each.to_s)]
        self.corpus = Corpus(spoken, truth, told, same.text)
        self.figures: list[dict[str, Any]] = []

    def run(self, streams: int) -> Run:
        """Send the sound in so many streams at once."""
        return run(self.box, self.key, self.corpus.spoken, streams, self.options.endpointing)

    def told(self, streams: int, done: Run, rows: list[Row]) -> bool:
        """Print the figures of a run and keep them; tell whether none misses its bar."""
        print(f"\n{streams} at once" if streams > 1 else "\nalone", flush=True)
        good = table(rows)
        self.figures.append({
            "streams": streams,
            "good": good,
            "rows": [asdict(row) for row in rows],
            "delays": delays(self.corpus, done.takes),
            "ends": [[s.to_s for s in self.corpus.speeches],
                     *(ends(take, self.corpus.speeches) for take in done.takes)],
        })  # fmt: skip
        return good

    def alone(self, barred: bool) -> tuple[bool, Take]:
        """Run one stream."""
        done = self.run(1)
        rows = one_stream(self.corpus, done, self.options.endpointing, barred)
        return self.told(1, done, rows), done.takes[0]

    def several(self, streams: int, alone: Take) -> tuple[bool, bool]:
        """Run several at once; tell whether no bar is missed, and none of them late or lost."""
        done = self.run(streams)
        good = self.told(streams, done, at_once(self.corpus, done, alone))
        return good, holds(self.corpus, done, alone)

    def until_break(self) -> None:
        """Run more and more at once; print at how many it breaks."""
        _, alone = self.alone(barred=False)
        for streams in LEVELS:
            try:
                _, held = self.several(streams, alone)
            except InvalidStatus as refused:
                print(f"\n{streams} at once: refused, {refused}", flush=True)
                held = False
            if not held:
                print(f"\nbreaks at {streams} streams", flush=True)
                return
        print(f"\nholds with {LEVELS[-1]} streams", flush=True)

    def keep(self, take: Take) -> None:
        """Write what the server told, if that was asked for."""
        if not self.options.messages:
            return
        with Path(self.options.messages).open("w", encoding="utf-8") as file:
            for message in take.messages:
                at_s = round(message.at_s - take.began_s, 3)
                file.write(json.dumps([at_s, message.body]) + "\n")


def wishes() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", default="", metavar="DIR")
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--model", help="base; tiny.en for several at once")
    parser.add_argument("--endpointing", type=int, default=600, metavar="MS")
    parser.add_argument("--streams", type=int, default=1, metavar="N")
    parser.add_argument("--until-break", action="store_true")
    parser.add_argument("--json", default="", metavar="FILE", help="write the figures, too")
    parser.add_argument("--messages", default="", metavar="FILE", help="what one stream was told")
    options = parser.parse_args()
    several = options.streams > 1 or options.until_break
    options.model = options.model or ("tiny.en" if several else "base")
    return options


def main() -> int:
    """Run, print the figures."""
    options = wishes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = ("--port", "0", "--data", str(folder / "box"))
        with running(*arguments, SCRIBEBOX_MODEL=options.model) as box:
            box.wait_for(r"It heard its sample")
            bench = Bench(options, box, folder)
            good = True
            if options.until_break:
                bench.until_break()
            else:
                good, alone = bench.alone(barred=options.streams == 1)
                bench.keep(alone)
                if options.streams > 1:
                    good &= bench.several(options.streams, alone)[0]
            box.stop()
    if options.json:
        told = {**vars(options), "load": os.getloadavg(), "runs": bench.figures}
        Path(options.json).write_text(json.dumps(told, indent=1), encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
