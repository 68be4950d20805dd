"""The folder of the audio files: how one comes in, and how one goes, without ever being lost.

Guarantee: a file has its final name only if a row names it. It arrives as `NAME.part`, is fsynced,
its row is committed, and then it is renamed; it leaves as `NAME.gone`, is renamed before its row
is deleted, and unlinked after. `sweep` completes or takes back what a crash cut off, by what the
rows say; it never deletes a file under its final name: only `scheduler.sweep` does, after a day.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from appliance.errors import NoRoom, TooLarge
from engine.audio import sync_folder
from engine.errors import Cancelled

PART, GONE = ".part", ".gone"
SYNC_EVERY_BYTES = 64 << 20  # so that the last fsync has not a gigabyte to write


class Incoming:
    """A file being received: counted, hashed, written; leave the block to give it up.

    Whoever files it (writes its row) does so in `filing`: from then on the file is theirs.
    """

    def __init__(self, folder: "AudioFolder") -> None:
        self.name = uuid.uuid4().hex  # never a name from a client
        self.bytes = 0
        self._folder, self._path = folder, folder.path / (self.name + PART)
        self._hash = hashlib.sha256()
        self._file = self._path.open("xb")
        self._kept = self._given_up = False
        self._lock = threading.Lock()
        folder.arriving.add(self.name)

    @property
    def path(self) -> Path:
        """Return where it lies until it is settled."""
        return self._path

    @property
    def sha256(self) -> str:
        """Return the digest of what was written."""
        return self._hash.hexdigest()

    def write(self, piece: bytes) -> None:
        """Append a piece; raise TooLarge or NoRoom."""
        self.bytes += len(piece)
        self._folder.check(self.bytes, len(piece))
        with out_of_room():
            self._file.write(piece)
            if self.bytes // SYNC_EVERY_BYTES != (self.bytes - len(piece)) // SYNC_EVERY_BYTES:
                self._file.flush()
                os.fdatasync(self._file.fileno())
        self._hash.update(piece)

    def close(self) -> None:
        """Make what was written survive a power cut."""
        with out_of_room():
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()
        sync_folder(self._path.parent)

    def settle(self) -> None:
        """Give it its final name, once its row is committed."""
        self._path.rename(self._folder.path / self.name)
        self._folder.arriving.discard(self.name)

    def __enter__(self) -> "Incoming":
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up()

    @contextlib.contextmanager
    def filing(self) -> Iterator[None]:
        """Take the file over from whoever received it: a request may be cancelled meanwhile."""
        with self._lock:
            if self._given_up:
                raise Cancelled("the upload was given up")
            self._kept = True
        try:
            yield
        except BaseException:
            self._kept = False
            self._give_up()
            raise

    def _give_up(self) -> None:
        with self._lock:
            if self._kept or self._given_up:
                return
            self._given_up = True
        with contextlib.suppress(OSError):  # a full disk fails again on closing
            self._file.close()
        self._path.unlink(missing_ok=True)
        self._folder.arriving.discard(self.name)


class AudioFolder:
    """Hand out new files, let old ones go."""

    def __init__(self, path: Path, limit_bytes: int = 2 << 30, reserve_bytes: int = 0) -> None:
        self.path = path
        self.limit_bytes, self.reserve_bytes = limit_bytes, reserve_bytes
        self.arriving: set[str] = set()  # what is being received; an upload may last for days

    def receive(self) -> Incoming:
        """Open a new file."""
        with out_of_room():
            return Incoming(self)

    def settle(self, name: str) -> None:
        """Give a file that lies here as `NAME.part` its name, once its row is committed."""
        (self.path / (name + PART)).rename(self.path / name)

    def check(self, total_bytes: int, more_bytes: int) -> None:
        """Raise unless a file of that size is allowed and there is room for what is to come."""
        if total_bytes > self.limit_bytes:
            raise TooLarge(
                f"the audio has more than {self.limit_bytes} bytes, the most that this box takes "
                "(upload_limit_bytes); cut it into parts"
            )
        free = shutil.disk_usage(self.path).free
        if free - more_bytes < self.reserve_bytes:
            raise NoRoom(
                f"the disk has {free // 10**6} MB left, too few for {total_bytes} bytes of audio: "
                f"{self.reserve_bytes // 10**6} MB are kept free (disk_refuse_bytes); make room"
            )

    @contextlib.contextmanager
    def leaving(self, name: str | None) -> Iterator[None]:
        """Take a file away around the commit that deletes its row; undo it if that fails."""
        names = [name] if name is not None else []
        with self.all_leaving(names) as gone:
            yield
            gone.update(names)

    @contextlib.contextmanager
    def all_leaving(self, names: Collection[str]) -> Iterator[set[str]]:
        """Take files away around one commit; those that aren't in the set at its end come back."""
        taken, gone = [], set[str]()
        try:
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # someone else was first
                    (self.path / name).rename(self.path / (name + GONE))
                    taken.append(name)
            if taken:
                sync_folder(self.path)
            yield gone
        except BaseException:
            gone.clear()
            raise
        finally:
            for name in taken:
                if name not in gone:
                    (self.path / (name + GONE)).rename(self.path / name)
            for name in gone.intersection(taken):
                (self.path / (name + GONE)).unlink()

    def own(self, audio_path: str | None) -> str | None:
        """Return the name of a file that lies here by what a row says; None if it doesn't."""
        folder, _, name = (audio_path or "").rpartition("/")
        return name if folder == self.path.name else None

    def files(self) -> set[str]:
        """Return the names of all files that lie here; a link is none."""
        with os.scandir(self.path) as entries:
            return {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}

    def sweep(self, named: Callable[[Collection[str]], set[str]]) -> int:
        """Complete what a crash cut off; `named` tells which of some names a row has."""
        left = [p for p in self.path.iterdir() if p.suffix in (PART, GONE)]
        known = named({p.stem for p in left}) if left else set()
        for path in left:
            if path.stem in known:
                path.rename(path.with_suffix(""))
            else:
                path.unlink()
        if left:
            sync_folder(self.path)
        return len(left)


@contextlib.contextmanager
def out_of_room() -> Iterator[None]:
    """Say what it means when the disk or the quota is full."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom("the disk is full; make room, and send the audio again") from error
        raise
