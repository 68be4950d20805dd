"""Wrong keys: once a second, 5 times a minute, 20 an hour."""

import pytest

from api import attempts


class Watch:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def tries(watch):
    return attempts.Attempts(watch)


def test_the_second_within_a_second_waits(tries, watch):
    assert tries.failed("10.0.0.1") == 0
    assert tries.failed("10.0.0.1") == pytest.approx(1.0)
    assert tries.failed("10.0.0.2") == 0
    watch.now += 1
    assert tries.failed("10.0.0.1") == 0


@pytest.mark.parametrize(("every_s", "passed"), [(2, 5), (60, 20)])
def test_the_minute_and_the_hour_have_their_most(tries, watch, every_s, passed):
    let = 0
    while tries.failed("a") == 0:
        let += 1
        watch.now += every_s
    assert let == passed


def test_refused_ones_do_not_prolong_the_wait(tries, watch):
    tries.failed("a")
    for _ in range(50):
        tries.failed("a")
    watch.now += 1
    assert tries.failed("a") == 0


def test_only_the_first_refusal_is_told(tries):
    tries.failed("a")
    assert tries.first_refusal("a") and not tries.first_refusal("a")


def test_an_ipv6_host_counts_as_its_network():
    assert attempts.network_of("fd00::1:2:3:4") == attempts.network_of("fd00::4:3:2:1")
    assert attempts.network_of("testclient") == "testclient"


def test_memory_is_bounded(tries, monkeypatch):
    monkeypatch.setattr(attempts, "MAX_ADDRESSES", 10)
    for number in range(100):
        tries.failed(f"10.0.0.{number}")
    assert len(tries._failures) == 10
