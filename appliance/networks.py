"""A network and perhaps a port, as a setting names them: CIDR[:port]."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

ALLOWED = (
    "networks or addresses, each perhaps with a port, separated by commas: "
    "127.0.0.1:9000, 169.254.7.0/24, ::1, [fd00:1::/64]:8080"
)
WITH_PORT = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<four>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Network:
    """Addresses, at one port or (None) at all."""

    addresses: ipaddress.IPv4Network | ipaddress.IPv6Network
    port: int | None = None

    def holds(self, address: Address, port: int) -> bool:
        """Tell whether an address and port are in it."""
        return address in self.addresses and self.port in (None, port)


def read(value: Any) -> tuple[Network, ...]:
    """Return what a setting says; ValueError if it makes no sense."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, Iterable):
        raise ValueError("that is no list")
    return tuple(network(one) for one in given if not (isinstance(one, str) and not one.strip()))


def network(value: Any) -> Network:
    """Return one network."""
    if isinstance(value, Network):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    text = value.strip()
    port = None
    match = WITH_PORT.fullmatch(text)
    if match is not None:  # else it is an IPv6 network without a port
        text = match["six"] or match["four"]
        port = int(match["port"]) if match["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"{value!r}: there is no port {port}")
    return Network(ipaddress.ip_network(text), port)  # says itself what is wrong
