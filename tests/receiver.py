"""A receiver of webhooks with moods: a real process on a loopback port, as rude as they come.

    with receiver.receiving() as there:
        there.url("/ok/7")                         # this path and its like answer 200
        there.set("/hook", "500-then-200")         # any path can get any mood, at any time
        there.wait_for(3, timeout_s=10)
        for path, headers, body in there.received(): ...

The mood of a request is what `set` gave its path; else its first part and query, where they name
a mood (`/429/a?after=7`); else the one given to `receiving`. Moods:

    ok (200), any status of three digits, with `?after=` for Retry-After and `?to=` for Location
    redirect?to=URL  302                    slow?s=2      200 after that many seconds
    down             closed unanswered      never         read, then nothing at all
    reset            RST in the middle      cut           closed in the middle
    drip-headers, drip-body                 a byte a second, without end
    huge             1 GB, length told      endless       a body without length or end
    many-headers     a head without end     interim       103 Early Hints without end
    garbage          no HTTP                A-then-B      A for the first request, B from then on

It judges nothing: who sends what is for the test to look at. Run by hand it says its ports and
serves until its input ends: `python tests/receiver.py` (control: one JSON line, one answer).
"""

import argparse
import asyncio
import base64
import contextlib
import json
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

WAIT_S = 60
LINE_BYTES = 256 * 1024 * 1024  # the longest answer of the control port
GIGABYTE = 1_000_000_000
CHUNK = b" " * 65536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST
RUDE = {
    *("down", "never", "reset", "cut", "drip-headers", "drip-body", "huge", "endless"),
    *("many-headers", "interim", "garbage", "slow"),
}


class Received(NamedTuple):
    """One request; its path has the query, its headers have names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Steer and ask the process; every call may come from any thread."""

    def __init__(self, scheme: str, host: str, port: int, control: int) -> None:
        self.scheme, self.host, self.port, self._control = scheme, host, port, control

    def url(self, path: str = "/") -> str:
        """Return where a path of it is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/{path.removeprefix('/')}"

    def set(self, path: str, mood: str) -> None:
        """Change the mood of one path (without its query) from now on."""
        self._ask(do="set", path=path, mood=mood)

    def set_all(self, mood: str) -> None:
        """Change the mood of every path that has none of its own."""
        self._ask(do="set", path=None, mood=mood)

    def received(self, since: int = 0) -> list[Received]:
        """Return the requests in the order of their arrival, from a number on."""
        return [
            Received(one["path"], one["headers"], base64.b64decode(one["body"]))
            for one in self._ask(do="received", since=since)
        ]

    def arrivals(self) -> list[float]:
        """Return when each was there completely (`time.time()`), in the order of `received`."""
        return [float(at) for at in self._ask(do="arrivals")]

    def names(self) -> list[str | None]:
        """Return the server name each connection asked for by TLS."""
        return list(self._ask(do="names"))

    def count(self) -> int:
        """Return how many requests there were."""
        return int(self._ask(do="count", at_least=0, timeout_s=0))

    def connections(self) -> int:
        """Return how many connections there were, also those without a request."""
        return int(self._ask(do="connections"))

    def forget(self) -> None:
        """Start to count from nothing; moods stay."""
        self._ask(do="forget")

    def wait_for(self, count: int, timeout_s: float = WAIT_S) -> None:
        """Wait until there were that many requests."""
        seen = self._ask(do="count", at_least=count, timeout_s=timeout_s)
        assert seen >= count, f"{seen} requests in {timeout_s} s, not {count}"

    def _ask(self, **question: Any) -> Any:
        patience_s = WAIT_S + question.get("timeout_s", 0)
        with socket.create_connection(("127.0.0.1", self._control), patience_s) as link:
            link.sendall(json.dumps(question).encode() + b"\n")
            with link.makefile("rb") as answer:
                return json.loads(answer.readline())


@contextlib.contextmanager
def receiving(
    mood: str = "ok", host: str = "127.0.0.1", certificate: Path | None = None
) -> Iterator[Receiver]:
    """Run one on a free port until the block ends; a certificate (with its key) makes it TLS."""
    arguments = ["--mood", mood, "--host", host]
    if certificate is not None:
        arguments += ["--certificate", str(certificate)]
    process = subprocess.Popen(
        [sys.executable, __file__, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        ports = json.loads(process.stdout.readline())  # it ends if it can't start
        scheme = "http" if certificate is None else "https"
        yield Receiver(scheme, host, ports["port"], ports["control"])
    finally:
        process.stdin.close()
        try:
            status = process.wait(WAIT_S)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    assert status == 0, f"the receiver ended with status {status}"


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """Yield the URL of a port that is held and refuses every connection."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/"


class Room:
    """What the process knows: moods, requests, connections."""

    def __init__(self, mood: str) -> None:
        self.mood = mood
        self.moods: dict[str, list[str]] = {}
        self.sequences: dict[str, list[str]] = {}  # of paths that were given none
        self.requests: list[dict[str, Any]] = []
        self.names: list[str | None] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    def set(self, path: str | None, mood: str) -> None:
        """Give a mood to a path, or to all that have none."""
        if path is None:
            self.mood = mood
            self.sequences.clear()
        else:
            self.moods[path] = mood.split("-then-")

    def mood_of(self, target: str) -> str:
        """Return how to treat this request; it uses up the first of a sequence."""
        path, _, query = target.partition("?")
        moods = self.moods.get(path)
        if moods is None:
            named = path.split("/")[1].split("-then-")
            own = [one for one in named if one in ("ok", "redirect", *RUDE) or is_status(one)]
            moods = [f"{one}?{query}" if query else one for one in named]
            moods = moods if own == named else self.mood.split("-then-")
            moods = self.sequences.setdefault(target, moods)
        return moods.pop(0) if len(moods) > 1 else moods[0]

    async def answer(self, question: dict[str, Any]) -> Any:
        """Answer one question of the control port."""
        match question["do"]:
            case "set":
                self.set(question["path"], question["mood"])
            case "received":
                return self.requests[question["since"] :]
            case "arrivals":
                return [one["at"] for one in self.requests]
            case "names":
                return self.names
            case "connections":
                return self.connections
            case "forget":
                self.requests, self.names, self.connections = [], [], 0
            case "count":
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(question["timeout_s"]):
                        while len(self.requests) < question["at_least"]:
                            self.arrived.clear()
                            await self.arrived.wait()
                return len(self.requests)

    async def asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to the control port."""
        with contextlib.suppress(OSError), contextlib.closing(writer):
            if line := await reader.readline():
                writer.write(json.dumps(await self.answer(json.loads(line))).encode() + b"\n")
                await writer.drain()


class Connection(asyncio.Protocol):
    """Take one request and treat it as its mood is."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.room.connections += 1
        self.taken = b""
        self.needed = -1  # bytes of head and body; -1: the head is not there yet
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        """Note the line to answer on."""
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Stop what is still being sent."""
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        """Wait: the peer reads too slowly."""
        self.may_write.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self.may_write.set()

    def data_received(self, data: bytes) -> None:
        """Gather head and body, then answer; anything after that is not looked at."""
        if self.needed == 0:
            return
        self.taken += data
        if self.needed < 0:
            end = self.taken.find(b"\r\n\r\n")
            if end < 0:
                return
            lines = self.taken[:end].decode("latin-1").split("\r\n")
            self.method, self.target, _ = lines[0].split(" ")
            pairs = (line.split(":", 1) for line in lines[1:])
            self.headers = {name.lower(): value.strip() for name, value in pairs}
            self.body_at = end + 4
            self.needed = self.body_at + int(self.headers.get("content-length", 0))
        if len(self.taken) >= self.needed:
            self.request(self.taken[self.body_at : self.needed])
            self.needed, self.taken = 0, b""

    def request(self, body: bytes) -> None:
        """Note a request that is complete, and answer."""
        self.room.requests.append(
            {
                "path": self.target,
                "headers": self.headers,
                "body": base64.b64encode(body).decode(),
                "at": time.time(),
            }
        )
        self.room.arrived.set()
        mood, _, query = self.room.mood_of(self.target).partition("?")
        options = {name: values[0] for name, values in parse_qs(query).items()}
        if mood in RUDE:
            self.task = asyncio.get_running_loop().create_task(self.rude(mood, options))
            self.room.tasks.add(self.task)
            self.task.add_done_callback(self.room.tasks.discard)
        else:
            status = {"ok": "200", "redirect": "302"}.get(mood, mood)
            self.reply(status, options)

    def reply(self, status: str, options: dict[str, str]) -> None:
        """Send a short answer and close."""
        fields = {"after": "Retry-After", "to": "Location"}
        more = "".join(f"{fields[k]}: {v}\r\n" for k, v in options.items() if k in fields)
        head = f"HTTP/1.1 {status} As told\r\n{more}Connection: close\r\nContent-Length: "
        self.transport.write(head.encode("latin-1") + b"4\r\n\r\ntold")
        self.transport.close()

    async def rude(self, mood: str, options: dict[str, str]) -> None:
        """Do what a well-behaved receiver does not."""
        ok = b"HTTP/1.1 200 OK\r\n"
        match mood:
            case "down":
                self.transport.close()
            case "slow":
                await asyncio.sleep(float(options.get("s", "1")))
                self.reply("200", {})
            case "reset":
                self.transport.write(ok + b"Content-Length: 100\r\n\r\nhalf")
                await asyncio.sleep(0.05)
                held = self.transport.get_extra_info("socket")
                held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self.transport.abort()
            case "cut":
                self.transport.write(ok + b"Content-Length: 100\r\n\r\nhalf")
                self.transport.close()
            case "garbage":
                self.transport.write(b"220 mail.example.com ESMTP\r\n\x00\xff\r\n\r\n")
                self.transport.close()
            case "drip-headers":
                self.transport.write(ok + b"X-Slow: ")
                await self.without_end(b"a", every_s=1)
            case "drip-body":
                self.transport.write(ok + b"Content-Length: 1000\r\n\r\n")
                await self.without_end(b"a", every_s=1)
            case "huge":
                self.transport.write(ok + b"Content-Length: %d\r\n\r\n" % GIGABYTE)
                await self.without_end(CHUNK)
            case "endless":
                self.transport.write(ok + b"\r\n")
                await self.without_end(CHUNK)
            case "many-headers":
                self.transport.write(ok)
                await self.without_end(b"X-More: %b\r\n" % (b"a" * 1000))
            case "interim":
                await self.without_end(b"HTTP/1.1 103 Early Hints\r\n\r\n", every_s=0.01)

    async def without_end(self, piece: bytes, every_s: float = 0) -> None:
        """Send a piece again and again, as fast as the peer takes it or once in a while."""
        while True:
            await self.may_write.wait()
            self.transport.write(piece)
            await asyncio.sleep(every_s)


def is_status(mood: str) -> bool:
    """Tell whether a mood is a status to answer with."""
    return len(mood) == 3 and mood.isdecimal()


async def serve(mood: str, host: str, certificate: str | None) -> None:
    """Say the two ports, then serve until the input ends."""
    room, loop = Room(mood), asyncio.get_running_loop()
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.sni_callback = lambda link, name, context: room.names.append(name)
    server = await loop.create_server(lambda: Connection(room), host, 0, ssl=context, backlog=1024)
    control = await asyncio.start_server(room.asked, "127.0.0.1", 0, limit=LINE_BYTES)
    ports = [one.sockets[0].getsockname()[1] for one in (server, control)]
    print(json.dumps({"port": ports[0], "control": ports[1]}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # ends with whoever started it
    server.close()
    control.close()
    for task in list(room.tasks):
        task.cancel()
    await asyncio.gather(*room.tasks, return_exceptions=True)


def main() -> None:
    """Run it by hand, or as `receiving` does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mood", default="ok")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--certificate", help="a PEM file with certificate and key")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.mood, arguments.host, arguments.certificate))


if __name__ == "__main__":
    main()
