"""See every connection and name lookup that this process really attempts, whoever makes it.

Python reports them to an audit hook just before the system call, so nothing can pass it by.
"""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Seen:
    """What was attempted, in order."""

    connected: list[tuple[str, int]] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)


_watching: list[Seen] = []


def _hook(event: str, arguments: tuple) -> None:
    if not _watching:
        return
    if event == "socket.connect":
        _watching[-1].connected.append(arguments[1][:2])
    elif event == "socket.getaddrinfo":
        host = arguments[0]
        _watching[-1].looked_up.append(host.decode() if isinstance(host, bytes) else str(host))


sys.addaudithook(_hook)  # for the life of the process


@contextlib.contextmanager
def witnessing() -> Iterator[Seen]:
    """Watch until the block ends."""
    seen = Seen()
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.remove(seen)
