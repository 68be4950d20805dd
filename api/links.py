"""Where clients reach the box, for links and addresses that it hands out.

A forged `Host` header never leads elsewhere: it counts only if it is a name of this box; otherwise
the address at which the connection came in is used. `public_url` comes before both.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection

from api.hosts import host_of, own_names
from appliance.settings import Settings

LAST_PORT = 65535
PORT = re.compile(r":(\d{1,5})$")
SOCKETS = {"http": "ws", "https": "wss"}


class Links:
    """Make absolute addresses of paths of this box."""

    def __init__(self, settings: Settings) -> None:
        self._public, self._names = settings.public_url, own_names(settings)

    def to(self, connection: ASGIConnection[Any, Any, Any, Any], path: str) -> str:
        """Return the http(s) address of a path, as this client can reach it."""
        return self._base(connection) + path

    def socket_to(self, connection: ASGIConnection[Any, Any, Any, Any], path: str) -> str:
        """Return the ws(s) address of a path."""
        scheme, _, rest = self._base(connection).partition("://")
        return f"{SOCKETS[scheme]}://{rest}{path}"

    def origins(self, connection: ASGIConnection[Any, Any, Any, Any]) -> set[str]:
        """Return the origins (RFC 6454) at which a browser may have this box's page open."""
        called = f"{connection.scope['scheme']}://{connection.headers.get('Host', '').lower()}"
        public = urlsplit(self._public or "")
        return {called, f"{public.scheme}://{public.netloc}".lower()} - {"://"}

    def _base(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str:
        if self._public:
            return self._public
        given = connection.headers.get("Host", "").strip()
        if host_of(given) in self._names:
            port = PORT.search(given)
            if port is None or int(port[1]) <= LAST_PORT:
                return base(connection, host_of(given), port[1] if port else None)
        host, number = connection.scope.get("server") or ("localhost", None)
        return base(connection, host_of(host), str(number) if number else None)


def base(connection: ASGIConnection[Any, Any, Any, Any], host: str, port: str | None) -> str:
    """Return scheme, host and port as an address has them."""
    scheme = "https" if connection.scope["scheme"] in ("https", "wss") else "http"
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{port}" if port else f"{scheme}://{host}"
