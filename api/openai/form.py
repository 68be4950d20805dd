"""Take a form as OpenAI's clients send it: the part `file` to the disk, texts that may repeat.

Constant memory, whatever comes first: the file is written in pieces of a megabyte, by a thread.
"""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import anyio.to_thread
from litestar import Request
from litestar.exceptions import HTTPException
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from api.openai.refusals import InvalidField
from appliance.audio_folder import Incoming

PIECE_BYTES = 1 << 20
MAX_TEXT_BYTES = 256 << 10  # all fields together
MAX_PARTS = 256
STALL_S = 30.0
FILE = "file"
EMPTY = "the part 'file' is missing or empty: it is the audio, in any container"
KIND = "want multipart/form-data with the parts 'file' and 'model'"
Fields = dict[str, list[str]]


async def receive(request: Request[Any, Any, Any], incoming: Incoming) -> Fields:
    """Write the audio of a form to `incoming`; return the other fields, by names without `[]`."""
    kind, options = parse_options_header(request.headers.get("Content-Type", ""))
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise InvalidField(KIND)
    form = Form(options["boundary"])
    waiting = bytearray()
    try:
        async for chunk in in_time(request):
            waiting += form.feed(chunk)
            if len(waiting) >= PIECE_BYTES:
                await anyio.to_thread.run_sync(incoming.write, bytes(waiting))
                waiting.clear()
        form.finish()
    except MultipartError as error:
        raise InvalidField(f"the form can't be read: {error}; {KIND}") from None
    if waiting:
        await anyio.to_thread.run_sync(incoming.write, bytes(waiting))
    if incoming.bytes == 0:
        raise InvalidField(EMPTY, FILE)
    return form.fields


async def in_time(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    """Yield the body as it comes; whoever stops sending would hold a place that others need."""
    chunks = request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(chunks, None), STALL_S)
        except TimeoutError:
            said = f"nothing came for {STALL_S:g} s; send the file again"
            raise HTTPException(said, status_code=HTTPStatus.REQUEST_TIMEOUT) from None
        if chunk is None:
            return
        yield chunk


class Form:
    """The body of a form, fed as it comes."""

    def __init__(self, boundary: str) -> None:
        self._parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS)
        self._texts: list[tuple[str, bytearray]] = []
        self._text_bytes = 0
        self._in_file = self._has_file = False

    @property
    def fields(self) -> Fields:
        """Return the texts by their names, in the order they came."""
        fields: Fields = {}
        for name, text in self._texts:
            fields.setdefault(name, []).append(bytes(text).decode(errors="replace"))
        return fields

    def feed(self, chunk: bytes) -> bytes:
        """Return the audio in a chunk."""
        if not chunk or self._parser.closed:  # what follows the end of a form is not part of it
            return b""
        audio = bytearray()
        for event in self._parser.parse(chunk):
            if isinstance(event, MultipartSegment):
                self._begin(event.name)
            elif event is not None and self._in_file:
                audio += event
            elif event is not None:
                self._text_bytes += len(event)
                if self._text_bytes > MAX_TEXT_BYTES:
                    raise InvalidField(f"the fields have more than {MAX_TEXT_BYTES} bytes")
                self._texts[-1][1].extend(event)
        return bytes(audio)

    def finish(self) -> None:
        """Refuse a form that is cut short."""
        self._parser.close()

    def _begin(self, name: str) -> None:
        self._in_file = name == FILE
        if not self._in_file:
            self._texts.append((name.removesuffix("[]"), bytearray()))
        elif self._has_file:
            raise InvalidField("the form has two files; send them one by one", FILE)
        else:
            self._has_file = True
