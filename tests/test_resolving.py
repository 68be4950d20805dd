"""Names are looked up once each, and a lookup that hangs is in nobody's way."""

import asyncio
import socket
import threading
from ipaddress import ip_address

import pytest

from scheduler import resolving
from scheduler.resolving import LookupFailed, Resolver, numeric

WAIT_S = 60


def entries(*addresses):
    """Return what getaddrinfo would."""
    return [(0, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]


def answering(*addresses):
    return Resolver(lambda host, port, **kind: entries(*addresses))


def addresses(resolver, host="hook.example"):
    return [str(one) for one in asyncio.run(resolver.addresses(host, 80))]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("::1", "::1"),
        ("::ffff:7f00:1", "::ffff:127.0.0.1"),
        ("localhost", None),
        ("a.example", None),
        ("1.2.3.4.5", None),
        ("09.1", None),
        ("", None),
        ("ä", None),
    ],
)
def test_a_number_is_an_address_in_every_notation_of_the_c_library(host, address):
    assert numeric(host) == (address and ip_address(address))


def test_a_number_needs_no_lookup():
    def never(host, port, **kind):
        raise AssertionError("looked up")

    assert addresses(Resolver(never), "0x7f.1") == ["127.0.0.1"]


def test_each_address_comes_once_and_the_families_in_turn():
    resolver = answering("fd00::1", "fd00::2", "fd00::1", "fd00::3", "10.0.0.1", "10.0.0.2")
    assert addresses(resolver) == ["fd00::1", "10.0.0.1", "fd00::2", "10.0.0.2", "fd00::3"]
    assert addresses(answering("10.0.0.1", "fd00::1")) == ["10.0.0.1", "fd00::1"]
    assert addresses(answering("fe80::1%eth0")) == ["fe80::1"]


@pytest.mark.parametrize("failure", [socket.gaierror, UnicodeError, OSError])
def test_a_failed_lookup_is_told(failure):
    def fail(host, port, **kind):
        raise failure

    with pytest.raises(LookupFailed):
        addresses(Resolver(fail))
    with pytest.raises(LookupFailed):
        addresses(answering())


def test_lookups_that_hang_delay_no_other_and_have_an_end():
    hanging, release = threading.Semaphore(0), threading.Event()

    def look_up(host, port, **kind):
        if host == b"hung.example":
            hanging.release()
            release.wait(WAIT_S)
        return entries("10.0.0.1")

    resolver = Resolver(look_up)

    async def main():
        hung = [
            asyncio.create_task(resolver.addresses("hung.example", 80))
            for _ in range(resolving.MAX_HANGING - 1)
        ]
        for _ in hung:
            assert await asyncio.to_thread(hanging.acquire, timeout=WAIT_S)
        threads = [thread for thread in threading.enumerate() if thread.name == "lookup"]
        assert len(threads) >= len(hung)
        assert all(thread.daemon for thread in threads)  # so that none delays the end
        found = [await resolver.addresses("well.example", 80) for _ in range(10)]
        hung.append(asyncio.create_task(resolver.addresses("hung.example", 80)))
        assert await asyncio.to_thread(hanging.acquire, timeout=WAIT_S)
        with pytest.raises(LookupFailed, match="too many"):
            await resolver.addresses("well.example", 80)
        hung[0].cancel()  # its answer then interests nobody
        release.set()
        await asyncio.gather(*hung, return_exceptions=True)
        return found

    assert asyncio.run(main()) == [[ip_address("10.0.0.1")]] * 10


def test_an_answer_after_the_end_of_the_loop_does_no_harm():
    release, done = threading.Event(), threading.Event()

    def look_up(host, port, **kind):
        release.wait(WAIT_S)
        done.set()
        return entries("10.0.0.1")

    async def give_up():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await Resolver(look_up).addresses("a.example", 80)

    asyncio.run(give_up())
    release.set()
    assert done.wait(WAIT_S)


def test_a_real_name_is_looked_up():
    assert "127.0.0.1" in addresses(Resolver(), "localhost")
