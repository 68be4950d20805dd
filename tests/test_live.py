"""Words come out while they are said, and what was told as stable or final is never taken back."""

import threading

import numpy as np
import pytest
from speech_fixtures import fixture, words_of, words_wrong

from engine.audio import SAMPLE_RATE, read
from engine.errors import EngineError
from engine.live import Live
from engine.live_events import Final, Partial, Paused, SpeechStarted
from engine.whisper import Heard, Request
from engine.worker import Priority, Ticket

STEP = SAMPLE_RATE // 10
WAIT_S = 60
SPOKEN_S = 17
QUIET = np.zeros(2 * SAMPLE_RATE, np.int16)


@pytest.fixture(scope="module")
def speech():
    """Return someone speaking, and what is said."""
    found = fixture("meeting")
    return np.concatenate([read(found.path)[: SPOKEN_S * SAMPLE_RATE], QUIET]), found


def through(worker):
    """Return what submits to a real engine."""

    def listen(samples, last):
        request = Request(language="en", short_window=True, quick=not last)
        return worker.submit(samples, request, Priority.LIVE)

    return listen


def the_rest(live):
    """End the stream and return what is told until everything is."""
    told = []
    live.finish()
    while not live.done:
        if live.waiting is not None:
            live.waiting.result(WAIT_S)
        told += live.collect()
    return told


def hear(live, samples, wait=True):
    """Push samples as they would come, with an engine that is always in time."""
    told = []
    for start in range(0, len(samples), STEP):
        told += live.push(samples[start : start + STEP])
        while wait and live.waiting is not None:
            live.waiting.result(WAIT_S)
            told += live.collect()
    return told + the_rest(live)


def finals(told):
    return [word for one in told if isinstance(one, Final) for word in one.words]


def test_what_is_said_comes_as_partials_and_finals_in_order(tiny, speech):
    samples, said = speech
    told = hear(Live(through(tiny)), samples)
    words = finals(told)
    spoken = " ".join(u.text for u in said.utterances if u.end_ms <= 1000 * SPOKEN_S)
    wrong = words_wrong(spoken, " ".join(word.text for word in words))
    assert wrong <= 0.25 * len(words_of(spoken))
    starts = [word.start_ms for word in words]
    assert starts == sorted(starts) and starts[-1] < 1000 * SPOKEN_S + 1000
    assert isinstance(told[0], SpeechStarted)
    assert any(isinstance(one, Partial) and one.tentative for one in told)
    assert told[-1].ended or any(isinstance(one, Final) and one.ended for one in told)


def test_what_was_told_as_stable_is_never_taken_back(tiny, speech):
    shown: list[str] = []
    final: list[str] = []
    for one in hear(Live(through(tiny), endpoint_ms=300), speech[0]):
        if isinstance(one, Partial):
            known = final + [word.text for word in one.stable]
            assert known[: len(shown)] == shown
            shown = known
        elif isinstance(one, Final):
            final += [word.text for word in one.words]
            assert final[: len(shown)] == shown[: len(final)]


@pytest.mark.long
def test_an_engine_that_is_behind_leaves_out_partials_and_no_final(tiny, speech):
    in_time = finals(hear(Live(through(tiny)), speech[0]))
    behind = hear(Live(through(tiny)), speech[0], wait=False)
    assert len(finals(behind)) >= 0.8 * len(in_time)


def test_one_decode_is_under_way_at_a_time_and_the_last_is_said_to_be(speech):
    asked, most = [], threading.Lock()

    def listen(samples, last):
        assert most.acquire(blocking=False)
        asked.append(last)
        ticket = Ticket(samples, Request(), Priority.LIVE)
        ticket.finish(Heard((), "en"))
        most.release()
        return ticket

    assert finals(hear(Live(listen), speech[0])) == []
    assert asked[0] is False and True in asked


def test_silence_and_noise_tell_nothing():
    noise = np.random.default_rng(1).normal(0, 300, 5 * SAMPLE_RATE).astype(np.int16)

    def listen(samples, last):
        raise AssertionError("there is nothing to decode")

    assert hear(Live(listen), np.concatenate([QUIET, noise])) == []


def in_pieces(live, samples, step):
    """Push samples in pieces of a size, as fast as they are taken, and finish."""
    told = []
    for start in range(0, len(samples), step):
        live.hurried = start + step < len(samples)
        told += live.push(samples[start : start + step])
        while live.due > 2:
            live.waiting.result(WAIT_S)
            told += live.collect()
    return told + the_rest(live)


def test_in_a_rush_the_finals_do_not_depend_on_how_sound_was_portioned(tiny, speech):
    samples = speech[0][: 10 * SAMPLE_RATE]
    whole = in_pieces(Live(through(tiny)), samples, len(samples))
    bits = in_pieces(Live(through(tiny)), samples, 777)
    assert [w.text for w in finals(whole)] == [w.text for w in finals(bits)] != []
    ended = [one.end_sample for one in whole if isinstance(one, Final) and one.ended]
    assert ended == [one.end_sample for one in bits if isinstance(one, Final) and one.ended]
    assert not any(isinstance(one, Partial) for one in whole[:-3])


def test_a_flush_is_answered_once_with_what_was_said_and_hearing_goes_on(tiny, speech):
    samples = speech[0]
    live = Live(through(tiny))
    told = []
    for start in range(0, len(samples), STEP):
        told += live.push(samples[start : start + STEP])
        if start == 20 * STEP:
            live.flush()
            live.flush()
    told += the_rest(live)
    flushed = [one for one in told if isinstance(one, Final) and one.flushed]
    assert len(flushed) == 2 and flushed[0].words and not flushed[1].words
    assert all(one.ended for one in flushed)
    assert len(finals(told)) > len(flushed[0].words) + 20


def test_a_flush_before_any_sound_is_answered_too():
    live = Live(lambda samples, last: pytest.fail("there is nothing to decode"))
    live.flush()
    assert live.collect() == [Final((), 0, True, flushed=True)]


@pytest.mark.long
def test_a_pause_is_told_once_after_its_words_are_final(tiny, speech):
    told = hear(Live(through(tiny), pause_ms=1000), speech[0])
    for place, one in enumerate(told):
        if isinstance(one, Paused):
            before = [t for t in told[:place] if isinstance(t, Final | SpeechStarted | Paused)]
            assert isinstance(before[-1], Final)
            assert one.sample >= SAMPLE_RATE + before[-1].words[-1].end_ms * 16 - SAMPLE_RATE // 4
    assert sum(isinstance(one, Paused) for one in told) >= 2


@pytest.mark.long
def test_without_an_endpoint_a_silence_still_ends_the_utterance(tiny, speech):
    told = hear(Live(through(tiny), endpoint_ms=None), speech[0])
    assert finals(told) and any(isinstance(one, Final) and one.ended for one in told)


class Engine:
    """An engine whose tickets come to their end when they are told to."""

    def __init__(self):
        self.tickets, self.asked = [], []

    def __call__(self, samples, last):
        ticket = Ticket(samples, Request(), Priority.LIVE if last else Priority.PARTIAL)
        self.tickets.append(ticket)
        self.asked.append(last)
        return ticket


def test_a_partial_that_waits_makes_room_for_a_final(speech):
    engine = Engine()
    live = Live(engine)
    live.push(speech[0][: 2 * SAMPLE_RATE])
    assert engine.asked == [False] and not engine.tickets[0].done
    live.finish()
    live.collect()
    assert engine.tickets[0].done and engine.asked == [False, True]
    assert live.partials_left_out >= 1


def test_a_final_that_fails_is_decoded_once_more_and_then_told_of(speech):
    engine = Engine()
    live = Live(engine)
    live.hurried = True
    live.push(speech[0][: 2 * SAMPLE_RATE])
    live.finish()
    live.collect()
    engine.tickets[-1].fail(EngineError("out of memory"))
    live.collect()
    assert len(engine.tickets) == 2
    engine.tickets[-1].fail(EngineError("out of memory"))
    with pytest.raises(EngineError):
        live.collect()


def test_a_partial_that_fails_is_passed_over(speech):
    engine = Engine()
    live = Live(engine)
    live.push(speech[0][: 2 * SAMPLE_RATE])
    engine.tickets[0].fail(EngineError("out of memory"))
    assert not any(isinstance(one, Partial) for one in live.collect())
    live.finish()
    live.collect()
    assert engine.asked[-1] is True


def test_what_is_given_up_leaves_nothing_under_way(speech):
    engine = Engine()
    live = Live(engine)
    live.push(speech[0][: 2 * SAMPLE_RATE])
    live.close()
    assert engine.tickets[0].done and live.done


def test_how_far_finals_are_behind_is_told(speech):
    engine = Engine()
    live = Live(engine)
    live.hurried = True
    assert live.lag_s == 0.0
    for start in range(0, 10 * SAMPLE_RATE, STEP):
        live.push(speech[0][start : start + STEP])
    assert live.due > 0 and live.lag_s > 1.0
