"""What a recording tells while it runs and after, as Server-Sent Events.

Guarantee: every stored event reaches a listener once, in order, also one that comes back with
Last-Event-ID after the box was restarted: the database is what is told from, the bus only says that
it is worth looking. A listener holds no thread and nothing that grows; of levels and of partials,
which are of the moment, the newest counts. A partial comes before the segments that its words
become, and behind all segments before them. It is decoded only while somebody listens: each
listener says every LOOK_S that it still takes what is sent.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Any

import anyio.to_thread
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter

from api import event_stream
from api.auth import needs
from api.closing import Closing
from api.event_stream import EventStream
from api.openapi import answer
from api.recordings import MISSING, ONE, floored
from appliance.box import Box
from appliance.errors import NotFound, Refused
from appliance.events import Event
from appliance.store import keys, recordings
from appliance.store.entities import ApiKey, RecordingEvent
from appliance.store.keys import Caller

PAGE = 100
LOOK_S = 2.0  # how often the database is looked at though the bus says nothing
KEEP_ALIVE_S = 15.0
NUMBER = re.compile("[0-9]{1,18}")
DISCARDED = {"state": "discarded", "sessionId": None}
LastEventId = Annotated[
    str | None,
    HeaderParameter(name="Last-Event-ID", description="the `id` of the last event received"),
]


@dataclass(frozen=True, slots=True)
class News:
    """What a look at the database gave; `last`: nothing will follow for this listener."""

    events: list[RecordingEvent]
    last: bool
    discarded: bool = False


@get(
    f"{ONE}/events",
    operation_id="watchRecording",
    **needs(
        "recordings",
        {
            200: answer(str, "the events, as they come", event_stream.MEDIA_TYPE),
            204: answer(None, "the recording has ended, and the client has every event"),
        },
        _404=MISSING,
    ),
    tags=["recordings"],
)
async def watch_recording(
    box: NamedDependency[Box],
    closing: NamedDependency[Closing],
    recording_id: FromPath[int],
    caller: NamedDependency[Caller],
    last_event_id: LastEventId = None,
) -> Response[Any]:
    """Tell of a recording from its beginning, or from Last-Event-ID on, until it has ended.

    `segment`, `gap`, `alarm` and `state` have an `id`. Of the moment, without one, are `level`
    (`{"dbfs"}`, once a second) and, while somebody speaks, `partial` (`{"stable", "tentative",
    "atSeconds"}`): what is said behind the last segment, up to that second of the recording. Each
    replaces the one before; its `stable` words stay and are part of the next segments, its
    `tentative` ones may change. Both are empty once that text is there. The last event is the
    `state` done, recovered, failed or discarded.
    """
    feed = Feed(box, caller, recording_id, position_of(last_event_id))
    if not await anyio.to_thread.run_sync(feed.begin):
        return Response(None, status_code=204)  # tells an EventSource not to come back
    return EventStream(feed.pieces(), closing)


def position_of(last_event_id: str | None) -> int:
    """Return the number of the last event that a client has; 0: none."""
    if not last_event_id:
        return 0
    if not NUMBER.fullmatch(last_event_id):
        raise Refused(f"Last-Event-ID {last_event_id[:20]!r}: want the id of an event")
    return int(last_event_id)


class Feed:
    """What one listener is still to hear. Made and iterated on the event loop."""

    def __init__(self, box: Box, caller: Caller, recording_id: int, position: int) -> None:
        self._box, self._caller, self._id = box, caller, recording_id
        self._position = position
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._worth_looking = True
        self._levels: list[float | None] = []  # the newest, until it is sent
        self._partial: Event | None = None  # the same
        self._segment = 0  # the number of the last one that was sent

    def begin(self) -> bool:
        """Refuse what isn't there; tell whether there is, or will be, anything to hear."""
        with self._box.database.read() as session:
            row = recordings.get(session, self._caller.account_id, self._id)
            last = self._position
            if last and not recordings.events_after(session, self._id, last - 1, 1):
                raise Refused(f"Last-Event-ID {last}: recording {self._id} has no such event")
            left = recordings.events_after(session, self._id, last, 1)
            return bool(left) or row.state in recordings.OPEN

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield what there is, and then what comes, until the end or for ever."""
        unsubscribe = self._box.database.bus.subscribe(self._hear)
        try:
            yield event_stream.RETRY
            looked_at = said_at = time.monotonic()
            while True:
                self._say_present()
                if self._worth_looking or time.monotonic() - looked_at >= LOOK_S:
                    self._worth_looking, looked_at = False, time.monotonic()
                    news = await anyio.to_thread.run_sync(self._look)
                    for event in news.events:
                        yield event_stream.encode(event.kind, event.payload, event.sequence)
                        self._position, said_at = event.sequence, time.monotonic()
                        if event.kind == recordings.SEGMENT:
                            self._segment = event.sequence
                    if news.discarded:
                        yield event_stream.encode(recordings.STATE, DISCARDED)
                    if news.last:
                        return
                    self._worth_looking |= len(news.events) == PAGE
                while self._levels:
                    dbfs = floored(self._levels.pop())
                    yield event_stream.encode("level", {"dbfs": dbfs})
                    said_at = time.monotonic()
                if (partial := self._due_partial()) is not None:
                    yield event_stream.encode("partial", partial)
                    said_at = time.monotonic()
                if time.monotonic() - said_at >= KEEP_ALIVE_S:
                    yield event_stream.KEEP_ALIVE
                    said_at = time.monotonic()
                if not self._worth_looking:
                    await self._wait(looked_at + LOOK_S - time.monotonic())
        finally:
            unsubscribe()

    def _say_present(self) -> None:
        """Tell the take that somebody looks at it."""
        for take in self._box.recorder.takes:
            if take.id == self._id:
                take.watch()

    def _due_partial(self) -> dict[str, Any] | None:
        """Return the newest partial if its turn has come; what became a segment has none."""
        event = self._partial
        if event is None or event.values["after"] > self._position:
            return None
        self._partial = None
        content: dict[str, Any] = event.values["content"]
        return content if event.values["after"] >= self._segment else None

    async def _wait(self, timeout_s: float) -> None:
        """Wait until something was heard, or it is time to look anyway."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), max(timeout_s, 0.0))
        self._woken.clear()

    def _hear(self, event: Event) -> None:
        """Take note of what concerns this listener; runs in the thread that committed."""
        if event.name in (recordings.EVENT, recordings.LEVEL, recordings.PARTIAL):
            concerned = event.values["recording_id"] == self._id
        else:
            concerned = event.name == keys.REVOKED
        if concerned:
            self._loop.call_soon_threadsafe(self._wake, event)

    def _wake(self, event: Event) -> None:
        if event.name == recordings.LEVEL:
            self._levels = [event.values["dbfs"]]
        elif event.name == recordings.PARTIAL:
            self._partial = event
        else:
            self._worth_looking = True
        self._woken.set()

    def _look(self) -> News:
        """Return what comes next. One moment of the database: state and events belong together."""
        with self._box.database.read() as session:
            key = session.get(ApiKey, self._caller.key_id)
            if key is None or keys.state(key) != "valid":
                return News([], last=True)
            try:
                row = recordings.get(session, self._caller.account_id, self._id)
            except NotFound:
                return News([], last=True, discarded=True)
            events = recordings.events_after(session, self._id, self._position, PAGE)
            return News(events, row.state not in recordings.OPEN and len(events) < PAGE)
