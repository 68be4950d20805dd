"""The cookie of people who have signed in on the page, and that only the page makes use of it.

A browser sends a cookie whoever had it send the request. `SameSite=Strict` keeps other sites out
but not other ports of the same host, so the browser's own word is asked for as well: Fetch
Metadata (`Sec-Fetch-Site`, W3C), or the `Origin` where a browser knows no better.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.exceptions import PermissionDeniedException

from api.links import Links

Connection = ASGIConnection[Any, Any, Any, Any]
NAME = "scribebox"
LIFETIME_S = 86_400
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FOREIGN = (
    "The request was not made by the page of this box, and only that may use its cookie; "
    "open the box's own address, or send a key: Authorization: Bearer sb_live_…"
)


def made(connection: Connection, token: str) -> Cookie:
    """Return the cookie to be set; over TLS it never leaves that again."""
    return Cookie(
        key=NAME,
        value=token,
        max_age=LIFETIME_S,
        path="/",
        httponly=True,
        samesite="strict",
        secure=is_encrypted(connection),
    )


def gone(connection: Connection) -> Cookie:
    """Return the cookie that takes it away."""
    secure = is_encrypted(connection)
    return Cookie(key=NAME, value="", max_age=0, httponly=True, samesite="strict", secure=secure)


def is_encrypted(connection: Connection) -> bool:
    """Tell whether the browser came over TLS, which a proxy may have taken off since."""
    origin = connection.headers.get("Origin", "")
    return connection.scope["scheme"] == "https" or origin.startswith("https://")


def refuse_foreign(connection: Connection, *, unsaid: bool) -> None:
    """Raise 403 for what another site has a browser send; `unsaid`: may it say nothing of that?"""
    site, origin = connection.headers.get("Sec-Fetch-Site"), connection.headers.get("Origin")
    links: Links = connection.app.state.links
    if site is not None:
        own = site == "same-origin" or (site == "none" and is_safe(connection))
    elif origin is not None:
        own = origin in links.origins(connection)
    else:
        own = unsaid
    if not own:
        raise PermissionDeniedException(FOREIGN)


def is_safe(connection: Connection) -> bool:
    """Tell whether the request asks for something and changes nothing."""
    scope: Any = connection.scope
    return scope["method"] in SAFE
