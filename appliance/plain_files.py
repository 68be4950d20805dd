"""Read, copy and write plain files, with their digests, and tell how far it is.

What is written is its owner's alone and synced; what isn't a plain file is refused.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

PIECE_BYTES = 1 << 20

Tell = Callable[[int, int], None]  # bytes done, bytes in all


class Meter:
    """Count bytes on the way to all there are."""

    def __init__(self, tell: Tell, total_bytes: int = 0) -> None:
        self.total_bytes, self._done_bytes, self._tell = total_bytes, 0, tell

    def __call__(self, more_bytes: int) -> None:
        self._done_bytes += more_bytes
        self._tell(self._done_bytes, max(self.total_bytes, self._done_bytes))


def quiet(_done_bytes: int, _total_bytes: int) -> None:
    """Tell nobody."""


def digest(path: Path, meter: Meter) -> tuple[int, str]:
    """Return the size and the SHA-256 of a plain file."""
    size, sha256 = 0, hashlib.sha256()
    for piece in pieces(path):
        size += len(piece)
        sha256.update(piece)
        meter(len(piece))
    return size, sha256.hexdigest()


def copy(source: Path, target: Path, meter: Meter) -> tuple[int, str]:
    """Copy a file, sync it, and return the size and the SHA-256 of what was copied."""
    sha256, size = hashlib.sha256(), 0
    content = pieces(source, follow=True)
    first = next(content, b"")  # if there is no source, there is no target either

    def passing() -> Iterator[bytes]:
        nonlocal size
        for piece in chain([first], content):
            size += len(piece)
            sha256.update(piece)
            yield piece
            meter(len(piece))

    write(target, passing())
    return size, sha256.hexdigest()


def make_above(root: Path, target: Path) -> None:
    """Make the folders between a root and a file in it, for their owner alone."""
    for above in reversed(target.relative_to(root).parents[:-1]):
        (root / above).mkdir(mode=0o700, exist_ok=True)


def write(target: Path, content: Iterable[bytes]) -> None:
    """Write a new file for its owner alone, and sync it."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        for piece in content:
            rest = memoryview(piece)
            while rest:
                rest = rest[file.write(rest) :]
        os.fsync(descriptor)


def pieces(path: Path, *, follow: bool = False) -> Iterator[bytes]:
    """Yield the bytes of a plain file; what was read for this alone leaves the memory again."""
    way = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, way)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "is no plain file", str(path))
        while piece := file.read(PIECE_BYTES):
            yield piece
        with suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def sync(path: Path) -> None:
    """Make what was written to a file by others survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def dated(folder: Path, name: str, moment: datetime) -> Path:
    """Return a path with the moment in its name that is free; it may be seconds later."""
    while True:
        path = folder / f"{name}-{moment:%Y%m%dT%H%M%SZ}"
        if not os.path.lexists(path):
            return path
        moment += timedelta(seconds=1)
