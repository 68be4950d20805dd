"""Who records for `scribebox record`: this process, or the server that holds the data folder.

Both are started, stopped and listened to in the same way; a recorder is used for one recording.
"""

import contextlib
import math
import queue
from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from api.commands.at_server import AtServer, Told, is_end
from appliance import box as appliance
from appliance.box import Box
from appliance.errors import FolderBusy
from appliance.events import Event
from appliance.settings import Settings
from appliance.store import accounts, recordings
from engine.models import Shelf
from engine.whisper import check_language
from scheduler import recovery

LOOK_S = 1.0


class Recorder(Protocol):
    """What records."""

    def start(self, wishes: dict[str, Any]) -> int:
        """Start to record; return the number of the recording."""

    def stop(self) -> None:
        """End the recording; twice is fine."""

    def events(self) -> Iterator[Told]:
        """Yield what the recording tells, waiting for it, until it has ended."""

    def status(self) -> dict[str, Any]:
        """Return how the recording is, as the API writes it."""

    def trouble(self) -> str | None:
        """Return what keeps the text from coming."""


@contextlib.contextmanager
def recorder(settings: Settings) -> Iterator[Recorder]:
    """Start the box in this process, or find the server that holds its data folder."""
    with contextlib.ExitStack() as stack:
        used: Recorder
        try:
            box = stack.enter_context(appliance.running(settings, url=""))
        except FolderBusy as busy:
            used = stack.enter_context(contextlib.closing(AtServer(settings, busy)))
        else:
            end_what_was_left(box)
            check_language(Shelf(box.folder.models).find(settings.model), settings.language)
            used = InProcess(box)
        yield used


def end_what_was_left(box: Box) -> None:
    """See to recordings that have no end: none goes on, or the microphone would be taken."""
    recovery.recover(box.database, box.recorder, now_s=math.inf)
    for take in box.recorder.takes:
        if take.capturing.alive:
            box.recorder.stop(take.account_id, take.id)


class InProcess:
    """A recording of this process."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._id = 0
        with box.database.read() as session:
            owner = accounts.named(session, accounts.DEFAULT)
        assert owner.id is not None
        self._account_id = owner.id

    def start(self, wishes: dict[str, Any]) -> int:
        """Start as the API does, with the same checks."""
        from api.uploads import Wishes  # the API, which `record` at a server doesn't need

        Wishes(wishes.get("title"), None, wishes.get("language")).check(self._box)
        given = {name: value for name, value in wishes.items() if name != "maxSeconds"}
        self._id = self._box.recorder.start(
            self._account_id, max_seconds=wishes.get("maxSeconds"), **given
        ).id
        return self._id

    def stop(self) -> None:
        """End it."""
        self._box.recorder.stop(self._account_id, self._id)

    def events(self) -> Iterator[Told]:
        """Yield the rows of its events, and its level."""
        heard: queue.SimpleQueue[Event] = queue.SimpleQueue()
        unsubscribe = self._box.database.bus.subscribe(heard.put)
        position = 0
        try:
            while True:
                with self._box.database.read() as session:
                    rows = recordings.events_after(session, self._id, position)
                for row in rows:
                    position = row.sequence
                    yield row.kind, row.payload
                    if is_end(row.kind, row.payload):
                        return
                with contextlib.suppress(queue.Empty):
                    event = heard.get(timeout=LOOK_S)
                    if event.name == recordings.LEVEL:
                        yield "level", {"dbfs": event.values["dbfs"]}
        finally:
            unsubscribe()

    def status(self) -> dict[str, Any]:
        """Return the object of the API."""
        from api.recordings import public

        found = public(self._box.recorder.status(self._account_id, self._id))
        said: dict[str, Any] = msgspec.to_builtins(found)
        return said

    def trouble(self) -> str | None:
        """Return why there is no engine."""
        failure = self._box.worker.failure
        return None if failure is None else str(failure)
