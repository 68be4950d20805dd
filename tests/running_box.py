"""Run the real `scribebox` as a process of its own, and wait for what it says."""

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

WAIT_S = 60
SCRIBEBOX = (sys.executable, "-m", "api.cli")


def clean_environment(**more: str) -> dict[str, str]:
    """Return an environment without settings of whoever runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SCRIBEBOX_")}
    return {**kept, **more}


def scribebox(*arguments: str | Path, timeout_s: float = WAIT_S, **more: str):
    """Run a command to its end."""
    return subprocess.run(
        [*SCRIBEBOX, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=clean_environment(**more),
        check=False,
    )


class RunningBox:
    """A server process: its output line by line, its URL once it has printed it."""

    def __init__(self, arguments: Sequence[str], **more: str) -> None:
        self.process = subprocess.Popen(
            [*SCRIBEBOX, "serve", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=clean_environment(**more),
        )
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def wait_for(self, pattern: str, timeout_s: float = WAIT_S) -> re.Match[str]:
        """Wait for a line that matches, also among those that came already."""
        for line in self.lines:
            if match := re.search(pattern, line):
                return match
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self._queue.get(timeout=max(deadline - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"no {pattern!r} in {timeout_s} s:\n{self.output}") from None
            if line is None:
                raise AssertionError(f"it ended without {pattern!r}:\n{self.output}")
            self.lines.append(line)
            if match := re.search(pattern, line):
                return match

    @property
    def output(self) -> str:
        """Return what it has said so far."""
        return "\n".join(self.lines)

    @property
    def url(self) -> str:
        """Return where it answers."""
        return self.wait_for(r"Scribebox is at (\S+)")[1]

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, return the status."""
        self.process.send_signal(sign)
        status = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        while (line := self._queue.get()) is not None:
            self.lines.append(line)
        return status


@contextlib.contextmanager
def running(*arguments: str, **more: str) -> Iterator[RunningBox]:
    """Run a server until the block ends."""
    box = RunningBox(arguments, **more)
    try:
        yield box
    finally:
        if box.process.poll() is None:
            box.process.kill()
            box.process.wait(WAIT_S)
        box._reader.join(WAIT_S)
        assert box.process.stdout is not None
        box.process.stdout.close()
