"""The receiver for the tests of webhooks does what its moods say."""

import http.client
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import receiver

TIMEOUT_S = 60


@pytest.fixture(scope="module")
def there():
    with receiver.receiving() as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(there):
    there.forget()


def post(url, body=b"{}"):
    """Return status and headers of the answer to one POST."""
    address = urlsplit(url)
    link = http.client.HTTPConnection(address.hostname, address.port, timeout=TIMEOUT_S)
    try:
        target = url.partition(address.netloc)[2]
        link.request("POST", target, body, {"X-Test": "Ä b".encode("latin-1")})
        answer = link.getresponse()
        answer.read()
        return answer.status, answer.headers
    finally:
        link.close()


def test_what_came_can_be_looked_at_in_order(there):
    for number in range(3):
        post(there.url(f"/a?n={number}"), b"\x00%d" % number)
    there.wait_for(3)
    assert [(r.path, r.body) for r in there.received()] == [
        (f"/a?n={n}", b"\x00%d" % n) for n in range(3)
    ]
    assert there.received()[0].headers["x-test"] == "Ä b"
    assert there.received(since=2)[0].path == "/a?n=2"
    assert there.arrivals() == sorted(there.arrivals())
    assert there.count() == there.connections() == 3


def test_a_path_names_its_mood_or_is_given_one(there):
    assert post(there.url("/410/x"))[0] == 410
    status, headers = post(there.url("/429?after=7"))
    assert (status, headers["Retry-After"]) == (429, "7")
    status, headers = post(there.url("/redirect?to=http://a/b"))
    assert (status, headers["Location"]) == (302, "http://a/b")
    there.set("/given", "503")
    assert post(there.url("/given?x=1"))[0] == 503
    there.set("/given", "ok")
    assert post(there.url("/given"))[0] == 200


def test_all_others_have_the_mood_of_the_receiver(there):
    assert post(there.url("/other"))[0] == 200
    there.set_all("500")
    assert post(there.url("/other"))[0] == 500
    there.set_all("ok")


@pytest.mark.parametrize("path", ["/500-then-503-then-200", "/told"])
def test_a_sequence_of_moods_ends_with_the_last(there, path):
    there.set("/told", "500-then-503-then-200")
    assert [post(there.url(path))[0] for _ in range(4)] == [500, 503, 200, 200]


def test_it_closes_resets_and_cuts(there):
    for mood, failure in (
        ("down", http.client.RemoteDisconnected),
        ("reset", ConnectionResetError),
        ("cut", http.client.IncompleteRead),
        ("garbage", http.client.BadStatusLine),
    ):
        with pytest.raises(failure):
            post(there.url(mood))


def test_it_refuses(there):
    with receiver.refusing() as url, pytest.raises(ConnectionRefusedError):
        post(url)


def test_many_at_once_are_all_taken(there):
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda n: post(there.url(f"/ok/{n}"))[0], range(300)))
    assert set(statuses) == {200}
    assert len({r.path for r in there.received()}) == there.count() == 300


def test_a_connection_without_a_request_is_counted(there):
    with socket.create_connection((there.host, there.port)):
        post(there.url())
    assert (there.count(), there.connections()) == (1, 2)
