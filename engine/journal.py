"""A recording on the disk: a folder that one capture process writes and the server reads.

    audio.pcm     s16le, 16 kHz, mono, only ever appended to; its whole samples are the truth
    events.jsonl  one JSON object a line: {"kind", "sample", "at", ...}
    lock          flocked by the capture while it lives; holds {"pid": n}
    heartbeat     touched by the server; a capture whose heartbeat stops ends by itself

`sample` is a position in audio.pcm, `at` the wall clock in seconds since 1970. Kinds: started
{device, rate}; lost {cause}; gap {seconds, cause}, which stands where the sound goes on; stopped
{cause}. Whatever ends the writer, a reader meets whole samples and whole lines only.
"""

import contextlib
import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from engine.audio import Samples, sync_folder

PCM, EVENTS, LOCK, HEARTBEAT = "audio.pcm", "events.jsonl", "lock", "heartbeat"
SAMPLE_BYTES = 2
SYNC_SHARE = 0.7  # of the time allowed: what is left is for the sync itself


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """One line of the events."""

    kind: str
    sample: int
    at: float  # seconds since 1970
    seconds: float | None = None
    cause: str | None = None
    device: str | None = None

    @classmethod
    def parse(cls, line: bytes) -> Self | None:
        """Return the event of a line, or None if it holds none."""
        try:
            told = json.loads(line)
            seconds = told.get("seconds")
            return cls(
                kind=str(told["kind"]),
                sample=int(told["sample"]),
                at=float(told["at"]),
                seconds=None if seconds is None else float(seconds),
                cause=told.get("cause"),
                device=told.get("device"),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None


class JournalReader:
    """Read a journal while it grows: every sample once and in order, every whole line once.

    Nothing is held open between calls and a file that is not there yet counts as empty.
    """

    def __init__(self, folder: Path, position_samples: int = 0) -> None:
        self.folder = folder
        self.position = position_samples
        self._told = 0  # bytes of the events that were given out

    @property
    def samples(self) -> int:
        """Return how many samples the journal holds by now."""
        try:
            return (self.folder / PCM).stat().st_size // SAMPLE_BYTES
        except FileNotFoundError:
            return 0

    def read(self, max_samples: int) -> Samples:
        """Return the next samples, at most so many; empty if there are none yet."""
        data = read_from(
            self.folder / PCM, SAMPLE_BYTES * self.position, SAMPLE_BYTES * max_samples
        )
        whole = len(data) // SAMPLE_BYTES
        self.position += whole
        return np.frombuffer(data[: SAMPLE_BYTES * whole], "<i2")

    def events(self) -> list[JournalEvent]:
        """Return what was told since the last call; a line without its end waits for it."""
        data = read_from(self.folder / EVENTS, self._told)
        whole = data[: data.rfind(b"\n") + 1]
        self._told += len(whole)
        return [event for line in whole.splitlines() if (event := JournalEvent.parse(line))]


def read_from(path: Path, offset: int, size: int = -1) -> bytes:
    """Return bytes of a file that may not exist yet."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError:
        return b""


class JournalWriter:
    """Append to a journal, a new one or one that goes on; one thread at a time.

    What is appended is safe from a power cut at most `sync_s` later, an event at once, and the
    samples before an event before it. What a killed writer left torn, half a sample or half a
    line, is cut off on opening; `last_at` is the wall time of the last sample that was there.
    """

    def __init__(self, folder: Path, sync_s: float = 1.0) -> None:
        self._sync_s = SYNC_SHARE * sync_s
        self._pcm = open_to_append(folder / PCM)
        self._events = open_to_append(folder / EVENTS)
        state = os.fstat(self._pcm)
        self.samples = state.st_size // SAMPLE_BYTES
        self.last_at = state.st_mtime if self.samples else None
        if state.st_size % SAMPLE_BYTES:
            os.ftruncate(self._pcm, SAMPLE_BYTES * self.samples)
            os.utime(self._pcm, ns=(state.st_atime_ns, state.st_mtime_ns))
        told = (folder / EVENTS).read_bytes()
        if told and not told.endswith(b"\n"):
            os.ftruncate(self._events, told.rfind(b"\n") + 1)
        sync_folder(folder)
        sync_folder(folder.parent)  # what is in a folder without a name is lost with it
        self._unsynced_since: float | None = None

    def append(self, data: bytes) -> None:
        """Append whole samples; raises OSError when they don't fit, and keeps those that do."""
        rest = memoryview(data)
        if rest and self._unsynced_since is None:
            self._unsynced_since = time.monotonic()
        try:
            while rest:
                rest = rest[os.write(self._pcm, rest) :]
        except OSError:
            written = os.fstat(self._pcm).st_size // SAMPLE_BYTES
            os.ftruncate(self._pcm, SAMPLE_BYTES * written)
            self.samples = written
            raise
        self.samples += len(data) // SAMPLE_BYTES
        if self.sync_due_s <= 0:
            self.sync()

    @property
    def sync_due_s(self) -> float:
        """Return in how many seconds `sync` must be called."""
        if self._unsynced_since is None:
            return self._sync_s
        return self._unsynced_since + self._sync_s - time.monotonic()

    def sync(self) -> None:
        """Make what was appended survive a power cut."""
        if self._unsynced_since is not None:
            self._unsynced_since = None
            os.fdatasync(self._pcm)

    def note(
        self, kind: str, *, sample: int | None = None, at: float | None = None, **fields: Any
    ) -> None:
        """Write an event, of here and now unless it says otherwise, and make it last."""
        self.sync()
        told = {
            "kind": kind,
            "sample": self.samples if sample is None else sample,
            "at": round(time.time() if at is None else at, 3),
            **fields,
        }
        os.write(self._events, json.dumps(told).encode() + b"\n")
        os.fdatasync(self._events)

    def close(self) -> None:
        """Sync and close; the journal can be gone on with."""
        try:
            self.sync()
        finally:
            os.close(self._pcm)
            os.close(self._events)


def open_to_append(path: Path) -> int:
    """Open a file that only this user may read, for appending."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def beat(folder: Path) -> None:
    """Tell the capture of this journal that there still is a server."""
    (folder / HEARTBEAT).touch(mode=0o600)


def take_lock(folder: Path, wait_s: float = 0.5) -> int | None:
    """Lock the journal for this process; return the lock's descriptor, or None if another has it.

    It waits a moment, because `capture_pid` holds the lock while it looks.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_s
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        if time.monotonic() > deadline:
            os.close(descriptor)
            return None
        time.sleep(0.02)
    holder = json.dumps({"pid": os.getpid()}).encode()
    os.pwrite(descriptor, holder, 0)  # over the old one: a full disk has no room for a new one
    os.ftruncate(descriptor, len(holder))
    return descriptor


def capture_pid(folder: Path, wait_s: float = 1.0) -> int | None:
    """Return the process that captures into this journal, None if there is none."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            with (folder / LOCK).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except FileNotFoundError:
            return None
        except BlockingIOError:
            pass
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            pid = int(json.loads((folder / LOCK).read_bytes())["pid"])
            os.kill(
                pid, 0
            )  # one that is dead left its number, the new one is about to write its own
            return pid
        if time.monotonic() > deadline:
            raise TimeoutError(f"{folder / LOCK}: is locked by a process that does not say which")
        time.sleep(0.02)
