"""Links lead to this box, whatever a client claims to have called."""

import pytest
from litestar import Request

from api.links import Links
from appliance.settings import Settings


def request(host, server=("192.168.7.5", 8080), scheme="http"):
    headers = [(b"host", host.encode())] if host else []
    return Request({"type": "http", "headers": headers, "scheme": scheme, "server": server})


@pytest.mark.parametrize(
    ("host", "link"),
    [
        ("localhost:9000", "http://localhost:9000/x"),
        ("LocalHost", "http://localhost/x"),
        ("[::1]:8080", "http://[::1]:8080/x"),
        ("box.example:81", "http://box.example:81/x"),
        ("192.168.7.5:8080", "http://192.168.7.5:8080/x"),
    ],
)
def test_a_name_of_the_box_is_used_as_it_was_called(host, link):
    assert Links(Settings(allowed_hosts="box.example")).to(request(host), "/x") == link


@pytest.mark.parametrize(
    "host",
    ["evil.example", "6.6.6.6", "6.6.6.6:8080", "", "localhost.evil.example", "localhost@6.6.6.6",
     "evil.example/localhost", "localhost:80:90", "localhost:99999", "[::1", "a b"],
)  # fmt: skip
def test_a_forged_host_leads_nowhere_else(host):
    link = Links(Settings()).to(request(host), "/x")
    assert link.startswith(("http://192.168.7.5:8080/", "http://[::1]", "http://localhost"))


def test_the_public_address_comes_before_both():
    links = Links(Settings(public_url="https://box.example/scribe"))
    assert links.to(request("localhost:1"), "/x") == "https://box.example/scribe/x"
    assert links.socket_to(request("6.6.6.6"), "/y") == "wss://box.example/scribe/y"


def test_sockets_are_as_safe_as_the_call():
    links = Links(Settings())
    assert links.socket_to(request("localhost:1"), "/y") == "ws://localhost:1/y"
    assert links.socket_to(request("localhost:1", scheme="https"), "/y") == "wss://localhost:1/y"
