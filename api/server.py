"""uvicorn, told when to stop waiting (open streams end before the box does), and where it is."""

import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from api.cut_off import CutOff
from api.handshakes import Handshakes
from api.head import Head
from api.hosts import AllowedHosts, host_of, own_names
from api.listen.protocol import Protocol
from api.request_metrics import Counted
from appliance.addresses import is_own
from appliance.certificate import Certificate
from appliance.errors import SettingRefused
from appliance.settings import Settings

GRACE_S = 2  # for requests at hand; all in all a stop takes less than 10 s
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # listening everywhere, and where to find that here


class Server(uvicorn.Server):
    """Call `on_listening` once the port answers, `on_closing` when a signal comes, and so on."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_listening: Callable[[], None],
        on_closing: Callable[[], None],
        before_shutdown: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(config)
        self._on_listening, self._on_closing = on_listening, on_closing
        self._before_shutdown = before_shutdown

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Run the lifespan, bind, and say so."""
        await super().startup(sockets)
        if self.started and not self.should_exit:
            self._on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let live streams have their last words, which uvicorn would cut off, and stop."""
        await self._before_shutdown()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop."""
        self._on_closing()
        super().handle_exit(sig, frame)


class Configuration(uvicorn.Config):
    """How uvicorn is to serve, with TLS of this decade only."""

    def load(self) -> None:
        """Make everything ready."""
        super().load()
        if self.ssl is not None:
            self.ssl.minimum_version = ssl.TLSVersion.TLSv1_2


def configuration(
    app: Any, settings: Settings, certificate: Certificate | None = None
) -> uvicorn.Config:
    """Return how uvicorn is to serve the app; it logs nothing itself, least of all URLs."""
    return Configuration(
        Head(
            Counted(
                CutOff(AllowedHosts(Handshakes(app), own_names(settings))),
                app.state.metrics.requests,
            )
        ),
        http="httptools",  # uploads: half the time of h11, so others wait half as long
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=GRACE_S,
        ws=Protocol,
        ws_ping_timeout=None,  # a pong may wait behind sound; who says nothing is noticed anyway
        ssl_certfile=certificate.path if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
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


def names_of(settings: Settings) -> frozenset[str]:
    """Return every name by which clients may come to this box: its certificate is for these."""
    public = urlsplit(settings.public_url or "").hostname
    return own_names(settings) | ({host_of(public)} if public else set())


def url_of(
    listener: socket.socket, settings: Settings, certificate: Certificate | None = None
) -> str:
    """Return the address people can paste."""
    host = settings.host
    if host in ANY:
        name = socket.gethostname().lower()
        known = certificate is None or name in certificate.names
        host = name if known and is_own(name) else ANY[host]
    return address(host, listener, certificate)


def local_url_of(
    listener: socket.socket, settings: Settings, certificate: Certificate | None = None
) -> str:
    """Return the address for other programs of this machine; it needs no name to be resolved."""
    return address(ANY.get(settings.host, settings.host), listener, certificate)


def address(host: str, listener: socket.socket, certificate: Certificate | None) -> str:
    """Return scheme, host and port as an address has them."""
    scheme = "http" if certificate is None else "https"
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{listener.getsockname()[1]}"
