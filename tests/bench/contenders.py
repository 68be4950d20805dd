"""The engines side by side: each in its process, one at work at a time."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WAIT_S = 5


class Contender:
    """A process with one engine; `ask` it for one thing after the other.

    One that is ended from outside is started once more, so that an hour of figures isn't lost.
    """

    def __init__(self, way: str, model: str, shelf: Path) -> None:
        self.way = way
        self.peak_mib = 0.0
        self._command = [sys.executable, str(HERE / "contender.py"), way, model, str(shelf)]
        self._process = self._started()

    def ask(self, **task: Any) -> Any:
        """Return the answer to a task; raise if the engine dies of it twice."""
        told = self._told(task)
        if told is None:
            sys.stderr.write(f"{self.way}: ended with {self._process.wait()}, started again\n")
            self.close()
            self._process = self._started()
            told = self._told(task)
        if told is None:
            raise RuntimeError(f"{self.way}: the engine ended with {self._process.wait()}")
        self.peak_mib = max(self.peak_mib, told["peakMib"])
        return told["answer"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(WAIT_S)
        self._process.kill()
        self._process.wait()

    def _started(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE.parent.parent,
        )

    def _told(self, task: dict[str, Any]) -> Any:
        """Return what the process answers; None if it has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        return json.loads(line) if line else None


@contextlib.contextmanager
def contenders(ways: tuple[str, ...], model: str, shelf: Path) -> Iterator[list[Contender]]:
    """Start the engines, and end them."""
    with contextlib.ExitStack() as stack:
        started = []
        for way in ways:
            started.append(Contender(way, model, shelf))
            stack.callback(started[-1].close)
            started[-1].ask(do="load")  # before another is measured
        yield started
