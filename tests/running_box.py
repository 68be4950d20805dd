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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

WAIT_S = 120  # however busy the machine is
SCRIBEBOX = (sys.executable, "-m", "api.cli")
LOADED = """
import sys
from api import app, cli, server
cli.parser()
if sys.stdin.readline():
    sys.exit(cli.main())
"""


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

    def __init__(
        self, arguments: Sequence[str], command: Sequence[str] | None = None, **more: str
    ) -> None:
        self.process = subprocess.Popen(
            [*(command or SCRIBEBOX), "serve", *arguments],
            stdin=subprocess.PIPE if command else None,
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

    def close(self) -> None:
        """End it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


RunningServer = contextlib.AbstractContextManager[RunningBox]


@contextlib.contextmanager
def running(*arguments: str, **more: str) -> Iterator[RunningBox]:
    """Run a server until the block ends."""
    with contextlib.closing(RunningBox(arguments, **more)) as box:
        yield box


@contextlib.contextmanager
def successive(*arguments: str, **more: str) -> Iterator[Callable[[], RunningServer]]:
    """Yield what runs one server after the other.

    A new process waits with its program loaded while the one before serves: half of the time that a
    start takes is spent on that.
    """

    def loading() -> RunningBox:
        return RunningBox(arguments, (sys.executable, "-c", LOADED), **more)

    @contextlib.contextmanager
    def run_next() -> Iterator[RunningBox]:
        nonlocal waiting
        box, waiting = waiting, loading()
        with contextlib.closing(box):
            assert box.process.stdin is not None
            box.process.stdin.write("go\n")
            box.process.stdin.close()
            yield box

    waiting = loading()
    try:
        yield run_next
    finally:
        waiting.close()
