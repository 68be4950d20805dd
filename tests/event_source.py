"""Server-Sent Events as the standard wants them read, and recordings to tell of."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from api import app, server
from appliance.settings import Settings
from appliance.store import accounts, recordings, sessions
from appliance.store.entities import Recording, RecordingState, Source

WAIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Heard:
    """An event as a browser would dispatch it."""

    kind: str
    data: str
    last_id: str


class Parser:
    """The parsing of https://html.spec.whatwg.org/#event-stream-interpretation, byte by byte."""

    def __init__(self) -> None:
        self.last_id, self.retry_ms, self.comments = "", None, []
        self._line, self._after_cr, self._first = bytearray(), False, True
        self._kind, self._lines = "", []

    def feed(self, piece: bytes) -> list[Heard]:
        """Return the events that the piece completes."""
        found = []
        for byte in piece:
            if byte == 0x0A and self._after_cr:
                self._after_cr = False
                continue
            self._after_cr = byte == 0x0D
            if byte not in (0x0A, 0x0D):
                self._line.append(byte)
                continue
            line, self._line = self._line.decode(), bytearray()
            if self._first:
                line, self._first = line.removeprefix("\ufeff"), False
            if (heard := self._take(line)) is not None:
                found.append(heard)
        return found

    def _take(self, line: str) -> Heard | None:
        if not line:
            lines, kind = self._lines, self._kind
            self._lines, self._kind = [], ""
            return Heard(kind or "message", "\n".join(lines), self.last_id) if lines else None
        name, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if colon and not name:
            self.comments.append(value)
        elif name == "data":
            self._lines.append(value)
        elif name == "event":
            self._kind = value
        elif name == "id" and "\0" not in value:
            self.last_id = value
        elif name == "retry" and value.isdigit():
            self.retry_ms = int(value)
        return None


class Listening:
    """One open stream; every wait is bounded."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer, self.parser = answer, Parser()
        self._pieces = answer.iter_raw()
        self._waiting: list[Heard] = []

    def next(self) -> Heard | None:
        """Wait for the next event; None at the end of the stream."""
        deadline = time.monotonic() + WAIT_S
        while not self._waiting:
            assert time.monotonic() < deadline, f"no event in {WAIT_S} s"
            piece = next(self._pieces, None)
            if piece is None:
                return None
            self._waiting = self.parser.feed(piece)
        return self._waiting.pop(0)

    def take(self, count: int) -> list[Heard]:
        """Wait for so many events."""
        found = [self.next() for _ in range(count)]
        assert None not in found, f"the stream ended: {found}"
        return found

    def rest(self) -> list[Heard]:
        """Wait for the end of the stream; return what came before it."""
        found = []
        while (heard := self.next()) is not None:
            found.append(heard)
        return found


@contextlib.contextmanager
def listening(url: str, number: int, key: str, last_id: str | None = None) -> Iterator[Listening]:
    """Open the stream of a recording."""
    headers = {"Authorization": f"Bearer {key}"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    path = f"{url}/api/v1/recordings/{number}/events"
    with (
        httpx.Client(timeout=WAIT_S, trust_env=False) as client,
        client.stream("GET", path, headers=headers) as answer,
    ):
        assert answer.status_code == 200, answer.status_code
        yield Listening(answer)


class ServedBox:
    """The app behind a real uvicorn in a thread of this process, so that tests reach its bus."""

    def __init__(self, settings: Settings) -> None:
        listener = server.bind(settings)
        self.url = server.url_of(listener, settings)
        self.application = app.create(settings, self.url)
        self._listening = threading.Event()
        self._server = server.Server(
            server.configuration(self.application, settings),
            self._listening.set,
            lambda: self.application.state.closing.begin(),
            self._last_words,
        )
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        assert self._listening.wait(WAIT_S)

    async def _last_words(self) -> None:
        """Let live streams end, as `serve` does."""
        await self.application.state.connections.stop(3.0)

    @property
    def database(self):
        """Return the database of the running box."""
        return self.application.state.box.database

    def stop(self) -> float:
        """Stop as on a signal; return how many seconds that took."""
        began_s = time.monotonic()
        self._server.handle_exit(15, None)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        return time.monotonic() - began_s


@contextlib.contextmanager
def deaf_listener(url: str, number: int, key: str) -> Iterator[socket.socket]:
    """Ask for the stream of a recording and don't read it."""
    where = urlsplit(url)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(WAIT_S)
        deaf.connect((where.hostname, where.port))
        deaf.sendall(
            f"GET /api/v1/recordings/{number}/events HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"Authorization: Bearer {key}\r\n\r\n".encode()
        )
        yield deaf


def recording_of(database, account_name=accounts.DEFAULT) -> int:
    """Make a recording without sound; its first event is the state `recording`."""
    with database.write() as session:
        owner = accounts.named(session, account_name)
        hidden = sessions.open_one(session, owner.id, Source.MICROPHONE)
        return recordings.add(session, owner.id, hidden.id, device="default", profile="meeting").id


def say(database, number: int, *texts: str) -> None:
    """Store a segment for each text."""
    with database.write() as session:
        row = session.get_one(Recording, number)
        for text in texts:
            recordings.append_event(session, row, recordings.SEGMENT, {"text": text})


def put(database, number: int, state: RecordingState) -> None:
    """Put a recording into a state, and tell of it."""
    with database.write() as session:
        recordings.change_state(session, session.get_one(Recording, number), state)
