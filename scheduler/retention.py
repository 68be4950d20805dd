"""How long things are kept: audio and text apart, by account, in days; a duty of the clock.

What is too old goes in small batches, each one short transaction, with its files by the protocol
of `appliance.audio_folder`: a crash at any moment leaves whole sessions, and the next run goes on.
The tag `keep` protects a session from both. The ledger keeps what was used.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlmodel import Session

from appliance.history_audio import HistoryAudio
from appliance.store import accounts, audit, entities, retention
from appliance.store.database import Database
from appliance.store.entities import Account, SessionState
from appliance.store.retention import Old
from appliance.uploads import Uploads

log = logging.getLogger(__name__)
FAILED_DAYS = 30
BATCH = 50  # rows, but for those that the time doesn't suffice for
BUDGET_S = 0.02
PAUSE_S = 0.01  # at least, and as long as the batch took: others want to write, too


@dataclass(frozen=True, slots=True)
class Days:
    """How many days an account keeps things; 0: for ever."""

    audio: int
    text: int

    @property
    def failed(self) -> int:
        """Return how long a session that failed is kept, which nobody can see."""
        return min(FAILED_DAYS, self.text or FAILED_DAYS)

    def of(self, account: Account) -> "Days":
        """Return those of an account that may have its own."""
        audio, text = account.retention_audio_days, account.retention_text_days
        return Days(self.audio if audio is None else audio, self.text if text is None else text)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing that goes when it is old."""

    name: str
    days: Callable[[Days], int]
    find: Callable[[Session, int, datetime, Any, int], list[Old]]  # the account's, a page
    remove: Callable[[Session, Old], bool]
    of_sessions: bool

    @property
    def first(self) -> Any:
        """Return what is before every key."""
        return retention.FIRST_SESSION if self.of_sessions else retention.FIRST_ENTRY


def of_sessions(
    name: str, days: Callable[[Days], int], state: SessionState, *, audio: bool = False
) -> Kind:
    """Return the kind of sessions in a state, or of their audio."""
    find = partial(retention.sessions, state=state, with_audio=audio)
    remove = retention.forget_audio if audio else retention.delete_session
    return Kind(name, days, find, remove, of_sessions=True)


KINDS = (
    of_sessions("sessions", lambda d: d.text, SessionState.DONE),
    of_sessions("failed sessions", lambda d: d.failed, SessionState.FAILED),
    of_sessions("audio of sessions", lambda d: d.audio, SessionState.DONE, audio=True),
    of_sessions("audio of failed sessions", lambda d: d.audio, SessionState.FAILED, audio=True),
    Kind(
        "dictations",
        lambda d: d.text,
        retention.dictations,
        retention.delete_dictation,
        of_sessions=False,
    ),
    Kind(
        "audio of dictations",
        lambda d: d.audio,
        partial(retention.dictations, with_audio=True),
        retention.detach_audio,
        of_sessions=False,
    ),
)


class Retention:
    """Let go what has been kept for long enough; `stopping` ends a run after the batch at hand."""

    def __init__(
        self,
        database: Database,
        uploads: Uploads,
        history_audio: HistoryAudio,
        days: Days,
        stopping: threading.Event,
    ) -> None:
        self._database, self._days, self._stopping = database, days, stopping
        self._uploads, self._history_audio = uploads, history_audio

    def run(self, at: datetime | None = None) -> None:
        """Look at every account; one that can't be served holds up no other."""
        at = at or entities.now()
        with self._database.read() as session:
            found = accounts.every(session)
        failure: Exception | None = None
        for account in found:
            try:
                self._tidy(account, at)
            except Exception as error:
                log.error("the retention of account %s stopped early", account.id)
                failure = failure or error
        if failure is not None:
            raise failure

    def _tidy(self, account: Account, at: datetime) -> None:
        """Let go what an account has too old, and write one line of audit about it."""
        assert account.id is not None
        days, counts = self._days.of(account), Counter[str]()
        try:
            for kind in KINDS:
                if kind.days(days):
                    before = at - timedelta(days=kind.days(days))
                    self._let_go(kind, account.id, before, counts)
        finally:
            if counts:
                said = ", ".join(f"{name}: {count}" for name, count in counts.items())
                log.info("too old and gone, of account %d: %s", account.id, said)
                with self._database.write() as session:
                    audit.note(session, "retention", said, account_id=account.id)

    def _let_go(self, kind: Kind, account_id: int, before: datetime, counts: Counter[str]) -> None:
        after = kind.first
        while not self._stopping.is_set():
            with self._database.read() as session:
                page = kind.find(session, account_id, before, after, BATCH)
            if not page:
                return
            after = page[-1].key
            doomed = [old for old in page if not old.protected]
            if doomed:
                began = time.monotonic()
                looked_at, gone = self._remove(kind, doomed)
                if gone:
                    counts[kind.name] += gone
                if looked_at < len(doomed):
                    after = doomed[looked_at - 1].key
                self._database.relieve()
                self._stopping.wait(max(PAUSE_S, time.monotonic() - began))

    def _remove(self, kind: Kind, doomed: Sequence[Old]) -> tuple[int, int]:
        """Remove some, as far as the time goes; return how many were looked at, and are gone."""
        audio = self._uploads.audio
        names = {old.key: name for old in doomed if (name := audio.own(old.audio_path))}
        gone: list[Old] = []
        looked_at = 0
        with self._filing(kind):
            with audio.all_leaving(names.values()) as leaving, self._database.write() as session:
                until = time.monotonic() + BUDGET_S
                for old in doomed:
                    looked_at += 1
                    if kind.remove(session, old):
                        gone.append(old)
                        leaving.update(filter(None, [names.get(old.key)]))
                    if time.monotonic() > until:
                        break
            for old in gone:
                self._uploads.remove_journal(old.audio_path)
                if kind.of_sessions:
                    self._uploads.waveforms.forget(old.key)
        return looked_at, len(gone)

    def _filing(self, kind: Kind) -> threading.Lock:
        return self._uploads.filing if kind.of_sessions else self._history_audio.filing
