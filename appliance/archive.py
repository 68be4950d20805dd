"""An archive: a folder that holds a box, and a manifest that knows each of its bytes.

    manifest.jsonl    a line that tells how the archive came to be, and one for each file
    manifest.sha256   the SHA-256 of that one, as `sha256sum -c` reads it
    scribebox.db, audio/, recordings/, secret, admin.key, tls/, scribebox.toml

Guarantee: what `verify` passes holds the files that the manifest names and nothing else, each byte
as it was when the archive was made. Nothing in an archive is believed before; the names in it are
checked against those that a box has.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from appliance.errors import ArchiveDamaged, StoreUnusable
from appliance.plain_files import Meter, Tell, digest, pieces, quiet, write
from engine.audio import sync_folder
from engine.journal import EVENTS, PCM

MANIFEST, SEAL = "manifest.jsonl", "manifest.sha256"
FORMAT = 1
DATABASE = "scribebox.db"
SINGLE = ("secret", "admin.key", "scribebox.toml", "tls/cert.pem", "tls/key.pem")
NAMES = re.compile(
    "|".join(
        [
            *map(re.escape, (DATABASE, *SINGLE)),
            r"audio/[A-Za-z0-9][A-Za-z0-9._-]*",
            rf"recordings/[0-9]+/(?:{re.escape(PCM)}|{re.escape(EVENTS)})",
        ]
    )
)
DIGEST = re.compile("[0-9a-f]{64}")
STEP_AT = 60  # where a file of SQLite has its user_version, big-endian
MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive holds, and how it came to be."""

    kind: str  # why it was made
    created_at: datetime
    version: str  # of Scribebox
    step: int  # of the database
    sessions: int
    recordings: int  # that had no end yet
    missing: tuple[str, ...]  # audio that the box itself had lost
    changed: tuple[str, ...]  # audio that isn't what it was when it came into the box
    files: tuple[Entry, ...]

    @property
    def total_bytes(self) -> int:
        """Return the size of all files."""
        return sum(entry.bytes for entry in self.files)

    def encode(self) -> bytes:
        """Return the manifest as it is written."""
        head = {
            "format": FORMAT,
            "kind": self.kind,
            "createdAt": self.created_at.isoformat(),
            "version": self.version,
            "step": self.step,
            "sessions": self.sessions,
            "recordings": self.recordings,
            "missing": self.missing,
            "changed": self.changed,
        }
        files = ({"path": e.path, "bytes": e.bytes, "sha256": e.sha256} for e in self.files)
        return b"".join(json.dumps(line).encode() + b"\n" for line in (head, *files))

    @classmethod
    def decode(cls, text: bytes) -> Self:
        """Return what a manifest says; ValueError if it says what can't be."""
        try:
            head, *files = text.splitlines()
            told = json.loads(head)
            if told["format"] > FORMAT:
                raise StoreUnusable("was made by a newer version; install that one")
            created_at = datetime.fromisoformat(told["createdAt"]).astimezone(UTC)
            found = cls(
                kind=str(told["kind"]),
                created_at=created_at,
                version=str(told["version"]),
                step=int(told["step"]),
                sessions=int(told["sessions"]),
                recordings=int(told["recordings"]),
                missing=tuple(map(str, told["missing"])),
                changed=tuple(map(str, told["changed"])),
                files=tuple(entry_of(json.loads(line)) for line in files),
            )
        except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from None
        paths = [entry.path for entry in found.files]
        if len(set(paths)) != len(paths) or DATABASE not in paths:
            raise ValueError("a file is named twice, or there is no database")
        return found


def entry_of(told: Any) -> Entry:
    """Return an entry of a manifest; ValueError if a box has no such file."""
    path, size, sha256 = told["path"], told["bytes"], told["sha256"]
    if not (NAMES.fullmatch(path) and DIGEST.fullmatch(sha256) and isinstance(size, int)):
        raise ValueError(f"{path!r} is no file of a box")
    return Entry(path, size, sha256)


def seal(folder: Path, manifest: Manifest) -> None:
    """Write the manifest and its digest, the last thing that comes into an archive; sync it all."""
    text = manifest.encode()
    write(folder / MANIFEST, [text])
    write(folder / SEAL, [seal_of(text)])
    for path, _, _ in os.walk(folder, topdown=False):
        sync_folder(Path(path))


def seal_of(manifest: bytes) -> bytes:
    """Return what stands beside a manifest to prove it."""
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n".encode()


def read(folder: Path) -> Manifest:
    """Return the manifest, proved by its digest; what it says of the files is not proved yet."""
    try:
        text, proof = (b"".join(pieces(folder / name)) for name in (MANIFEST, SEAL))
    except OSError as error:
        what = f"no backup is there, or not a whole one: {error.strerror}"
        raise damaged(folder, [what]) from None
    if proof != seal_of(text):
        raise damaged(folder, [f"{MANIFEST}: is not what {SEAL} says"])
    try:
        return Manifest.decode(text)
    except StoreUnusable as error:
        raise StoreUnusable(f"{folder}: {error}") from None
    except ValueError as error:
        raise damaged(folder, [f"{MANIFEST}: can't be right: {error}"]) from None


def verify(folder: Path, tell: Tell = quiet) -> Manifest:
    """Compare every byte with the manifest and return it; raise ArchiveDamaged with all found."""
    manifest = read(folder)
    wanted = {entry.path: entry for entry in manifest.files}
    problems = [
        f"{path}: does not belong there, or is no plain file"
        for path, plain in contents(folder)
        if not (plain and path in {*wanted, MANIFEST, SEAL})
        and not (path.endswith("/") and any(other.startswith(path) for other in wanted))
    ]
    meter = Meter(tell, manifest.total_bytes)
    for entry in manifest.files:
        try:
            if digest(folder / entry.path, meter) != (entry.bytes, entry.sha256):
                problems.append(f"{entry.path}: has other bytes than when the backup was made")
        except OSError as error:
            problems.append(f"{entry.path}: can't be read: {error.strerror}")
    if not problems and step_of(folder / DATABASE) != manifest.step:
        problems.append(f"{DATABASE}: is not of step {manifest.step}")
    if problems:
        raise damaged(folder, problems)
    return manifest


def damaged(folder: Path, problems: list[str]) -> ArchiveDamaged:
    """Return the error that tells what is wrong with an archive."""
    told = problems[:MOST_TOLD]
    if len(problems) > MOST_TOLD:
        told.append(f"and {len(problems) - MOST_TOLD} more")
    lines = "\n".join(f"{folder}: {problem}" for problem in told)
    return ArchiveDamaged(f"{lines}\nthis backup is of no use; take another one")


def contents(folder: Path, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Yield all that lies in a folder and those below, and whether it is a plain file."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield f"{path}/", False
            yield from contents(folder / entry.name, f"{path}/")
        else:
            yield path, entry.is_file(follow_symlinks=False)


def step_of(database: Path) -> int:
    """Return the step of a database that nobody has open, without opening it."""
    with database.open("rb") as file:
        file.seek(STEP_AT)
        return int.from_bytes(file.read(4), "big")
