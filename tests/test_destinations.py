"""Where webhooks may go: each row of the table, what hides an address, every notation."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import networks
from appliance.errors import Refused
from scheduler.destinations import RANGES, Destinations, this_machine

OWN_PORT = 8080
JUDGED = {
    # each row of RANGES, by an address of it
    "0.0.0.0": "this network",
    "0.1.2.3": "this network",
    "100.64.0.1": "carrier-grade NAT",
    "100.100.100.200": "carrier-grade NAT",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "the metadata of Azure",
    "169.254.169.254": "link-local or cloud metadata",
    "169.254.170.2": "link-local or cloud metadata",
    "192.0.0.192": "protocol assignments",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4 relays",
    "198.18.0.1": "benchmarking",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "240.0.0.1": "reserved or broadcast",
    "255.255.255.255": "reserved or broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "100::1": "discard",
    "100:0:0:1::1": "dummy addresses",
    "2001:2::1": "benchmarking",
    "2001:10::1": "ORCHID",
    "2001:20::1": "ORCHID",
    "2001:db8::1": "documentation",
    "3fff::1": "documentation",
    "5f00::1": "segment routing",
    "fd00:c1::a9fe:a9fe": "the metadata of Oracle",
    "fd00:ec2::23": "the credentials of EC2's pods",
    "fd00:ec2::254": "the metadata of EC2",
    "fd20:ce::254": "the metadata of Google",
    "fe80::1": "link-local",
    "fe80::1%2": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    # what hides an address
    "::ffff:127.0.0.1": "loopback",
    "::ffff:169.254.169.254": "link-local or cloud metadata",
    "::127.0.0.1": "loopback",
    "::2": "this network",
    "::ffff:0:127.0.0.1": "loopback",
    "64:ff9b::127.0.0.1": "loopback",
    "64:ff9b::a9fe:a9fe": "link-local or cloud metadata",
    "64:ff9b:1::127.0.0.1": "loopback",
    "64:ff9b:1:a9fe:a9:fe00::": "link-local or cloud metadata",
    "64:ff9b:1:2a9:fe:a9fe::": "link-local or cloud metadata",
    "64:ff9b:1:203:a9:fea9:fe00:0": "link-local or cloud metadata",
    "64:ff9b:1::": "this network",
    "2002:7f00:1::1": "loopback",
    "2002:a9fe:a9fe::1": "link-local or cloud metadata",
    "2001::8000:80ff:fffe": "this network",  # Teredo without a server
    "2001:0:808:808::80ff:fffe": "loopback",  # the client 127.0.0.1
    "2001:0:a9fe:a9fe::f7f7:f7f7": "link-local or cloud metadata",  # the server
    # open
    "1.1.1.1": None,
    "10.0.0.1": None,
    "172.16.0.1": None,
    "172.31.255.255": None,
    "192.168.1.1": None,
    "100.63.255.255": None,
    "100.128.0.0": None,
    "126.255.255.255": None,
    "128.0.0.0": None,
    "168.63.129.17": None,
    "169.253.255.255": None,
    "169.255.0.0": None,
    "172.32.0.0": None,
    "223.255.255.255": None,
    "2606:4700::1111": None,
    "fc00::1": None,
    "fd12:3456::1": None,
    "fd00:ec2::253": None,
    "::ffff:192.168.1.1": None,
    "::8.8.8.8": None,
    "64:ff9b::808:808": None,
    "64:ff9b:1:102::8.8.8.8": None,
    "64:ff9b:1::c0a8:101": None,
    "64:ff9b:1:808:8:800::": None,
    "2002:c0a8:101::1": None,
    "2001:0:808:808::f7f7:f7f7": None,
}


def nobody(address, port):
    return False


def destinations(*allow, own=nobody):
    return Destinations(networks.read(allow), own)


CLOSED = destinations()


@pytest.mark.parametrize(("address", "reason"), JUDGED.items())
def test_an_address_is_judged_by_what_it_is_and_what_it_hides(address, reason):
    assert CLOSED.reason(ip_address(address), 80) == reason
    assert CLOSED.permitted(ip_address(address), 80) is (reason is None)


@pytest.mark.parametrize("row", RANGES, ids=lambda row: str(row.network))
def test_a_row_closes_its_range_from_end_to_end_until_the_owner_opens_it(row):
    assert any(
        reason == row.name and ip_address(address) in row.network
        for address, reason in JUDGED.items()
    ), "a row without an example above"
    opened = destinations(
        f"[{row.network}]:9000" if ":" in str(row.network) else f"{row.network}:9000"
    )
    for address in (row.network[0], row.network[-1]):
        assert not CLOSED.permitted(address, 9000)
        assert opened.permitted(address, 9000)
        assert not opened.permitted(address, 9001)


def test_what_the_setting_opens_is_open_in_disguise_too():
    opened = destinations("127.0.0.1:9000")
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::"):
        assert opened.permitted(ip_address(address), 9000)
        assert not opened.permitted(ip_address(address), 9001)
    assert not opened.permitted(ip_address("127.0.0.2"), 9000)
    assert not opened.permitted(ip_address("::1"), 9000)


def test_the_boxs_own_port_is_closed_at_each_of_its_addresses():
    here = {ip_address("192.168.1.5"), ip_address("fd00::5")}
    box = destinations(own=lambda address, port: port == OWN_PORT and address in here)
    for address in ("192.168.1.5", "fd00::5", "::ffff:192.168.1.5", "2002:c0a8:105::"):
        assert box.reason(ip_address(address), OWN_PORT) == "the box itself"
        assert box.permitted(ip_address(address), OWN_PORT + 1)
    assert box.permitted(ip_address("192.168.1.6"), OWN_PORT)
    opened = destinations("192.168.1.5:8080", own=lambda address, port: address in here)
    assert opened.permitted(ip_address("192.168.1.5"), OWN_PORT)


def test_a_machine_knows_which_addresses_are_its_own():
    own = this_machine(OWN_PORT)
    assert own(ip_address("127.0.0.1"), OWN_PORT)
    assert own(ip_address("::ffff:127.0.0.1"), OWN_PORT)
    assert not own(ip_address("127.0.0.1"), OWN_PORT + 1)
    assert not own(ip_address("192.0.2.1"), OWN_PORT)
    assert not own(ip_address("2001:db8::1"), OWN_PORT)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only asks which way it would go
        except OSError:
            return  # a machine without a network
        mine = ip_address(probe.getsockname()[0])
    assert own(mine, OWN_PORT) and not own(mine, OWN_PORT + 1)
    assert destinations(own=own).permitted(mine, OWN_PORT + 1) is CLOSED.permitted(mine, 1)


fours = st.ip_addresses(v=4)
DISGUISES = {
    "mapped": lambda four: f"::ffff:{four}",
    "compatible": lambda four: f"::{four}",
    "translated": lambda four: f"::ffff:0:{four}",
    "NAT64": lambda four: f"64:ff9b::{four}",
    "6to4": lambda four: str(IPv6Address(0x2002 << 112 | int(four) << 80 | 1)),
    "Teredo": lambda four: str(
        IPv6Address(0x20010000 << 96 | int(IPv4Address("8.8.8.8")) << 64 | int(four) ^ 0xFFFFFFFF)
    ),
}


@pytest.mark.parametrize("disguise", DISGUISES)
@given(four=fours | fours.filter(lambda four: not four.is_global))
def test_no_disguise_changes_a_judgement(disguise, four):
    assert CLOSED.permitted(ip_address(DISGUISES[disguise](four)), 80) is CLOSED.permitted(four, 80)


@given(four=fours.filter(lambda four: not four.is_global), prefix=st.sampled_from([48, 56, 64, 96]))
def test_a_local_translator_of_any_prefix_leads_to_nothing_closed(four, prefix):
    """As RFC 6052 embeds it: around bits 64 to 71, which are zero."""
    bits = int(ip_address("64:ff9b:1::"))
    for place in range(32):
        at = prefix + place
        at += 8 if at >= 64 and prefix != 96 else 0
        bits |= (int(four) >> 31 - place & 1) << 127 - at
    if int(four) >> 24:  # nothing of 0.0.0.0/8 is anywhere
        assert CLOSED.permitted(ip_address(bits), 80) <= CLOSED.permitted(four, 80)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "127.0.1", "2130706433", "017700000001", "0x7f000001", "0x7f.1"),
        *("0177.1", "0x7F.0x0.0x0.0x1", "0", "0x0", "00000177.0x1", "2852039166", "0xa9fea9fe"),
        *("169.254.169.254", "169.254.43518", "0251.254.0xa9fe", "025177524776"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]"),
        *("[fe80::1]", "[FD00:EC2::254]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::7f00:1]"),
        "100.64.0.1",
        "168.63.129.16",
    ],
)
def test_a_literal_is_judged_when_it_is_registered_in_any_notation(host):
    with pytest.raises(Refused, match="webhook_allow"):
        CLOSED.check_url(f"http://{host}:9000/hook")
    destinations("0.0.0.0/0:9000", "[::/0]:9000").check_url(f"http://{host}:9000/hook")


@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.1.1/hook",
        "http://0xc0a80101/hook",
        "https://hooks.zapier.com/hooks/standard/1/2/",
        "http://[fd12::1]:8080/",
        "http://printer.local/",
        "http://localhost:9000/",  # judged when it is called, as every name is
    ],
)
def test_an_open_literal_and_any_name_can_be_registered(url):
    CLOSED.check_url(url)


def test_a_refusal_says_why_and_shows_no_path():
    with pytest.raises(Refused, match=r"^127\.0\.0\.1 at port 80 is closed .*loopback") as refusal:
        CLOSED.check_url("http://127.0.0.1/token")
    assert "token" not in str(refusal.value)


def test_what_is_no_url_is_refused():
    with pytest.raises(Refused, match="user name"):
        CLOSED.check_url("http://a:b@c/")


@given(address=st.ip_addresses())
def test_private_addresses_are_open_and_every_judgement_is_made(address):
    judged = CLOSED.permitted(address, 80)
    if any(
        address in ip_network(open_)
        for open_ in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd80::/9")
    ):
        assert judged
    if address.is_multicast or address.is_loopback or address.is_link_local:
        assert not judged
