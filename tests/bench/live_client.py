"""A client of `WS /v1/listen`: sound goes out at the speed of speech, what comes is dated.

Each chunk is sent when its last sample has been spoken, by a clock that does not drift: what is
held up is sent late, and all after it in time again.
"""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from engine.audio import SAMPLE_RATE, Samples

BYTES_PER_S = 2 * SAMPLE_RATE
CHUNK_SAMPLES = SAMPLE_RATE // 10
LATER_S = 120  # for what is left to be heard after the last sound
JOINT_S = 0.002  # times are told with three digits
WITHIN_S = 0.05
QUERY = {
    "model": "nova-3",
    "language": "en",
    "encoding": "linear16",
    "sample_rate": str(SAMPLE_RATE),
    "channels": "1",
    "interim_results": "true",
    "punctuate": "true",
    "vad_events": "true",
    "utterance_end_ms": "1000",
}


@dataclass(frozen=True, slots=True)
class Said:
    """A word and when it was said, in seconds from the beginning of the stream."""

    word: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Message:
    """What the server told, and when that was here."""

    at_s: float  # monotonic
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        """Return its type."""
        return str(self.body["type"])

    @property
    def final(self) -> bool:
        """Tell whether it is a final Results."""
        return self.kind == "Results" and bool(self.body["is_final"])

    @property
    def start_s(self) -> float:
        """Return where in the stream a Results begins."""
        return float(self.body["start"])

    @property
    def end_s(self) -> float:
        """Return where in the stream a Results ends."""
        return self.start_s + float(self.body["duration"])

    @property
    def text(self) -> str:
        """Return the words of a Results as one line."""
        return str(self.body["channel"]["alternatives"][0]["transcript"])

    @property
    def words(self) -> list[Said]:
        """Return the words of a Results."""
        words = self.body["channel"]["alternatives"][0]["words"]
        return [Said(plain(w["word"]), float(w["start"]), float(w["end"])) for w in words]


@dataclass
class Take:
    """One connection from its first sound to its close."""

    began_s: float = 0.0  # monotonic: when the first sample began
    ended_s: float = 0.0
    sent_bytes: int = 0
    late_s: list[float] = field(default_factory=list)  # each chunk, for want of time or room
    messages: list[Message] = field(default_factory=list)
    close_code: int | None = None
    close_reason: str | None = None

    @property
    def sent_s(self) -> float:
        """Return how much sound was sent."""
        return self.sent_bytes / BYTES_PER_S

    @property
    def results(self) -> list[Message]:
        """Return the messages with words, or with none."""
        return [message for message in self.messages if message.kind == "Results"]

    @property
    def finals(self) -> list[Message]:
        """Return the messages whose words will not change."""
        return [message for message in self.messages if message.final]

    @property
    def words(self) -> list[Said]:
        """Return the words that will not change."""
        return [word for message in self.finals for word in message.words]

    @property
    def text(self) -> str:
        """Return what was said as one line."""
        return " ".join(message.text for message in self.finals if message.text)

    @property
    def duration_s(self) -> float | None:
        """Return how much sound the server says it had; None if it never said."""
        told = [m.body["duration"] for m in self.messages if m.kind == "Metadata"]
        return float(told[-1]) if told else None


Listener = Callable[[Take, Message], None]


def plain(word: str) -> str:
    """Return a word in the form in which words are compared."""
    return re.sub(r"\W", "", word.lower())


def chunks(samples: Samples) -> Iterator[bytes]:
    """Yield sound as it is sent: 100 ms at a time."""
    for at in range(0, len(samples), CHUNK_SAMPLES):
        yield samples[at : at + CHUNK_SAMPLES].tobytes()


async def stream(
    url: str,
    key: str,
    sound: Iterable[bytes],
    *,
    take: Take | None = None,
    speed: float = 1.0,
    on_message: Listener | None = None,
    begin_after_s: float = 0.0,
    **query: str,
) -> Take:
    """Send the sound so many times as fast as speech, take what comes until the server closes."""
    take = take if take is not None else Take()
    address = f"{url.replace('http', 'ws', 1)}/v1/listen?{urlencode({**QUERY, **query})}"
    headers = {"Authorization": f"Token {key}"}
    await asyncio.sleep(begin_after_s)
    async with connect(address, additional_headers=headers, proxy=None) as connection:
        receiving = asyncio.create_task(receive(connection, take, on_message))
        try:
            with contextlib.suppress(ConnectionClosed):
                await send(connection, take, sound, speed)
                await connection.send(json.dumps({"type": "CloseStream"}))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(receiving, LATER_S)
        finally:
            receiving.cancel()
    take.ended_s = time.monotonic()
    return take


async def send(
    connection: ClientConnection, take: Take, sound: Iterable[bytes], speed: float
) -> None:
    """Send chunk after chunk, each when it is due."""
    take.began_s = time.monotonic()
    for chunk in sound:
        take.sent_bytes += len(chunk)
        due_s = take.began_s + take.sent_s / speed
        await asyncio.sleep(due_s - time.monotonic())
        take.late_s.append(time.monotonic() - due_s)
        await connection.send(chunk)


async def receive(connection: ClientConnection, take: Take, on_message: Listener | None) -> None:
    """Take what comes until the connection is closed."""
    with contextlib.suppress(ConnectionClosed):
        async for told in connection:
            message = Message(time.monotonic(), json.loads(told))
            take.messages.append(message)
            if on_message is not None:
                on_message(take, message)
    take.close_code, take.close_reason = connection.close_code, connection.close_reason


def violations(take: Take) -> list[str]:
    """Return where the server broke its word: final text stays, and time goes on without gaps."""
    found = [
        f"{message.kind} after Metadata"
        for before, message in zip(take.messages, take.messages[1:], strict=False)
        if before.kind == "Metadata"
    ]
    if take.duration_s is None:
        found.append("no Metadata")
    elif abs(take.duration_s - take.sent_s) > JOINT_S:
        found.append(f"Metadata has {take.duration_s:.3f} s of {take.sent_s:.3f} s")
    if take.close_code != 1000:
        found.append(f"closed with {take.close_code} {take.close_reason or ''}".rstrip())
    final_to_s = last_word_s = 0.0
    for message in take.messages:
        if message.kind == "UtteranceEnd":
            told_s = message.body["last_word_end"]
            if told_s > last_word_s + JOINT_S:
                found.append(f"UtteranceEnd of {told_s:.3f} s before its final")
        if message.kind != "Results":
            continue
        kind, words = "final" if message.final else "interim", message.words
        if abs(message.start_s - final_to_s) > JOINT_S:
            found.append(f"{kind} from {message.start_s:.3f} s, not {final_to_s:.3f} s")
        if words and words[-1].end_s <= last_word_s:
            found.append(f"{kind} to {message.end_s:.3f} s has nothing but final words")
        if message.body["speech_final"] and not message.final:
            found.append(f"interim with speech_final at {message.start_s:.3f} s")
        if message.final:
            final_to_s = message.end_s
            last_word_s = words[-1].end_s if words else last_word_s
    return found


def strays(take: Take) -> list[Message]:
    """Return the Results with words outside of them, by more than WITHIN_S."""
    return [
        message
        for message in take.results
        if (words := message.words)
        and (
            words[0].start_s < message.start_s - WITHIN_S
            or words[-1].end_s > message.end_s + WITHIN_S
        )
    ]
