"""Answer only to the box's own names: a page elsewhere can't reach it under a name of its own.

Protects against DNS rebinding: the browser of someone in the office, lured to a foreign page,
would otherwise call the box by that page's name.
"""

import contextlib
import ipaddress
import socket
from typing import Any

from appliance.settings import LOOPBACK, Settings


class AllowedHosts:
    """ASGI middleware that refuses a `Host` the box doesn't have."""

    def __init__(self, app: Any, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, or answer 400."""
        if scope["type"] in ("http", "websocket"):
            given = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            if host_of(given) not in self._names and not is_address(host_of(given)):
                await refuse(scope, send, given)
                return
        await self._app(scope, receive, send)


async def refuse(scope: Any, send: Any, given: str) -> None:
    """Send the problem as HTTP; for a WebSocket by its denial extension, without accepting it."""
    from api.problems import PROBLEM, encode

    body = encode(
        400, f"The host {given[:100]!r} is not one of this box; add it to allowed_hosts if it is."
    )
    kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
    headers = [
        (b"content-type", PROBLEM.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": f"{kind}.start", "status": 400, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


def host_of(header: str) -> str:
    """Return the host of a `Host` header without its port, in one spelling."""
    host = header.strip().lower()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    with contextlib.suppress(ValueError):
        host = str(ipaddress.ip_address(host))
    return host.rstrip(".")


def is_address(host: str) -> bool:
    """Tell whether it is an address: rebinding needs a name, and the box may have many."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def own_names(settings: Settings) -> frozenset[str]:
    """Return the names by which clients may call the box."""
    name = socket.gethostname().lower()
    names = {*LOOPBACK, name, f"{name.split('.')[0]}.local", settings.host}
    with contextlib.suppress(OSError):
        names |= {str(entry[4][0]) for entry in socket.getaddrinfo(name, None)}
    return frozenset(host_of(n) for n in (*names, *settings.allowed_hosts))
