"""A client of `WS /v1/listen`, and the rules that every stream of it must keep."""

import contextlib
import json
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from engine.audio import SAMPLE_RATE, Samples

WAIT_S = 120  # however busy the machine is
CLOCK_S = 0.002  # times are told with three digits
STRAY_S = 0.3  # a word may lie so far outside of its Results: Whisper's times are coarse
LINEAR = {"encoding": "linear16", "sample_rate": str(SAMPLE_RATE)}
EVERYTHING = {
    **LINEAR,
    "interim_results": "true",
    "vad_events": "true",
    "utterance_end_ms": "1000",
    "endpointing": "300",
    "punctuate": "true",
}
CONTAINER = {name: value for name, value in EVERYTHING.items() if name not in LINEAR}
FIELDS = {
    "Results": {
        "type", "channel_index", "duration", "start", "is_final", "speech_final", "channel",
        "metadata", "from_finalize",
    },
    "Metadata": {
        "type", "transaction_key", "request_id", "sha256", "created", "duration", "channels",
    },
    "SpeechStarted": {"type", "channel", "timestamp"},
    "UtteranceEnd": {"type", "channel", "last_word_end"},
}  # fmt: skip
Message = dict[str, Any]


@dataclass
class Told:
    """What a client was told, from the first message to the close."""

    messages: list[Message] = field(default_factory=list)
    code: int | None = None
    reason: str = ""

    def of(self, *kinds: str) -> list[Message]:
        """Return the messages of some types."""
        return [message for message in self.messages if message["type"] in kinds]

    @property
    def results(self) -> list[Message]:
        """Return what was heard, interim or final."""
        return self.of("Results")

    @property
    def finals(self) -> list[Message]:
        """Return what was heard for good."""
        return [message for message in self.results if message["is_final"]]

    @property
    def flushed(self) -> list[Message]:
        """Return the answers to Finalize."""
        return [message for message in self.results if message["from_finalize"]]

    @property
    def duration_s(self) -> float:
        """Return how much sound the server says it had."""
        (metadata,) = self.of("Metadata")
        return float(metadata["duration"])

    def text(self, channel: int = 0) -> str:
        """Return the final text of a channel."""
        own = [one for one in self.finals if one["channel_index"][0] == channel]
        return " ".join(text for one in own if (text := transcript(one)))


class Client:
    """One socket. It is read all the time, so that only the server may be behind."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.told = Told()

    def send(self, *sound: bytes | Samples) -> None:
        """Send sound, one message each."""
        for one in sound:
            self.socket.send(one if isinstance(one, bytes) else one.tobytes())

    def say(self, kind: str, **more: object) -> None:
        """Send a command."""
        self.socket.send(json.dumps({"type": kind, **more}))

    def until(self, kind: str, timeout_s: float = WAIT_S, **wanted: object) -> Message:
        """Wait for a message with these fields, and return it."""
        while True:
            message = self._next(timeout_s)
            if message["type"] == kind and wanted.items() <= message.items():
                return message

    def rest(self, timeout_s: float = WAIT_S) -> Told:
        """Return all that was told, once the server has closed."""
        try:
            while True:
                self._next(timeout_s)
        except ConnectionClosed:
            self.told.code = self.socket.close_code
            self.told.reason = self.socket.close_reason or ""
            return self.told

    def _next(self, timeout_s: float) -> Message:
        message = self.socket.recv(timeout_s)
        assert isinstance(message, str), "the server has nothing but text to tell"
        told = json.loads(message)
        self.told.messages.append(told)
        return told


@contextlib.contextmanager
def dial(
    url: str, key: str | None, query: dict[str, Any] | None = None, **more: Any
) -> Iterator[Client]:
    """Open a socket, with a key if there is one; `more` goes to the library."""
    address = f"{url.replace('http', 'ws', 1)}/v1/listen?{urlencode(query or {}, doseq=True)}"
    headers = {"Authorization": f"Token {key}"} if key else {}
    settings = {"additional_headers": headers, "open_timeout": WAIT_S, **more}
    with connect(address, proxy=None, max_queue=None, **settings) as socket:
        yield Client(socket)


def raw_socket(
    url: str,
    key: str,
    query: dict[str, Any] | None = None,
    receive_bytes: int | None = None,
    line: bytes | None = None,
) -> socket.socket:
    """Return a connection that has asked for a stream, for clients that misbehave."""
    address = urlsplit(url)
    connection = socket.socket()
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(WAIT_S)
    connection.connect((address.hostname, address.port))
    path = f"/v1/listen?{urlencode(query or {}, doseq=True)}"
    lines = (
        f"Host: {address.netloc}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Authorization: Token {key}",
    )
    asked = line or f"GET {path} HTTP/1.1".encode()
    connection.sendall(b"\r\n".join((asked, *(each.encode() for each in lines), b"", b"")))
    return connection


def opened(connection: socket.socket) -> socket.socket:
    """Read the answer to a handshake, and nothing more."""
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        read = connection.recv(1)
        assert read, answer
        answer += read
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return connection


def reset(connection: socket.socket) -> None:
    """Vanish as a client does whose machine has died."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def frame(payload: bytes, opcode: int, size: int | None = None) -> bytes:
    """Return a frame as clients send it; `size` is what it claims to have."""
    size = len(payload) if size is None else size
    head = bytes([0x80 | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += b"\xfe" + struct.pack(">H", size)
    else:
        head += b"\xff" + struct.pack(">Q", size)
    return head + bytes(4) + payload


def dictate(url: str, key: str, *sound: bytes | Samples, **query: Any) -> Told:
    """Send sound in these pieces as fast as it goes, and return what was told about it."""
    with dial(url, key, {**LINEAR, **query}) as client:
        client.send(*sound)
        client.say("CloseStream")
        return client.rest()


def cut(sound: bytes, size: int) -> Iterator[bytes]:
    """Yield sound in pieces of that many bytes."""
    return (sound[at : at + size] for at in range(0, len(sound), size))


def transcript(message: Message) -> str:
    """Return the text of Results."""
    return str(message["channel"]["alternatives"][0]["transcript"])


def words(message: Message) -> list[Message]:
    """Return the words of Results."""
    found: list[Message] = message["channel"]["alternatives"][0]["words"]
    return found


def broken_rules(told: Told, **query: Any) -> list[str]:
    """Return where a stream that was asked for with `query` broke a rule of Deepgram's."""
    kinds = [message["type"] for message in told.messages]
    found = [f"message {at}: {why}" for at, m in enumerate(told.messages) for why in misshapen(m)]
    if kinds.count("Metadata") != 1 or kinds[-1] != "Metadata":
        found.append(f"Metadata is not the last and only one: {kinds}")
    else:
        last = told.messages[-1]
        numbers = {one["metadata"]["request_id"] for one in told.results}
        if not numbers <= {last["request_id"]}:
            found.append("the request has several numbers")
        for number in range(last["channels"]):
            found += Order(number, last["channels"], query).check(told)
    if query.get("interim_results") != "true" and len(told.finals) < len(told.results):
        found.append("interim results that nobody asked for")
    for kind, parameter in (("SpeechStarted", "vad_events"), ("UtteranceEnd", "utterance_end_ms")):
        if query.get(parameter, "false") == "false" and kind in kinds:
            found.append(f"{kind} that nobody asked for")
    return found


def misshapen(message: Message) -> Iterator[str]:
    """Yield what is wrong with one message by itself."""
    kind = message["type"]
    if kind not in FIELDS:
        yield f"type {kind}"
        return
    lacking = FIELDS[kind] - message.keys()
    if lacking or None in message.values():
        yield f"{kind} lacks {lacking}, or has null"
    times = [message.get(name, 0.0) for name in ("start", "duration", "timestamp", "last_word_end")]
    if not all(isinstance(time, float) and time >= 0 for time in times):
        yield f"{kind} with times {times}"
    if kind != "Results":
        return
    (best,) = message["channel"]["alternatives"]
    if message["metadata"].keys() < {"request_id", "model_info", "model_uuid"}:
        yield f"metadata {message['metadata']}"
    if not message["is_final"] and (message["speech_final"] or message["from_finalize"]):
        yield "interim Results that end something"
    if best["words"] == [] and (best["transcript"], best["confidence"]) != ("", 0.0):
        yield f"no words in {best}"
    for word in best["words"]:
        if not (word["start"] <= word["end"] and 0 <= word["confidence"] <= 1 and word["word"]):
            yield f"word {word}"
        if not (
            message["start"] - STRAY_S <= word["start"]
            and word["end"] <= message["start"] + message["duration"] + STRAY_S
        ):
            yield f"{word} is not in {message['start']} + {message['duration']}"


class Order:
    """One channel of a stream, message after message."""

    def __init__(self, number: int, channels: int, query: dict[str, Any]) -> None:
        self._index = [number, channels]
        self._query = query
        self._found: list[str] = []
        self._final_to_s = self._last_word_s = 0.0
        self._started = 0  # utterances, by SpeechStarted
        self._begun = 0  # by Results with words
        self._open = False  # one of those
        self._ended_word_s: float | None = None  # of the last UtteranceEnd

    def check(self, told: Told) -> list[str]:
        """Return what is wrong."""
        for message in told.messages:
            if message.get("channel_index", message.get("channel")) == self._index:
                getattr(self, f"_{message['type']}")(message)
        if abs(self._final_to_s - told.duration_s) > CLOCK_S:
            self._say(f"finals end at {self._final_to_s:.3f} of {told.duration_s:.3f} s")
        return self._found

    def _say(self, what: str) -> None:
        self._found.append(f"channel {self._index}: {what}")

    def _Results(self, message: Message) -> None:
        start_s, end_s = message["start"], message["start"] + message["duration"]
        heard, final = words(message), message["is_final"]
        if abs(start_s - self._final_to_s) > CLOCK_S:
            self._say(f"Results from {start_s:.3f} s, not from {self._final_to_s:.3f} s")
        times = [word["start"] for word in heard]
        if times != sorted(times) or (final and times and times[0] < self._last_word_s - STRAY_S):
            self._say(f"words out of order from {start_s:.3f} s")
        if heard and not self._open:
            self._open, self._begun = True, self._begun + 1
            if self._query.get("vad_events") == "true" and self._begun > self._started:
                self._say(f"words from {start_s:.3f} s before SpeechStarted")
        if final:
            self._final_to_s = end_s
            self._last_word_s = heard[-1]["end"] if heard else self._last_word_s
            self._open = self._open and not message["speech_final"]

    def _SpeechStarted(self, message: Message) -> None:
        self._started += 1

    def _UtteranceEnd(self, message: Message) -> None:
        ended_s = message["last_word_end"]
        if ended_s != self._last_word_s or ended_s == self._ended_word_s:
            self._say(f"UtteranceEnd at {ended_s} s, the last final word {self._last_word_s} s")
        self._ended_word_s = ended_s
