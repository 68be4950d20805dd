"""uvicorn, told when to stop waiting: open streams end before the box does."""

import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from api.head import Head
from api.hosts import AllowedHosts, own_names
from appliance.errors import SettingRefused
from appliance.settings import Settings

GRACE_S = 5


class Server(uvicorn.Server):
    """Call `on_listening` once the port answers and `on_closing` when a signal comes."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_listening: Callable[[], None],
        on_closing: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._on_listening, self._on_closing = on_listening, on_closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Run the lifespan, bind, and say so."""
        await super().startup(sockets)
        if self.started and not self.should_exit:
            self._on_listening()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop."""
        self._on_closing()
        super().handle_exit(sig, frame)


def configuration(app: Any, settings: Settings) -> uvicorn.Config:
    """Return how uvicorn is to serve the app; it logs nothing itself, least of all URLs."""
    return uvicorn.Config(
        AllowedHosts(Head(app), own_names(settings)),
        http="httptools",  # uploads: half the time of h11, so others wait half as long
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )


def bind(settings: Settings) -> socket.socket:
    """Take the port before anything is started, so that a taken one is one clear line."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise SettingRefused(
            f"can't listen on {settings.host} port {settings.port}: {error.strerror}; choose "
            "another with --port (0 takes any free one) or --host"
        ) from error
    return listener


def url_of(listener: socket.socket, settings: Settings) -> str:
    """Return the address people can paste."""
    port = listener.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{'https' if settings.tls_cert else 'http'}://{host}:{port}"
