"""A connection goes to addresses that were judged, one lookup each, and to no other; real sockets.

Loopback is opened by the same setting that an owner would use.
"""

import asyncio
import contextlib
import socket
import threading

import pytest
import receiver
from network_witness import witnessing
from test_resolving import entries

from appliance import networks
from scheduler.destinations import Destinations
from scheduler.pinning import ANSWER_BYTES, AnswerTooLong, PinnedNetwork, Unsent
from scheduler.resolving import Resolver

WAIT_S = 60
NAME = "hook.example"


def network(*allow, look_up=socket.getaddrinfo, connect_s=WAIT_S):
    own = lambda address, port: False  # noqa: E731
    return PinnedNetwork(Destinations(networks.read(allow), own), Resolver(look_up), connect_s)


def connect(pinned, host, port):
    """Connect and close; return the class of failure, None if there was none."""

    async def main():
        try:
            async with asyncio.timeout(WAIT_S):
                await pinned.connect_tcp(host, port)
        except Unsent as failure:
            return failure.error
        finally:
            pinned.close()

    return asyncio.run(main())


@pytest.fixture(scope="module")
def there():
    with receiver.receiving() as running:
        yield running


@pytest.fixture(scope="module")
def there_by_six(there):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:  # a machine without IPv6
        yield there
        return
    with receiver.receiving(host="::1") as running:
        yield running


CLOSED_HOSTS = [
    *("localhost", "LOCALHOST", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1"),
    *("0x7f.1", "0", "0.0.0.0", "127.255.255.254", "::1", "::", "::ffff:127.0.0.1", "::127.0.0.1"),
    *("::ffff:7f00:1", "::ffff:0:7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::"),
    *("2001:0:808:808::80ff:fffe", "169.254.169.254", "2852039166", "0xa9fea9fe", "fe80::1"),
    *("fd00:ec2::254", "168.63.129.16", "100.64.0.1", "224.0.0.1", "255.255.255.255", "ff02::1"),
]


@pytest.mark.parametrize("host", CLOSED_HOSTS)
def test_nothing_closed_is_connected_to_by_name_notation_or_disguise(there, there_by_six, host):
    before = there.connections(), there_by_six.connections()
    for port in (there.port, there_by_six.port):
        with witnessing() as seen:
            assert connect(network(), host, port) == "forbidden destination"
        assert seen.connected == []
    assert (there.connections(), there_by_six.connections()) == before


@pytest.mark.parametrize(
    "answer",
    [
        ("127.0.0.1",),
        ("169.254.169.254",),
        ("192.0.43.8", "127.0.0.1"),
        ("127.0.0.1", "192.0.43.8"),
        ("2606:4700::1111", "10.0.0.1", "::1"),
        ("10.0.0.1",) * 20 + ("fe80::1%1",),
        ("::ffff:127.0.0.1",),
        ("64:ff9b::a9fe:a9fe",),
    ],
)
def test_an_answer_with_a_closed_address_in_it_leads_nowhere(there, answer):
    pinned = network(look_up=lambda host, port, **kind: entries(*answer))
    with witnessing() as seen:
        assert connect(pinned, NAME, there.port) == "forbidden destination"
    assert seen.connected == []


def test_an_answer_that_changes_is_never_asked_for_again(there):
    answers = iter([["127.0.0.2"], ["127.0.0.1"], ["169.254.169.254"]])
    asked = []

    def look_up(host, port, **kind):
        asked.append(host)
        return entries(*next(answers))

    with socket.create_server(("127.0.0.2", there.port)), witnessing() as seen:
        assert connect(network("127.0.0.2", look_up=look_up), NAME, there.port) is None
    assert asked == [NAME.encode()]
    assert seen.connected == [("127.0.0.2", there.port)]
    assert set(seen.looked_up) <= {NAME}  # and that only to see that it is no number


def test_a_real_name_is_looked_up_once(there):
    with witnessing() as seen:
        assert connect(network("127.0.0.1", "::1"), "localhost", there.port) is None
    # the first asks only whether it is a number, without any lookup
    assert seen.looked_up == ["localhost", "localhost"]
    assert {address for address, _ in seen.connected} <= {"127.0.0.1", "::1"}


def test_the_port_is_part_of_what_is_opened(there):
    opened = f"127.0.0.1:{there.port}"
    assert connect(network(opened), "127.1", there.port) is None
    assert connect(network(opened), "127.1", there.port + 1) == "forbidden destination"


@contextlib.contextmanager
def deaf(address, port=0):
    """Listen with a queue that is full: whoever connects waits."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((address, port))
        server.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def test_a_dead_first_address_leaves_time_for_the_next():
    found = entries("127.0.0.2", "127.0.0.3")
    pinned = network("127.0.0.0/8", look_up=lambda *a, **k: found, connect_s=2)
    with deaf("127.0.0.2") as port, socket.create_server(("127.0.0.3", port)), witnessing() as seen:
        assert connect(pinned, NAME, port) is None
    assert [address for address, _ in seen.connected] == ["127.0.0.2", "127.0.0.3"]


def test_a_refusal_by_the_first_address_is_followed_by_the_next(there):
    found = entries("127.0.0.9", "::1", "127.0.0.1")
    pinned = network("127.0.0.0/8", "::1", look_up=lambda *a, **k: found)
    assert connect(pinned, NAME, there.port) is None


def test_addresses_that_never_answer_are_a_timeout_of_the_whole():
    found = entries(*["127.0.0.2"] * 2, "127.0.0.3")
    pinned = network("127.0.0.0/8", look_up=lambda *a, **k: found, connect_s=0.2)
    with deaf("127.0.0.2") as port, deaf("127.0.0.3", port):
        assert connect(pinned, NAME, port) == "timeout"


def test_no_more_than_four_addresses_are_tried():
    found = entries(*[f"127.0.0.{n}" for n in range(2, 60)])
    pinned = network("127.0.0.0/8", look_up=lambda *a, **k: found)
    with receiver.refusing() as url, witnessing() as seen:
        assert connect(pinned, NAME, int(url.rstrip("/").rpartition(":")[2])) == "refused"
    assert len(seen.connected) == 4


def test_what_can_not_be_routed_is_unreachable():
    error = connect(network("240.0.0.0/4"), "255.255.255.255", 9)
    assert error == "unreachable"  # a broadcast address takes no connection


def test_a_lookup_that_hangs_is_given_up_with_the_task():
    release = threading.Event()
    pinned = network(look_up=lambda *a, **k: release.wait(WAIT_S) and [])

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await pinned.connect_tcp(NAME, 80)

    asyncio.run(main())
    assert pinned.looking_up
    release.set()


async def open_stream(pinned, there, path):
    """Ask for a path and return the stream to read its answer from."""
    stream = await pinned.connect_tcp("127.0.0.1", there.port)
    await stream.write(b"POST %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
    return stream


def test_no_more_of_an_answer_is_taken_than_64_kib(there):
    async def main():
        pinned = network("127.0.0.1")
        stream, taken = await open_stream(pinned, there, b"/huge"), 0
        with pytest.raises(AnswerTooLong):
            while taken <= ANSWER_BYTES:
                taken += len(await stream.read(10**9))
        pinned.close()
        return taken

    assert asyncio.run(main()) == ANSWER_BYTES


def test_the_end_is_the_end_and_closing_twice_is_closing_once(there):
    async def main():
        pinned = network("127.0.0.1")
        stream, answer = await open_stream(pinned, there, b"/ok"), b""
        while piece := await stream.read(100):
            answer += piece
        assert stream.ended
        await stream.aclose()
        pinned.close()
        return answer

    assert asyncio.run(main()).endswith(b"\r\n\r\ntold")


def test_a_reset_is_told(there):
    async def main():
        pinned = network("127.0.0.1")
        stream = await open_stream(pinned, there, b"/reset")
        with contextlib.closing(pinned), pytest.raises(Unsent, match="reset"):
            while await stream.read(100):
                pass

    asyncio.run(main())
