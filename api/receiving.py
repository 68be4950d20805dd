"""Take the body of an upload to the disk as it comes: raw, or the part `file` of a form.

Constant memory: the body is written in pieces of a megabyte, by a thread, while the next comes in.
"""

from typing import Any

import anyio.to_thread
from litestar import Request
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from appliance.audio_folder import AudioFolder, Incoming
from appliance.errors import Refused

PIECE_BYTES = 1 << 20
MAX_FIELD_BYTES = 64 << 10
MAX_PARTS = 16
FILE = "file"
EMPTY = "there is no audio: send it as the body, or as the part 'file' of a form"


def announced(request: Request[Any, Any, Any], audio: AudioFolder) -> None:
    """Refuse by its length, before anything is read, what is too large or has no room."""
    length = request.headers.get("Content-Length", "")
    total = int(length[:20]) if length.isascii() and length.isdigit() else 0
    audio.check(total, total)


async def receive(request: Request[Any, Any, Any], incoming: Incoming) -> dict[str, str]:
    """Write the audio of a request to `incoming`; return the other fields of a form."""
    kind, options = parse_options_header(request.headers.get("Content-Type", ""))
    body: Any = Form(options.get("boundary", "")) if kind == "multipart/form-data" else Raw()
    waiting = bytearray()
    try:
        async for chunk in request.stream():
            waiting += body.feed(chunk)
            if len(waiting) >= PIECE_BYTES:
                await anyio.to_thread.run_sync(incoming.write, bytes(waiting))
                waiting.clear()
        body.finish()
    except MultipartError as error:
        raise Refused(f"the form can't be read: {error}") from None
    if waiting:
        await anyio.to_thread.run_sync(incoming.write, bytes(waiting))
    if incoming.bytes == 0:
        raise Refused(EMPTY)
    fields: dict[str, str] = body.fields
    return fields


class Raw:
    """A body that is the audio."""

    fields: dict[str, str] = {}  # noqa: RUF012  never written to

    def feed(self, chunk: bytes) -> bytes:
        """Return the audio in a chunk."""
        return chunk

    def finish(self) -> None:
        """Nothing is left over."""


class Form:
    """A form of which the part `file` is the audio and the others are short texts."""

    def __init__(self, boundary: str) -> None:
        if not boundary:
            raise Refused("the form can't be read: its Content-Type names no boundary")
        self._parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS)
        self._values: dict[str, bytearray] = {}
        self._name = ""
        self._files = 0

    @property
    def fields(self) -> dict[str, str]:
        """Return the texts by their names."""
        return {name: bytes(text).decode(errors="replace") for name, text in self._values.items()}

    def feed(self, chunk: bytes) -> bytes:
        """Return the audio in a chunk."""
        if not chunk or self._parser.closed:  # what follows the end of a form is not part of it
            return b""
        audio = bytearray()
        for event in self._parser.parse(chunk):
            if isinstance(event, MultipartSegment):
                self._begin(event.name)
            elif event is not None and self._name == FILE:
                audio += event
            elif event is not None:
                field = self._values[self._name]
                field += event
                if len(field) > MAX_FIELD_BYTES:
                    raise Refused(f"the field '{self._name[:40]}' is too long")
        return bytes(audio)

    def finish(self) -> None:
        """Refuse a form that is cut short or has no file."""
        self._parser.close()
        if self._files == 0:
            raise Refused(EMPTY)

    def _begin(self, name: str) -> None:
        self._name = name
        if name == FILE:
            self._files += 1
            if self._files > 1:
                raise Refused("the form has two files; send them one by one")
        else:
            self._values[name] = bytearray()
