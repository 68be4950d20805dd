"""Folders that get their name when all is in them, and how those of the dead are found.

Until then such a folder lies beside its place as `.NAME.….scribebox-part`, locked by its maker.
What a maker left that has died is deleted by the next who makes one there.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

ENDING = ".scribebox-part"


@contextlib.contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Make a folder that is to become `path`; it is gone at the end if it hasn't by then."""
    part = hidden(path)
    with locked(path.parent):
        sweep(path.parent)
        part.mkdir(mode=0o700)
        descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # no locks on this file system: nobody sweeps there
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a folder; cut off in the middle it has its name no more, and is swept."""
    gone = hidden(path)
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)  # perhaps it is being swept already


def hidden(path: Path) -> Path:
    """Return a name beside `path` that nobody takes for it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}{ENDING}")


def sweep(folder: Path) -> None:
    """Delete what makers that have died left in a folder."""
    for path in folder.glob(f".*{ENDING}"):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let nobody else make or sweep in a folder for a moment."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
