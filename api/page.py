"""The box's own page: the files in `api/page/`, as they are, for everybody who reaches the box.

A path is looked up only if each of its parts is a plain name, so none can lead out of the folder.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

from api.auth import OPEN
from api.stored_file import matches
from api.threads import threaded
from appliance.errors import NotFound

FOLDER = Path(__file__).with_name("page")
PLAIN = re.compile(r"(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+(?:\.min)?(\.[a-z0-9]+)")
MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; media-src 'self' blob:; font-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-cache",  # asked each time, answered with 304: no page of an older box
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@get("/", operation_id="getPage", include_in_schema=False, **OPEN)
@threaded
def get_page(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return the page itself."""
    return answer(request, "index.html")


@get("/page/{path:path}", operation_id="getPageFile", include_in_schema=False, **OPEN)
@threaded
def get_page_file(request: Request[Any, Any, Any], path: FromPath[str]) -> Response[bytes]:
    """Return one of the files that the page is made of."""
    return answer(request, path.removeprefix("/"))


def answer(request: Request[Any, Any, Any], path: str) -> Response[bytes]:
    """Return a file of the folder, or 304 if the client has this version."""
    match = PLAIN.fullmatch(path)
    media_type = MEDIA_TYPES.get(match[1]) if match is not None else None
    if media_type is None:
        raise NotFound(MISSING)
    try:
        content = (FOLDER / path).read_bytes()
    except (OSError, ValueError):
        raise NotFound(MISSING) from None
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**HEADERS, "ETag": etag}
    if matches(request.headers.get("If-None-Match"), etag):
        return Response(b"", status_code=304, headers=headers, media_type=media_type)
    return Response(content, headers=headers, media_type=media_type)


MISSING = "the page has no such file"
