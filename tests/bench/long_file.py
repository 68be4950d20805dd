"""Memory and interruption on a long file: N hours of our own speech fixture, one after the other.

    python tests/bench/long_file.py [HOURS=3] [MODEL=tiny.en]

Prints the peak of resident memory over that of the loaded model (the whole process tree, so the
decoder counts), the speed, and how long Ctrl-C in the middle takes, with its exit code.
"""

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import av
import psutil

MEETING = Path(__file__).resolve().parent.parent / "speech" / "meeting.flac"
SCRIBEBOX = [sys.executable, "-m", "api.cli", "transcribe", "--json"]
MIB = 1 << 20


def lengthened(path: Path, hours: float) -> Path:
    """Write the fixture over and over until the file has so many hours."""
    with av.open(str(MEETING)) as source:
        frames = [frame.to_ndarray() for frame in source.decode(audio=0)]
    with av.open(str(path), "w", format="flac") as out:
        stream = out.add_stream("flac", rate=16_000, layout="mono")
        samples = 0
        while samples < hours * 3600 * 16_000:
            for array in frames:
                frame = av.AudioFrame.from_ndarray(array, format="s16", layout="mono")
                frame.sample_rate = 16_000
                out.mux(stream.encode(frame))
                samples += array.shape[1]
        out.mux(stream.encode(None))
    return path


def resident(process: psutil.Process) -> int:
    """Return the memory of a process and its children, in bytes."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def measured(arguments: list[str]) -> tuple[int, float, dict[str, list[dict[str, str]]]]:
    """Run a command; return its peak memory, its seconds and its JSON."""
    started, peak = time.monotonic(), 0
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    watched = psutil.Process(process.pid)
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.1):
            try:
                peak = max(peak, resident(watched))
            except psutil.NoSuchProcess:
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, _ = process.communicate()
    done.set()
    watcher.join()
    return peak, time.monotonic() - started, json.loads(out)


def main() -> None:
    """Print the figures."""
    # whoever starts this in the background makes it, and so its children, ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    model = sys.argv[2] if len(sys.argv) > 2 else "tiny.en"
    command = [*SCRIBEBOX, "--model", model]
    with tempfile.TemporaryDirectory() as folder:
        path = lengthened(Path(folder) / "long.flac", hours)
        short, _, _ = measured([*command, str(MEETING)])
        peak, seconds, said = measured([*command, str(path)])
        (entry,) = said["files"]
        print(
            f"{hours:g} h with {model}: {seconds:.0f} s, {3600 * hours / seconds:.1f} x real time"
        )
        print(f"words: {len(entry['text'].split())}")
        print(
            f"peak memory with a 27 s file {short // MIB} MiB, with the long one {peak // MIB} MiB"
        )
        print(f"over the loaded model: {(peak - short) // MIB} MiB")
        process = subprocess.Popen([*command, str(path)], stdout=subprocess.DEVNULL)
        time.sleep(15)
        children = psutil.Process(process.pid).children(recursive=True)
        at = time.monotonic()
        process.send_signal(signal.SIGINT)
        status = process.wait(30)
        print(f"Ctrl-C: {time.monotonic() - at:.2f} s, exit code {status}", end=", ")
        _, alive = psutil.wait_procs(children, timeout=1)
        print(f"{len(children)} children, {len(alive)} left")


if __name__ == "__main__":
    main()
