"""A network with a port is what a setting says, and nothing that only looks like one."""

import ipaddress

import pytest

from appliance import networks


@pytest.mark.parametrize(
    ("text", "address", "port", "held"),
    [
        ("127.0.0.1", "127.0.0.1", 80, True),
        ("127.0.0.1:9000", "127.0.0.1", 9000, True),
        ("127.0.0.1:9000", "127.0.0.1", 9001, False),
        ("169.254.7.0/24:80", "169.254.7.9", 80, True),
        ("::1", "::1", 1, True),
        ("fd00:1::/64", "fd00:1::9", 1, True),
        ("[fd00:1::/64]:8080", "fd00:1::9", 8080, True),
        ("[fd00:1::/64]:8080", "fd00:1::9", 80, False),
        ("0.0.0.0/0", "::1", 80, False),
    ],
)
def test_a_network_holds_its_addresses_at_its_port(text, address, port, held):
    (network,) = networks.read(text)
    assert network.holds(ipaddress.ip_address(address), port) is held


def test_several_are_separated_by_commas_or_a_list():
    assert len(networks.read("10.0.0.0/8, ::1,")) == 2
    assert networks.read(["10.0.0.0/8", "::1"]) == networks.read("10.0.0.0/8,::1")
    assert networks.read(networks.read("::1")) == networks.read("::1")


@pytest.mark.parametrize(
    "value", ["localhost", "10.0.0.1/8", "127.0.0.1:0", "127.0.0.1:70000", "::1:x", 5, [5], "1.2"]
)
def test_what_is_no_network_is_refused(value):
    with pytest.raises(ValueError):
        networks.read(value)
