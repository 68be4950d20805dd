"""The addresses of this machine: the kernel's list, not that of a name service."""

import ipaddress
import socket

import pytest

from appliance import addresses
from appliance.addresses import is_own, own_addresses


def test_loopback_is_among_them_and_each_can_be_listened_on():
    found = own_addresses()
    assert ipaddress.ip_address("127.0.0.1") in found
    for address in found:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        if address.is_link_local:
            continue  # needs an interface beside it
        with socket.socket(family) as listener:
            listener.bind((str(address), 0))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.1.1", "localhost"])
def test_what_leads_here_is_own(host):
    assert is_own(host)


@pytest.mark.parametrize("host", ["192.0.2.77", "198.51.100.1", "no.such.name.invalid", "a" * 70])
def test_what_leads_elsewhere_or_nowhere_is_not(host):
    assert not is_own(host)


def test_a_name_that_leads_here_and_elsewhere_is_not_own(monkeypatch):
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 0)) for a in ("127.0.0.1", "10.9.9.9")]
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: both)
    assert not is_own("split.example")


def test_what_the_kernel_says_is_read_to_the_end_of_what_is_there():
    header = addresses.ATTRIBUTE
    row = header.pack(5, 1) + b"x" + bytes(3) + header.pack(6, 2) + b"yz"
    assert list(addresses.pieces(row, header)) == [(1, b"x"), (2, b"yz")]
    assert list(addresses.pieces(header.pack(0, 1), header)) == []
