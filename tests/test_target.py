"""A webhook's URL is read one way, and narrowly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import Refused
from appliance.urls import MAX_LENGTH
from scheduler import target
from scheduler.target import Target


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("http://a.example", Target("http", "a.example", 80, b"a.example", b"/")),
        ("HTTPS://A.Example", Target("https", "a.example", 443, b"a.example", b"/")),
        ("https://a:8443/b?c=d", Target("https", "a", 8443, b"a:8443", b"/b?c=d")),
        ("http://a:/b#part", Target("http", "a", 80, b"a", b"/b")),
        ("http://a?x=%20y", Target("http", "a", 80, b"a", b"/?x=%20y")),
        ("http://[fd00::1]:81/", Target("http", "fd00::1", 81, b"[fd00::1]:81", b"/")),
        ("http://[FD00::1]", Target("http", "FD00::1", 80, b"[FD00::1]", b"/")),
        ("http://10.0.0.1:80/", Target("http", "10.0.0.1", 80, b"10.0.0.1", b"/")),
        ("http://a_b.c.", Target("http", "a_b.c.", 80, b"a_b.c.", b"/")),
    ],
)
def test_it_says_where_to_go_and_what_to_ask(url, read):
    assert target.read(url) == read


def test_a_name_in_any_script_becomes_ascii():
    assert target.read("http://bücher.example/ä?ö").netloc == b"xn--bcher-kva.example"
    assert target.read("http://bücher.example/ä?ö").path == b"/%C3%A4?%C3%B6"
    assert target.read("http://xn--bcher-kva.example").host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "//a.example",
        "ftp://a.example",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http:a.example",
        "http:/a.example",
        "http://",
        "http:///path",
        "http://:80/",
        "http://?a",
        "http://user@a.example",
        "http://user:word@a.example",
        "http://@a.example",
        "http://10.0.0.1\\@a.example/",
        "http://a.example\\b/",
        "http://a.example:0/",
        "http://a.example:65536/",
        "http://a.example:99999999/",
        "http://a.example:+80/",
        "http://a.example:8_0/",
        "http://a.example:\uff18\uff10/",
        "http://a.example:80:80/",
        "http://a b.example/",
        "http://a.example/a b",
        "http://a.example/\n",
        " http://a.example/",
        "http://a.example/\x00",
        "http://a.example\t/",
        "http://a.example/\u200b",
        "http://a.example/\ud800",
        "http://a..example/",
        "http://.a.example/",
        "http://-a.example/",
        "http://a%2eexample/",
        "http://%6c%6fcalhost/",
        "http://a,b/",
        "http://a*b/",
        "http://[::1/",
        "http://::1/",
        "http://[::1]x/",
        "http://[fe80::1%eth0]/",
        "http://[fe80::1%25eth0]/",
        "http://[::g]/",
        "http://[v1.a]/",
        "http://[1.2.3.4]/",
        "http://[]/",
        "http://256.1.1.1/",
        "http://0177.0.0.1/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://\u2460/",
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 130 + "example/",
        "http://a.example/" + "a" * MAX_LENGTH,
    ],
)
def test_anything_else_is_refused(url):
    with pytest.raises(Refused, match=r"^the URL"):
        target.read(url)


def test_a_refusal_does_not_repeat_the_url():
    with pytest.raises(Refused) as refusal:
        target.read("http://a.example:0/token-5f2a")
    assert "token" not in str(refusal.value)


pieces = st.sampled_from(
    ["http://", "https://", "a", ".", ":", "[", "]", "@", "%", "/", "\\", "1", "::", "ß", "?", "#"]
)


@given(url=st.text() | st.lists(pieces).map("".join) | st.text().map("http://{}".format))
def test_no_text_is_more_than_refused(url):
    try:
        read = target.read(url)
    except Refused:
        return
    assert read.scheme in ("http", "https")
    assert 1 <= read.port <= 65535
    assert read.host.isascii() and read.host and not set(read.host) & set("@/\\%[] ")
    assert read.path.startswith(b"/") and not set(read.path) & set(b" \r\n#")
    assert not set(read.netloc) & set(b"@/\r\n ")
