"""Resident memory of a loaded model after each of several long files, one after the other.

    python tests/bench/memory.py [TIMES=10] [HOURS=1] [MODEL=base]

Prints a line after each file: what is resident as it ends, and once the engine has given back the
memory of its windows; at the end, how much the last is above the first.
"""

import sys
import tempfile
import time
from pathlib import Path

import psutil
from long_file import lengthened

from engine.hardware import Hardware
from engine.models import Shelf
from engine.transcription import FileTranscription
from engine.whisper import Request, Whisper
from engine.worker import IDLE_S, Worker

MIB = 1 << 20


def resident_mib() -> float:
    """Return the resident memory of this process."""
    return float(psutil.Process().memory_info().rss) / MIB


def main() -> None:
    """Transcribe and measure."""
    given = sys.argv[1:]
    times, hours = int(given[0]) if given else 10, float(given[1]) if given[1:] else 1.0
    name = given[2] if given[2:] else "base"
    with tempfile.TemporaryDirectory() as folder:
        path = lengthened(Path(folder) / "long.flac", hours)
        model, hardware = Shelf(Path(folder)).find(name), Hardware().resolved()
        worker = Worker(lambda: Whisper(model, hardware), workers=hardware.workers).start()
        worker.model()
        sys.stdout.write(f"{name} loaded: {resident_mib():.0f} MiB\n")
        after = []
        for number in range(times):
            began = time.monotonic()
            FileTranscription(path, worker, Request("en")).run()
            seconds, at_end = time.monotonic() - began, resident_mib()
            time.sleep(IDLE_S + 1)
            after.append(resident_mib())
            sys.stdout.write(
                f"{number + 1}: {at_end:.0f} MiB, then {after[-1]:.0f} MiB, {seconds:.0f} s\n"
            )
            sys.stdout.flush()
        worker.stop()
    sys.stdout.write(f"from the first to the last: {after[-1] - after[0]:+.0f} MiB\n")


if __name__ == "__main__":
    main()
