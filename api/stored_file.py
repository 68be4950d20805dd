"""Answer with a file of the box: whole or a range of it, unless the client has it already."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
from litestar import Request, Response
from litestar.response import Stream

from api import ranges
from api.head import asked_of
from api.problems import problem
from appliance.errors import NotFound

PIECE_BYTES = 256 * 1024
EXTENSIONS = {
    "audio/wav": ".wav",
    "audio/flac": ".flac",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/mp4": ".m4a",
    "audio/webm": ".webm",
    "audio/aac": ".aac",
    "audio/amr": ".amr",
    "audio/aiff": ".aiff",
    "audio/x-ms-wma": ".wma",
    "audio/x-caf": ".caf",
    "audio/basic": ".au",
    "audio/x-w64": ".w64",
}


async def answer(
    request: Request[Any, Any, Any], path: Path, media_type: str, name: str, sha256: str | None
) -> Response[Any]:
    """Return 200, 206, 304 or 416; HEAD gets the headers of the whole."""
    try:
        file = await anyio.open_file(path, "rb")
    except FileNotFoundError:
        raise NotFound("its audio is not there any more") from None
    head = asked_of(request.scope)
    size = os.fstat(file.wrapped.fileno()).st_size
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'inline; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
    }
    if sha256:
        headers["ETag"] = f'"{sha256[:32]}"'
    try:
        if matches(request.headers.get("If-None-Match"), headers.get("ETag")):
            await file.aclose()
            return Response(b"", status_code=304, headers=headers, media_type=media_type)
        wanted = None
        if not head and same(request.headers.get("If-Range"), headers.get("ETag")):
            wanted = ranges.span(request.headers.get("Range"), size)
    except ranges.Unsatisfiable:
        await file.aclose()
        outside = {"Content-Range": f"bytes */{size}"}
        return problem(416, f"The range lies outside the file, which has {size} bytes.", outside)
    part = wanted or ranges.Span(0, size - 1, size)
    headers["Content-Length"] = str(part.length)
    if wanted is not None:
        headers["Content-Range"] = part.content_range
    if head:
        await file.aclose()
        return Response(b"", headers=headers, media_type=media_type)
    return Stream(
        pieces(file, part),
        status_code=200 if wanted is None else 206,
        headers=headers,
        media_type=media_type,
    )


async def pieces(file: anyio.AsyncFile[bytes], part: ranges.Span) -> AsyncIterator[bytes]:
    """Yield the bytes of the part, and close the file whatever happens."""
    async with file:
        await file.seek(part.first)
        left = part.length
        while left > 0:
            piece = await file.read(min(PIECE_BYTES, left))
            if not piece:
                return
            left -= len(piece)
            yield piece


def matches(header: str | None, etag: str | None) -> bool:
    """Tell whether the client names this version among those it has."""
    if header is None or etag is None:
        return False
    names = {name.strip().removeprefix("W/") for name in header.split(",")}
    return "*" in names or etag in names


def same(header: str | None, etag: str | None) -> bool:
    """Tell whether a range may be answered: no condition, or this very version."""
    return header is None or header.strip() == etag
