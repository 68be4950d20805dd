"""Headers that every answer has: no browser takes what clients once sent for a page of the box.

A file keeps the type the box gave it, and a document, whatever is in it, may load and run nothing;
the page itself says what it needs (`api.page`).
"""

from typing import Any

GUARDS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; media-src 'self'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),  # a proxy can't know whose cookie an answer was for
)


async def guard(message: Any, _: Any) -> None:
    """Add the headers that an answer has not got yet, as Litestar's hook `before_send`."""
    if message["type"] == "http.response.start":
        headers = list(message["headers"])
        present = {name.lower() for name, _ in headers}
        message["headers"] = headers + [item for item in GUARDS if item[0] not in present]
