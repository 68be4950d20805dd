"""The folder that is the box: database, audio, models, the admin key, and the lock on it."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from appliance import restore
from appliance.errors import FolderBusy, SettingRefused
from engine.audio import sync_folder


class DataFolder:
    """Know where everything lies. Made with mode 0700: meetings are nobody else's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "scribebox.db"
        self.audio = path / "audio"
        self.recordings = path / "recordings"
        self.models = path / "models"
        self.backups = path / "backups"
        self.admin_key = path / "admin.key"
        self.secret = path / "secret"
        self.lock = path / "lock"

    def make(self) -> "DataFolder":
        """Create what is missing, once a restore that was cut off is completed or taken back."""
        self.settle()
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.audio.mkdir(exist_ok=True, mode=0o700)
            self.recordings.mkdir(exist_ok=True, mode=0o700)
            self.models.mkdir(exist_ok=True)
        except OSError as error:
            raise SettingRefused(
                f"data_dir: '{self.path}' can't be used: {error.strerror}; "
                "choose another folder with --data or SCRIBEBOX_DATA_DIR"
            ) from error
        return self

    def settle(self) -> None:
        """See to a restore that was cut off; raise FolderBusy while one goes on."""
        if restore.pending(self.path):
            with self.held("backup restore"):
                restore.finish(self.path)

    @contextlib.contextmanager
    def held(self, purpose: str, **details: object) -> Iterator[None]:
        """Hold the lock; whoever comes second is told who was first."""
        with self.lock.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise FolderBusy(
                    f"{self.path} is held by {holder(file.read())}; "
                    "stop that one, or choose another folder with --data"
                ) from None
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "purpose": purpose, **details}))
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)


def holder(text: str) -> str:
    """Return in words who wrote the lock file."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        said = json.loads(text)
        where = f" at {said['url']}" if said.get("url") else ""
        return f"'scribebox {said['purpose']}'{where}, process {said['pid']}"
    return "another process"


def write_private(path: Path, text: str) -> None:
    """Write a secret to a file that only its owner can read, never readable for a moment."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)
