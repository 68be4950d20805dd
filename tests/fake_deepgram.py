"""Deepgram's cloud on a loopback port: token grant, files, the listening socket, and its moods.

One raw asyncio server in a thread of its own, so that it can misbehave as no framework would. It
notes what it was asked and sent. Whatever it refuses repeats the Authorization header it got,
which must then be found nowhere.
"""

import asyncio
import contextlib
import io
import itertools
import json
import threading
import uuid
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import numpy as np
from fake_listening import Listening, Session
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

WAIT_S = 60
GRANT = ("POST", "/v1/auth/grant")
LISTEN = ("GET", "/v1/listen")
FILE = ("POST", "/v1/listen")
LEGACY = '{{"err_code":"{code}","err_msg":"{text} {said}","request_id":"{id}"}}'
MODERN = '{{"category":"{code}","message":"{text}","details":"{said}","request_id":"{id}"}}'
PLAIN = "{text} {said}"
REFUSALS = {
    "400": (LEGACY, "BAD_REQUEST", "Invalid credentials."),
    "401": (LEGACY, "INVALID_AUTH", "Invalid credentials."),
    "402": (LEGACY, "ASR_PAYMENT_REQUIRED", "Project does not have enough credits."),
    "403": (MODERN, "FORBIDDEN", "Insufficient permissions."),
    "404": (PLAIN, "", "Not Found"),
    "429": (MODERN, "TOO_MANY_REQUESTS", "Too many requests. Please try again later"),
    "500": (PLAIN, "", "Internal Server Error"),
    "503": (PLAIN, "", "Service Unavailable"),
}
Headers = dict[str, str]  # names in lower case
Word = dict[str, object]  # word, start, end, confidence
Hear = Callable[[np.ndarray, str | None], tuple[list[Word], str]]


@dataclass(frozen=True)
class Sent:
    """A file that came whole: what was asked of it, its samples (16 kHz), who asked."""

    query: dict[str, list[str]]
    samples: np.ndarray
    headers: Headers


class FakeDeepgram:
    """What it is to do (change it at any time) and what it has seen."""

    def __init__(self) -> None:
        self.behave = "200"
        """A status, garbage, nothing, drip, closed, huge or redirect. Several words, such as
        "500 200": one for each request, the last for all that follow."""
        self.body: bytes | None = None  # instead of the grant, with status 200
        self.headers: Headers = {}  # added to every answer
        self.token = "eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJmYWtlIn0.c2lnbmF0dXJl"
        self.transcript = "the words of the fake"  # at the first audio
        self.last_words = ""  # only after CloseStream (or Finalize)
        self.requests: list[tuple[str, str, Headers, bytes]] = []
        self.listened: list[Listening] = []
        self.sent: list[Sent] = []  # the files, those that were refused too
        self.hear: Hear = self.say
        """Turns the samples of a file, and the language asked for, into words and a language."""
        self.url = ""

    def say(self, samples: np.ndarray, language: str | None) -> tuple[list[Word], str]:
        """Hear the transcript in any file, its words one after the other."""
        words = self.transcript.split()
        each = len(samples) / 16_000 / max(1, len(words))
        return [
            {"word": w.lower(), "punctuated_word": w, "start": i * each, "end": (i + 1) * each}
            | {"confidence": 0.9}
            for i, w in enumerate(words)
        ], language or "en"

    def next_behaviour(self) -> str:
        """Return how to treat the next request."""
        first, _, rest = self.behave.partition(" ")
        self.behave = rest or first
        return first


@contextlib.contextmanager
def fake_deepgram() -> Iterator[FakeDeepgram]:
    """Run it on a free port until the block ends."""
    fake, loop = FakeDeepgram(), asyncio.new_event_loop()
    bound, stop = threading.Event(), asyncio.Event()

    def run() -> None:
        try:
            loop.run_until_complete(serve(fake, bound, stop))
        finally:
            loop.close()

    thread = threading.Thread(target=run, name="fake deepgram", daemon=True)
    thread.start()
    assert bound.wait(WAIT_S), "the fake of Deepgram did not start"
    try:
        yield fake
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(WAIT_S)
        assert not thread.is_alive(), "the fake of Deepgram did not stop"


async def serve(fake: FakeDeepgram, bound: threading.Event, stop: asyncio.Event) -> None:
    """Take connections until told to stop, then leave none behind."""
    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[asyncio.create_task(connection(fake, reader, writer))] = writer

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    bound.set()
    await stop.wait()
    server.close()
    await asyncio.sleep(0.01)  # what was just accepted gets its task
    for task, writer in connections.items():
        task.cancel()
        writer.transport.abort()  # also where the peer reads no more
    ends = await asyncio.gather(*connections, return_exceptions=True)
    await asyncio.sleep(0)  # the sockets close one turn later
    for end in ends:
        if isinstance(end, Exception):  # a fault of the fake: it fails the test
            raise end


async def connection(
    fake: FakeDeepgram, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer; a client may go away at any point, and the end of the test is a cancellation."""
    gone = (OSError, asyncio.IncompleteReadError, asyncio.CancelledError)
    with contextlib.suppress(*gone), contextlib.closing(writer):
        await answer(fake, reader, writer)


async def answer(
    fake: FakeDeepgram, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve the one request of a connection, or fail to, as told."""
    head = await reader.readuntil(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = line.split(" ")
    headers = {name.lower(): value.strip() for name, value in (f.split(":", 1) for f in fields)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
    if (method, path) == FILE:
        fake.sent.append(Sent(query, samples_of(body), headers))
    fake.requests.append((method, path, headers, body))
    behaviour = fake.next_behaviour()
    if behaviour == "nothing":
        await asyncio.Event().wait()
    elif behaviour == "closed":
        return
    elif behaviour == "drip":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(1)
    elif behaviour == "huge":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while True:
            writer.write(b" " * 65536)
            await writer.drain()
    elif behaviour == "garbage":
        reply(fake, writer, 200, b"<!doctype html>\x00\xff" + headers["authorization"].encode())
    elif behaviour == "redirect":
        location = {"Location": f"{fake.url}/elsewhere"}
        reply(fake, writer, 307, headers["authorization"].encode(), location)
    elif behaviour in REFUSALS or (method, path) not in (GRANT, LISTEN, FILE):
        status = behaviour if behaviour in REFUSALS else "404"
        form, code, text = REFUSALS[status]
        said = headers.get("authorization", "")
        refusal = form.format(code=code, text=text, said=said, id=uuid.uuid4())
        reply(fake, writer, int(status), refusal.encode(), {"dg-error": text})
    elif (method, path) == LISTEN:
        await listen(fake, head, headers, target, reader, writer)
    elif (method, path) == FILE:
        assert behaviour == "200", behaviour
        heard = fake.body
        if heard is None:
            heard = await asyncio.to_thread(transcribe, fake, fake.sent[-1])
        reply(fake, writer, 200, heard)
    else:
        assert behaviour == "200", behaviour
        ttl = json.loads(body or b"{}").get("ttl_seconds", 30)
        granted = json.dumps({"access_token": fake.token, "expires_in": ttl}).encode()
        reply(fake, writer, 200, granted if fake.body is None else fake.body)
    await writer.drain()


def samples_of(body: bytes) -> np.ndarray:
    """Return the samples of a WAV file, of the one kind that may come."""
    with wave.open(io.BytesIO(body)) as file:
        kind = (file.getnchannels(), file.getsampwidth(), file.getframerate())
        assert kind == (1, 2, 16_000), kind
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def transcribe(fake: FakeDeepgram, sent: Sent) -> bytes:
    """Return the answer to a file."""
    asked = sent.query.get("language", [None])[0]
    assert (asked is None) == ("detect_language" in sent.query)
    words, language = fake.hear(sent.samples, asked)
    text = " ".join(str(word.get("punctuated_word", word["word"])) for word in words)
    best = {"transcript": text, "confidence": 0.9 if words else 0.0, "words": words}
    channel = {"alternatives": [best]} | ({} if asked else {"detected_language": language})
    model = {"name": "general-nova-3", "version": "2026-01-01.0", "arch": "nova-3"}
    metadata = {
        "request_id": str(uuid.uuid4()),
        "duration": len(sent.samples) / 16_000,
        "channels": 1,
        "model_info": {str(uuid.uuid4()): model},
    }
    return json.dumps({"metadata": metadata, "results": {"channels": [channel]}}).encode()


def reply(
    fake: FakeDeepgram,
    writer: asyncio.StreamWriter,
    status: int,
    body: bytes,
    headers: Headers | None = None,
) -> None:
    """Write a whole answer."""
    written = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    written |= {"Connection": "close", **fake.headers, **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in written.items())
    writer.write(f"HTTP/1.1 {status} Said So\r\n{head}\r\n".encode() + body)


def credentials(headers: Headers) -> tuple[str, str, str | None]:
    """Return scheme, token and the subprotocol to echo: from the header, else as a browser does."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if token:
        return scheme.lower(), token.strip(), None
    offered = [p.strip() for p in headers.get("sec-websocket-protocol", "").split(",")]
    for one, following in itertools.pairwise(offered):
        if one in ("token", "bearer"):
            return one, following, one
    return "", "", None


async def listen(
    fake: FakeDeepgram,
    head: bytes,
    headers: Headers,
    target: str,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Be the WebSocket until either side closes it."""
    scheme, token, echoed = credentials(headers)
    if not token:
        reply(fake, writer, 401, b'{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials."}')
        return
    listening = Listening(token, scheme, parse_qs(urlsplit(target).query))
    protocol = ServerProtocol(select_subprotocol=lambda *_: echoed, max_size=None)
    protocol.receive_data(head)
    (request,) = protocol.events_received()
    assert isinstance(request, Request)
    response = protocol.accept(request)
    response.headers["dg-request-id"] = listening.request_id
    protocol.send_response(response)
    fake.listened.append(listening)
    session = Session(listening, protocol, fake.transcript, fake.last_words)
    while True:
        for part in protocol.data_to_send():
            if part:
                writer.write(part)
            else:  # the end of the stream
                writer.write_eof()
        await writer.drain()
        if protocol.state is State.CLOSED:
            break
        received = await reader.read(65536)
        protocol.receive_data(received) if received else protocol.receive_eof()
        for event in protocol.events_received():
            session.take(event)
    listening.close_code = protocol.close_code
