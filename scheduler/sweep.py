"""What no row names goes, and what a row names but isn't there is counted; a duty of the clock.

Every file of the audio folder should have its row and every row its file; a crash or a backup that
was restored may have left others. What is deleted has one of our names, is a day old, and is named
by no row, which is looked at again right before, while nobody can file anything. If such files
outnumber those that are named, it is rather the database that is wrong: then none is deleted.
"""

import contextlib
import logging
import re
import stat
import threading
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta

from sqlmodel import Session

from appliance.audio_folder import PART
from appliance.finishing import name_of
from appliance.history_audio import HistoryAudio
from appliance.recorder import Recorder
from appliance.store import entities, recordings, retention
from appliance.store.database import Database
from appliance.uploads import Uploads
from scheduler import recovery

log = logging.getLogger(__name__)
OURS = re.compile(r"([0-9a-f]{32}|recording-[0-9]+)(\.part|\.gone)?")
LEFT_FOR = timedelta(days=1)
FEW = 20  # files without a row that say nothing about the database
PAGE, BATCH = 5000, 200
COMPLETE, DELETE = "complete", "delete"


class Sweep:
    """Sweep files and folders; `stopping` ends a run soon."""

    def __init__(
        self,
        database: Database,
        uploads: Uploads,
        history_audio: HistoryAudio,
        recorder: Recorder,
        stopping: threading.Event,
    ) -> None:
        self.missing = 0  # rows without their file, as the last run found
        self._database, self._recorder, self._stopping = database, recorder, stopping
        self._uploads, self._history_audio, self._audio = uploads, history_audio, uploads.audio

    def run(self, at: datetime | None = None) -> None:
        """Sweep the audio, count what is missing, sweep the folders of recordings."""
        before_s = ((at or entities.now()) - LEFT_FOR).timestamp()
        there = self._audio.files()  # before the rows: a file gets its name after its row
        named = self._named()
        self._sweep_audio(there, named, before_s)
        self._count_missing(named)
        recovery.sweep(self._database, self._recorder)

    def _sweep_audio(self, there: set[str], named: set[str], before_s: float) -> None:
        """Complete and delete what a first look says, if a second look says so, too."""
        own = {name for path in named if (name := self._audio.own(path))}
        with self._database.read() as session:
            busy = self._busy(session)
        found = {name for name in there if self._fate(name, own, busy, before_s)}
        orphans = {name for name in found if OURS.fullmatch(name) and "." not in name}
        if len(orphans) > max(FEW, len(own & there)):
            log.error("%d audio files have no row, %d have one: is it the right database? None is "
                      "deleted", len(orphans), len(own & there))  # fmt: skip
            found -= orphans
        done = dict.fromkeys((COMPLETE, DELETE), 0)
        for names in batches(sorted(found), BATCH):
            if self._stopping.is_set():
                break
            with self._nobody_filing() as session:
                paths = [f"{self._audio.path.name}/{stem_of(name)}" for name in names]
                own = {path.rpartition("/")[2] for path in retention.named_among(session, paths)}
                busy = self._busy(session)
                for name in names:
                    fate = self._fate(name, own, busy, before_s)
                    if fate is not None:
                        self._carry_out(fate, name)
                        done[fate] += 1
        if any(done.values()):
            log.warning("audio without a row: %d deleted; cut off: %d completed", done[DELETE],
                        done[COMPLETE])  # fmt: skip

    def _fate(
        self, name: str, named: Collection[str], busy: Collection[str], before_s: float
    ) -> str | None:
        """Return what is to be done about a file; None: nothing."""
        if OURS.fullmatch(name) is None:
            return None
        path, final = self._audio.path / name, self._audio.path / stem_of(name)
        if final.name in named and (path == final or not final.exists()):
            return None if path == final else COMPLETE
        if final.name in busy:
            return None
        with contextlib.suppress(FileNotFoundError):
            found = path.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_mtime <= before_s:
                return DELETE
        return None

    def _carry_out(self, fate: str, name: str) -> None:
        path = self._audio.path / name
        if fate == DELETE:
            path.unlink(missing_ok=True)
        else:
            with contextlib.suppress(FileNotFoundError):  # a recording that has just ended
                path.rename(path.with_name(stem_of(name)))

    def _busy(self, session: Session) -> set[str]:
        """Return the names of what is on its way: uploads, and the audio of open recordings."""
        unfinished = recordings.unfinished(session)
        return set(self._audio.arriving) | {name_of(row.id) for row in unfinished if row.id}

    def _count_missing(self, named: set[str]) -> None:
        """Count the rows whose file isn't there, and tell."""
        there, missing = self._audio.files(), 0
        lost = [path for path in named if self._audio.own(path) not in there]
        for paths in batches(sorted(lost), PAGE):
            if self._stopping.is_set():
                return
            with self._nobody_filing() as session:
                still = retention.named_among(session, paths)
            missing += sum(not self._is_there(path) for path in still)
        self.missing = missing
        if missing:
            log.warning("%d audio files are missing; a backup may have them", missing)

    def _is_there(self, audio_path: str) -> bool:
        path = self._audio.path.parent / audio_path
        return path.exists() or path.with_name(path.name + PART).exists()  # about to get its name

    def _named(self) -> set[str]:
        """Return the paths that rows have, read in pages so that no snapshot is held for long."""
        paths: set[str] = set()
        for find in (retention.paths_of_sessions, retention.paths_of_dictations):
            after = None
            while True:
                with self._database.read() as session:
                    page = find(session, after, PAGE)
                paths.update(path for _, path in page)
                if len(page) < PAGE:
                    break
                after = page[-1][0]
        return paths

    @contextlib.contextmanager
    def _nobody_filing(self) -> Iterator[Session]:
        """Hold both locks under which files and rows come and go, and look at the rows."""
        with (
            self._uploads.filing,
            self._history_audio.filing,
            self._database.read() as session,
        ):
            yield session


def stem_of(name: str) -> str:
    """Return the final name of a file that may be coming or leaving."""
    return name.partition(".")[0]


def batches(names: list[str], size: int) -> Iterable[list[str]]:
    """Return the list in pieces."""
    return (names[first : first + size] for first in range(0, len(names), size))
