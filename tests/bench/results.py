"""Tables of figures, on the terminal as they come and in a file with what they were taken on."""

import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PATH = Path(__file__).resolve().parent / "RESULTS.md"
PACKAGES = ("ctranslate2", "faster-whisper", "onnxruntime", "numpy")
STARTED = time.monotonic()
COMMIT = subprocess.run(  # before the file of the results changes it
    ["git", "describe", "--always", "--dirty", "--abbrev=12"],
    cwd=PATH.parent, capture_output=True, text=True, check=False,
).stdout.strip()  # fmt: skip


class Table:
    """A title, the heads of its columns, and rows."""

    def __init__(self, title: str, heads: tuple[str, ...]) -> None:
        self.title, self.heads = title, heads
        self.rows: list[list[str]] = []

    def add(self, *cells: object) -> None:
        """Add a row."""
        self.rows.append([str(cell) for cell in cells])

    def text(self) -> str:
        """Return it as Markdown whose columns stand under each other."""
        lines = [list(self.heads), *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.heads))]
        rows = [
            "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
            for line in lines
        ]
        rule = "| " + " | ".join("-" * width for width in widths) + " |"
        return "\n".join([f"## {self.title}", "", rows[0], rule, *rows[1:]])


def say(text: str) -> None:
    """Print what was found, with the minutes since the start."""
    sys.stdout.write(f"[{(time.monotonic() - STARTED) / 60:4.1f} min] {text}\n")
    sys.stdout.flush()


def machine() -> str:
    """Return the processor, its cores, the versions and the commit."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    load = Path("/proc/loadavg").read_text(encoding="utf-8").split()[:3]
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return "\n".join(
        [
            f"- processor: {names[0] if names else platform.machine()}, {len(names)} cores",
            f"- versions: Python {platform.python_version()}, {packages}",
            f"- commit: {COMMIT or 'unknown'}",
            f"- written: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load then {' '.join(load)}",
        ]
    )


def write(tables: list[Table], path: Path) -> None:
    """Write all tables."""
    head = "# Our engine against the public one\n\nWritten by `make bench CORPUS=DIR`; see "
    head += "`tests/bench/contest.py` for what is measured.\n\n"
    body = "\n\n".join(table.text() for table in tables)
    path.write_text(f"{head}{machine()}\n\n{body}\n", encoding="utf-8")
