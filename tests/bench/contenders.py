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
    """A process with one engine; `ask` it for one thing after the other."""

    def __init__(self, way: str, model: str, shelf: Path) -> None:
        self.way = way
        self.peak_mib = 0.0
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "contender.py"), way, model, str(shelf)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE.parent.parent,
        )
        self._answer()

    def ask(self, **task: Any) -> Any:
        """Return the answer to a task; raise if the engine has died of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        told = self._answer()
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

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.way}: the engine ended with {self._process.wait()}")
        return json.loads(line)


@contextlib.contextmanager
def contenders(ways: tuple[str, ...], model: str, shelf: Path) -> Iterator[list[Contender]]:
    """Start the engines, and end them."""
    with contextlib.ExitStack() as stack:
        started = []
        for way in ways:
            started.append(Contender(way, model, shelf))
            stack.callback(started[-1].close)
        yield started
