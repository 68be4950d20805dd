"""Take the body of `POST /v1/listen` to the disk as it comes, whatever it says it is.

Constant memory: it is written in pieces of a megabyte, by a thread, while the next comes in. The
bytes tell what they are; only for raw samples, which can't, the query does, and a WAV header is put
before them.
"""

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator
from typing import Any

import anyio.to_thread
from litestar import Request

from api.listen.options import PREFIX, Options
from api.listen.query import InvalidOption
from api.listen.refusals import Refusal, undecodable
from appliance.direct import Passing

PIECE_BYTES = 1 << 20
MAX_JSON_BYTES = 64 << 10
STALL_S = 30.0
JSON = "application/json"
UNKNOWN = 0xFFFF_FFFF  # a length that is not known yet
SAMPLES = {  # of an encoding: WAV's number for it, and the bytes of one
    "linear16": (1, 2),
    "linear32": (3, 4),
    "alaw": (6, 1),
    "mulaw": (7, 1),
}
CONTAINERS = (b"RIFF", b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b"ID3")  # that say it themselves


async def receive(chunks: AsyncIterator[bytes], incoming: Passing, options: Options) -> str:
    """Write the sound to `incoming`; return its SHA-256. Empty: a Refusal."""
    digest, waiting, begun = hashlib.sha256(), bytearray(), False

    def write(piece: bytes) -> None:
        nonlocal begun
        if not begun and (head := head_of(piece, options)):
            incoming.lead(head)
        begun = True
        digest.update(piece)
        incoming.write(piece)

    async for chunk in chunks:
        waiting += chunk
        if len(waiting) >= PIECE_BYTES:
            await anyio.to_thread.run_sync(write, bytes(waiting))
            waiting.clear()
    if waiting:
        await anyio.to_thread.run_sync(write, bytes(waiting))
    if not begun:
        raise undecodable()
    await anyio.to_thread.run_sync(incoming.close)
    return digest.hexdigest()


def is_json(request: Request[Any, Any, Any]) -> bool:
    """Tell whether the sender says so; of anything else the type doesn't count."""
    return request.content_type[0].lower() == JSON


async def json_of(request: Request[Any, Any, Any]) -> bytes:
    """Return a body that its sender calls JSON; one that is too long for that is refused."""
    body = bytearray()
    async for chunk in in_time(request):
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise undecodable()
    return bytes(body)


async def in_time(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    """Yield the body as it comes; a client that stops sending holds up others."""
    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout(STALL_S):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise Refusal(
                408, "SLOW_UPLOAD", f"Nothing came for {STALL_S:g} s; send the file again."
            ) from None
        if chunk is None:
            return
        yield chunk


def head_of(beginning: bytes, options: Options) -> bytes:
    """Return the header that makes raw samples a file, b"" for what says itself what it is."""
    if options.encoding not in SAMPLES or beginning.startswith(CONTAINERS):
        return b""
    if options.sample_rate is None:
        wanted = f"sample_rate is missing: encoding '{options.encoding}' needs it"
        raise InvalidOption(PREFIX + wanted)
    number, width = SAMPLES[options.encoding]
    rate, channels = options.sample_rate, options.channels
    block = channels * width
    shape = struct.pack("<IHHIIHH", 16, number, channels, rate, rate * block, block, 8 * width)
    return b"".join(
        (
            b"RIFF",
            struct.pack("<I", UNKNOWN),
            b"WAVEfmt ",
            shape,
            b"data",
            struct.pack("<I", UNKNOWN),
        )
    )
