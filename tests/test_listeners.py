"""No more live streams at once than there are places, and what they add up to."""

import threading

import pytest

from appliance.errors import Busy
from appliance.listeners import RETRY_AFTER_S, Listeners
from engine.audio import SAMPLE_RATE

WAIT_S = 30


class Stream:
    """What is counted of a stream."""

    def __init__(self, seconds=0, left_out=0, lag_s=0.0):
        self.samples, self.partials_left_out, self.lag_s = seconds * SAMPLE_RATE, left_out, lag_s


def test_who_finds_no_place_is_told_when_to_come_again():
    listeners = Listeners(most=2)
    with listeners.place(), listeners.place():
        with pytest.raises(Busy, match="2 live streams are open") as refused, listeners.place():
            raise AssertionError("there is no place")
        assert refused.value.retry_after_s == RETRY_AFTER_S


def test_a_place_is_free_again_however_its_stream_ended():
    listeners = Listeners(most=1)
    with pytest.raises(ZeroDivisionError), listeners.place():
        raise ZeroDivisionError
    with listeners.place():
        pass


def test_as_many_as_there_are_places_and_never_one_more_come_in_at_once():
    listeners = Listeners(most=4)
    inside, refused, most = 0, 0, 0
    lock, begin = threading.Lock(), threading.Barrier(16)

    def come_and_go():
        nonlocal inside, refused, most
        begin.wait(WAIT_S)
        for _ in range(200):
            try:
                with listeners.place():
                    with lock:
                        inside += 1
                        most = max(most, inside)
                    with lock:
                        inside -= 1
            except Busy:
                with lock:
                    refused += 1

    threads = [threading.Thread(target=come_and_go) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert most <= 4 and inside == 0 and refused < 16 * 200
    with listeners.place(), listeners.place(), listeners.place(), listeners.place():
        pass


def test_what_streams_brought_is_counted_while_they_are_open_and_after():
    listeners = Listeners()
    with listeners.following(Stream(seconds=10, left_out=3, lag_s=0.5)):
        with listeners.following(Stream(seconds=5, left_out=1, lag_s=2.0)):
            now = listeners.now()
            assert (now.open, now.streams, now.audio_s, now.partials_left_out) == (2, 2, 15, 4)
            assert now.lag_s == 2.0
        now = listeners.now()
        assert (now.open, now.streams, now.audio_s, now.partials_left_out) == (1, 2, 15, 4)
        assert now.lag_s == 0.5
    now = listeners.now()
    assert (now.open, now.streams, now.audio_s, now.lag_s) == (0, 2, 15, 0)


def test_a_stream_that_breaks_off_is_counted_too():
    listeners = Listeners()
    with pytest.raises(ZeroDivisionError), listeners.following(Stream(seconds=1)):
        raise ZeroDivisionError
    assert (listeners.now().open, listeners.now().audio_s) == (0, 1)


def test_how_long_finals_took_is_spread_over_the_bounds():
    listeners = Listeners()
    for lag_s in (0.3, 0.4, 7.0):
        listeners.note_final(lag_s)
    lags = listeners.now().final_lags
    by_bound = dict(zip(lags.bounds_s, lags.counts, strict=False))
    assert (by_bound[0.25], by_bound[0.5], by_bound[10.0], lags.counts[-1]) == (0, 2, 3, 3)
