"""Where webhooks may go: the table of ranges where they may not, and who judges by it.

Public addresses, RFC 1918 and ULA are allowed: a box stands in an office, and so do most that it
tells. An address that carries another one inside is judged by both. `webhook_allow` in the
settings opens what is closed here; nobody can do so over HTTP.
"""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from appliance.errors import Refused
from appliance.networks import Address, Network
from scheduler import target
from scheduler.resolving import numeric

Own = Callable[[Address, int], bool]


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses that no webhook may reach, and what they are."""

    name: str
    network: IPv4Network | IPv6Network


RANGES = tuple(
    Range(name, ip_network(network))
    for name, network in (
        ("this network", "0.0.0.0/8"),
        ("carrier-grade NAT", "100.64.0.0/10"),  # the metadata of Alibaba, too: 100.100.100.200
        ("loopback", "127.0.0.0/8"),
        ("the metadata of Azure", "168.63.129.16/32"),
        ("link-local or cloud metadata", "169.254.0.0/16"),
        ("protocol assignments", "192.0.0.0/24"),  # the metadata of Oracle's old cloud: 192.0.0.192
        ("documentation", "192.0.2.0/24"),
        ("6to4 relays", "192.88.99.0/24"),
        ("benchmarking", "198.18.0.0/15"),
        ("documentation", "198.51.100.0/24"),
        ("documentation", "203.0.113.0/24"),
        ("multicast", "224.0.0.0/4"),
        ("reserved or broadcast", "240.0.0.0/4"),
        ("unspecified", "::/128"),
        ("loopback", "::1/128"),
        ("discard", "100::/64"),
        ("dummy addresses", "100:0:0:1::/64"),
        ("benchmarking", "2001:2::/48"),
        ("ORCHID", "2001:10::/28"),
        ("ORCHID", "2001:20::/28"),
        ("documentation", "2001:db8::/32"),
        ("documentation", "3fff::/20"),
        ("segment routing", "5f00::/16"),
        ("the metadata of Oracle", "fd00:c1::a9fe:a9fe/128"),
        ("the credentials of EC2's pods", "fd00:ec2::23/128"),
        ("the metadata of EC2", "fd00:ec2::254/128"),
        ("the metadata of Google", "fd20:ce::254/128"),
        ("link-local", "fe80::/10"),
        ("site-local", "fec0::/10"),
        ("multicast", "ff00::/8"),
    )
)
LAST_32_BITS = tuple(
    IPv6Network(network)
    for network in (
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated, RFC 2765
        "64:ff9b::/96",  # NAT64
    )
)
LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
LOCAL_NAT64_PREFIXES = (48, 56, 64)  # bits; beside 96 (RFC 6052)
SIX_TO_FOUR, TEREDO = IPv6Network("2002::/16"), IPv6Network("2001::/32")
THIS_NETWORK = IPv4Network("0.0.0.0/8")
NOT_EMBEDDED = (IPv6Address("::"), IPv6Address("::1"))
MASK, GAP_TO_END = (1 << 32) - 1, (1 << 56) - 1


class Destinations:
    """Judge URLs when they are registered, and addresses whenever one is called."""

    def __init__(self, allow: tuple[Network, ...], own: Own) -> None:
        self._allow = allow
        self._own = own

    def check_url(self, url: str) -> None:
        """Raise Refused if nothing may ever be sent there; a name is judged when it is called."""
        where = target.read(url)
        address = numeric(where.host)
        if address is not None and (reason := self.reason(address, where.port)) is not None:
            raise Refused(
                f"{where.host} at port {where.port} is closed to webhooks ({reason}); use another "
                "address, or have the owner of the box name it in the setting webhook_allow"
            )

    def permitted(self, address: Address, port: int) -> bool:
        """Tell whether a webhook may go there."""
        return self.reason(address, port) is None

    def reason(self, address: Address, port: int) -> str | None:
        """Return why no webhook may go there; None if it may."""
        if any(network.holds(address, port) for network in self._allow):
            return None
        for row in RANGES:
            if address in row.network:
                return row.name
        if self._own(address, port):
            return "the box itself"
        for inner in embedded(address):
            if (reason := self.reason(inner, port)) is not None:
                return reason
        return None


def embedded(address: Address) -> Iterator[IPv4Address]:
    """Yield every IPv4 address that an IPv6 address may lead to."""
    if not isinstance(address, IPv6Address) or address in NOT_EMBEDDED:
        return
    bits = int(address)
    if any(address in network for network in LAST_32_BITS):
        yield IPv4Address(bits & MASK)
    elif address in SIX_TO_FOUR:
        yield IPv4Address(bits >> 80 & MASK)
    elif address in TEREDO:
        yield IPv4Address(bits >> 64 & MASK)  # the server
        yield IPv4Address(~bits & MASK)  # the client
    elif address in LOCAL_NAT64:
        # how long the translator's prefix is, the address does not tell: all that it may mean
        gapless = bits >> 64 << 56 | bits & GAP_TO_END  # bits 64 to 71 are part of none
        found = [gapless >> 88 - prefix & MASK for prefix in LOCAL_NAT64_PREFIXES] + [bits & MASK]
        meant = [inner for inner in map(IPv4Address, found) if inner not in THIS_NETWORK]
        yield from meant or [IPv4Address(0)]


def this_machine(port: int) -> Own:
    """Return a function that tells the box's own port at any address of its machine."""

    def own(address: Address, at: int) -> bool:
        if at != port:
            return False
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((str(address), 0))  # succeeds only for what is here
        except OSError:
            return False
        return True

    return own
