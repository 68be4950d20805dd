"""Words come out while they are said, and what was told as stable or final is never taken back."""

import threading

import numpy as np
import pytest
from speech_fixtures import fixture, words_of, words_wrong

from engine.audio import SAMPLE_RATE, read
from engine.live import Final, Live, Partial, SpeechStarted
from engine.whisper import Heard, Request
from engine.worker import Priority, Ticket

STEP = SAMPLE_RATE // 10
WAIT_S = 60
QUIET = np.zeros(2 * SAMPLE_RATE, np.int16)


@pytest.fixture(scope="module")
def speech():
    """Return someone speaking, and what is said."""
    found = fixture("meeting")
    return np.concatenate([read(found.path)[: 20 * SAMPLE_RATE], QUIET]), found


def through(worker):
    """Return what submits to a real engine."""

    def listen(samples, last):
        request = Request(language="en", short_window=True, quick=not last)
        return worker.submit(samples, request, Priority.LIVE)

    return listen


def hear(live, samples, wait=True):
    """Push samples as they would come, with an engine that is always in time."""
    told = []
    for start in range(0, len(samples), STEP):
        told += live.push(samples[start : start + STEP])
        while wait and live.waiting is not None:
            live.waiting.result(WAIT_S)
            told += live.collect()
    live.finish()
    while not live.done:
        if live.waiting is not None:
            live.waiting.result(WAIT_S)
        told += live.collect()
    return told


def finals(told):
    return [word for one in told if isinstance(one, Final) for word in one.words]


def test_what_is_said_comes_as_partials_and_finals_in_order(tiny, speech):
    samples, said = speech
    told = hear(Live(through(tiny)), samples)
    words = finals(told)
    spoken = " ".join(u.text for u in said.utterances if u.end_ms <= 20_000)
    wrong = words_wrong(spoken, " ".join(word.text for word in words))
    assert wrong <= 0.25 * len(words_of(spoken))
    starts = [word.start_ms for word in words]
    assert starts == sorted(starts) and starts[-1] < 21_000
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
