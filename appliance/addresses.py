"""The addresses of this machine, as the kernel lists them: every interface, both families.

Asked by netlink (rtnetlink(7)): resolving the host name gives only what somebody wrote down for it.
"""

import ipaddress
import socket
import struct
from collections.abc import Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
RTM_NEWADDR, RTM_GETADDR = 20, 22
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
IFA_ADDRESS, IFA_LOCAL = 1, 2
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
MESSAGE = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface
ATTRIBUTE = struct.Struct("=HH")  # length, type
READ_BYTES = 1 << 16
TIMEOUT_S = 2.0


def own_addresses() -> frozenset[Address]:
    """Return every address of this machine, loopback and link-local ones too."""
    request = HEADER.pack(
        HEADER.size + MESSAGE.size, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0
    ) + MESSAGE.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    found: set[Address] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(TIMEOUT_S)
        kernel.sendto(request, (0, 0))
        while True:
            for kind, body in pieces(kernel.recv(READ_BYTES), HEADER):
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    return frozenset(found)
                if kind == RTM_NEWADDR:
                    attributes = dict(pieces(body[MESSAGE.size :], ATTRIBUTE))
                    # of a point-to-point link IFA_ADDRESS is the other end
                    packed = attributes.get(IFA_LOCAL) or attributes.get(IFA_ADDRESS)
                    if packed is not None and len(packed) in (4, 16):
                        found.add(ipaddress.ip_address(packed))


def pieces(packed: bytes, header: struct.Struct) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of what stands in a row, each with its length, in steps of four."""
    at = 0
    while at + header.size <= len(packed):
        length, kind = header.unpack_from(packed, at)[:2]
        if length < header.size:
            return
        yield kind, packed[at + header.size : at + length]
        at += (length + 3) // 4 * 4


def is_own(host: str) -> bool:
    """Tell whether a name or an address leads to this machine, and to no other."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        addresses = {ipaddress.ip_address(str(entry[4][0])) for entry in found}
    except (OSError, UnicodeError, ValueError):
        return False
    own = own_addresses()
    return all(address.is_loopback or address in own for address in addresses)
