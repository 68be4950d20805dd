import sys
import threading
import time

import numpy as np
import pytest
from speech_fixtures import fixture, words_wrong

from engine.audio import read
from engine.errors import Cancelled, EngineError, LanguageUnsupported, ModelUnavailable
from engine.pace import MOST_AT_ONCE
from engine.ticket import batch_of, choose
from engine.whisper import Heard, Request
from engine.worker import Priority, Ticket, Worker

PATIENCE = 3600.0
NOTHING = np.zeros(0, np.int16)
LIVE, SHORT, LONG = Priority.LIVE, Priority.SHORT, Priority.LONG


class SlowWhisper:
    """Stand in for Whisper: note the name of each window, and hold each until `go` is set."""

    def __init__(self):
        self.heard = []
        self.began, self.go = threading.Event(), threading.Event()

    def transcribe(self, samples, request):
        (name,) = request.hotwords
        self.heard.append(name)
        self.began.set()
        assert self.go.wait(60)
        if name == "bad":
            raise LanguageUnsupported("language 'xx'")
        return Heard((), "en")


class BatchWhisper(SlowWhisper):
    """Note how many windows come at once, by how long they are."""

    def transcribe(self, samples, request):
        return self.transcribe_all([samples], request)[0]

    def transcribe_all(self, windows, request):
        self.heard.append([len(samples) // 16_000 for samples in windows])
        self.began.set()
        assert self.go.wait(60)
        return [Heard((), f"{len(samples) // 16_000}") for samples in windows]


@pytest.fixture
def whisper():
    return SlowWhisper()


@pytest.fixture
def busy(whisper):
    """Run a worker that is at a window named "first" until `whisper.go` is set."""
    worker = Worker(lambda: whisper, patience_s=PATIENCE).start()
    submit(worker, "first", LONG)
    assert whisper.began.wait(60)
    yield worker
    whisper.go.set()
    worker.stop()


def submit(worker, name, priority):
    return worker.submit(NOTHING, Request(hotwords=(name,)), priority)


def test_the_more_urgent_goes_first_and_equals_in_order(busy, whisper):
    wanted = [("long 1", LONG), ("live 1", LIVE), ("short 1", SHORT), ("long 2", LONG)]
    wanted += [("live 2", LIVE), ("short 2", SHORT)]
    tickets = [submit(busy, name, priority) for name, priority in wanted]
    whisper.go.set()
    for ticket in tickets:
        assert ticket.result(60).language == "en"
    in_order = ["live 1", "live 2", "short 1", "short 2", "long 1", "long 2"]
    assert whisper.heard == ["first", *in_order]


def test_without_patience_the_oldest_goes_first_and_a_live_one_after_each(whisper):
    worker = Worker(lambda: whisper, patience_s=0).start()
    names = ["first", "long", "short", "live"]
    tickets = [submit(worker, n, p) for n, p in zip(names, [LONG, LONG, SHORT, LIVE], strict=True)]
    whisper.go.set()
    for ticket in tickets:
        ticket.result(60)
    assert whisper.heard in (  # "first" may have been taken before the others came
        ["first", "live", "long", "short"],
        ["live", "first", "long", "short"],
    )
    worker.stop()


def of_file(worker, seconds, priority=LONG, request=None):
    return worker.submit(
        np.zeros(seconds * 16_000, np.int16), request or Request(language="en"), priority
    )


@pytest.fixture
def batches():
    """Run a worker that is at a window of 1 s until `go` is set, and takes several at once."""
    whisper = BatchWhisper()
    worker = Worker(lambda: whisper, patience_s=PATIENCE).start()
    of_file(worker, 1)
    assert whisper.began.wait(60)
    yield worker, whisper
    whisper.go.set()
    worker.stop()


def test_windows_of_files_are_transcribed_several_at_a_time(batches):
    worker, whisper = batches
    tickets = [of_file(worker, seconds) for seconds in [11, 12, 13] * 4]
    whisper.go.set()
    assert [ticket.result(60).language for ticket in tickets] == ["11", "12", "13"] * 4
    assert [len(batch) for batch in whisper.heard] == [1, MOST_AT_ONCE, 12 - MOST_AT_ONCE]


def test_files_asked_for_otherwise_or_in_other_windows_go_apart(batches):
    worker, whisper = batches
    tickets = [of_file(worker, 12), of_file(worker, 12, request=Request(language="de"))]
    tickets += [of_file(worker, 25), of_file(worker, 11), of_file(worker, 10, SHORT)]
    whisper.go.set()
    for ticket in tickets:
        ticket.result(60)
    assert whisper.heard == [[1], [10], [12, 11], [12], [25]]


def test_live_windows_go_one_by_one(batches):
    worker, whisper = batches
    tickets = [of_file(worker, 3, LIVE) for _ in range(2)]
    whisper.go.set()
    for ticket in tickets:
        ticket.result(60)
    assert whisper.heard == [[1], [3], [3]]


def test_a_caller_of_live_text_keeps_batches_short(batches):
    worker, _ = batches
    worker._pace.took(0.3, 18)
    assert worker._pace.most_at_once(18) == MOST_AT_ONCE
    of_file(worker, 1, Priority.PARTIAL).cancel()
    assert worker._pace.most_at_once(18) == 3


@pytest.fixture
def given_back(monkeypatch):
    """Tell that memory is given back, as soon as nothing waits and nothing is at hand."""
    times = threading.Semaphore(0)
    monkeypatch.setattr("engine.worker.give_back", times.release)
    monkeypatch.setattr("engine.worker.IDLE_S", 0.05)
    return times


def test_memory_is_given_back_once_when_nothing_more_comes(given_back, batches):
    worker, whisper = batches
    assert given_back.acquire(timeout=60)  # what loading took
    whisper.go.set()
    assert given_back.acquire(timeout=60)
    assert not given_back.acquire(timeout=0.3)
    of_file(worker, 1)
    assert given_back.acquire(timeout=60)
    assert not given_back.acquire(timeout=0.3)


def test_memory_is_kept_while_another_thread_is_at_a_window(given_back):
    whisper = BatchWhisper()
    worker = Worker(lambda: whisper, patience_s=PATIENCE, workers=2).start()
    assert given_back.acquire(timeout=60)
    of_file(worker, 1)
    assert whisper.began.wait(60)
    whisper.transcribe = lambda samples, request: Heard((), "en")
    of_file(worker, 2).result(60)  # the other thread, which has nothing to do from now on
    assert not given_back.acquire(timeout=0.5)
    whisper.go.set()
    assert given_back.acquire(timeout=60)
    worker.stop()


def test_memory_is_kept_for_longer_while_somebody_speaks(given_back, batches):
    worker, whisper = batches
    assert given_back.acquire(timeout=60)
    whisper.go.set()
    assert given_back.acquire(timeout=60)
    of_file(worker, 1, Priority.LIVE).result(60)
    assert not given_back.acquire(timeout=0.5)
    of_file(worker, 1).result(60)  # a file's windows take far more
    assert given_back.acquire(timeout=60)


def test_two_workers_are_at_two_windows(whisper):
    worker = Worker(lambda: whisper, patience_s=PATIENCE, workers=2).start()
    both = threading.Barrier(3)
    whisper.transcribe = lambda samples, request: (both.wait(60), Heard((), "en"))[1]
    tickets = [submit(worker, "a", LIVE), submit(worker, "b", LONG)]
    both.wait(60)
    for ticket in tickets:
        ticket.result(60)
    assert worker.alive
    worker.stop()
    assert not worker.alive


def test_a_batch_that_fails_is_tried_window_by_window(batches):
    worker, whisper = batches

    def fail(windows, request):
        raise RuntimeError("out of memory")

    def one(samples, request):
        if len(samples) == 13 * 16_000:
            raise RuntimeError("out of luck")
        return Heard((), "en")

    whisper.transcribe_all, whisper.transcribe = fail, one
    good, bad, fine = (of_file(worker, seconds) for seconds in (12, 13, 11))
    whisper.go.set()
    assert good.result(60).language == fine.result(60).language == "en"
    with pytest.raises(EngineError, match="out of luck"):
        bad.result(60)
    assert worker.tally.now().failed == 1


def test_a_batch_begins_with_the_ticket_whose_turn_it_is():
    samples = np.zeros(12 * 16_000, np.int16)
    tickets = [Ticket(samples, Request(), LONG) for _ in range(4)]
    assert batch_of(tickets[2], tickets, 3) == [tickets[2], tickets[0], tickets[1]]
    assert batch_of(tickets[0], tickets, 1) == [tickets[0]]


def test_a_ticket_that_has_waited_too_long_is_chosen_before_a_live_one():
    live, short, long = (Ticket(NOTHING, Request(), p) for p in (LIVE, SHORT, LONG))
    live.submitted, short.submitted, long.submitted = 30.0, 25.0, 10.0
    assert choose([live, short, long], patient_since=9.0) is live
    assert choose([live, short, long], patient_since=10.0) is long
    assert choose([live, short], patient_since=10.0) is live
    assert choose([long, short], patient_since=9.0) is short


def test_who_is_more_urgent_never_waits_for_two_impatient_ones():
    first, second = (Ticket(NOTHING, Request(), LONG) for _ in range(2))
    first.submitted, second.submitted = 1.0, 2.0
    for priority in (LIVE, Priority.PARTIAL, SHORT):
        urgent = Ticket(NOTHING, Request(), priority)
        urgent.submitted = 30.0
        assert choose([first, second, urgent], patient_since=10.0) is first
        assert choose([second, urgent], patient_since=10.0, last=LONG) is urgent
        assert choose([second, urgent], patient_since=10.0, last=priority) is second
    assert choose([second], patient_since=10.0, last=LONG) is second


def test_what_can_not_be_loaded_may_be_asked_for_again_and_again():
    def absent():
        raise ModelUnavailable("model 'absent' is not installed")

    worker = Worker(absent).start()
    for _ in range(50):
        with pytest.raises(ModelUnavailable):
            worker.model(60)
        with pytest.raises(ModelUnavailable):
            submit(worker, "a", LIVE)
    depth, at = 0, worker.failure.__traceback__
    while at is not None:
        depth, at = depth + 1, at.tb_next
    assert depth < 5  # each holds a frame, and all that is in it
    worker.stop()


def test_a_cancelled_ticket_is_never_heard(busy, whisper):
    given_up, other = submit(busy, "given up", LIVE), submit(busy, "other", LONG)
    assert busy.waiting == 2
    given_up.cancel()
    assert busy.waiting == 1
    with pytest.raises(Cancelled):
        given_up.result(60)
    whisper.go.set()
    other.result(60)
    assert whisper.heard == ["first", "other"]


def test_the_result_of_a_ticket_cancelled_while_it_runs_is_thrown_away(whisper):
    worker = Worker(lambda: whisper).start()
    running = submit(worker, "running", LIVE)
    assert whisper.began.wait(60)
    running.cancel()
    with pytest.raises(Cancelled):
        running.result(60)
    whisper.go.set()
    assert submit(worker, "next", LIVE).result(60) == Heard((), "en")
    worker.stop()


def test_a_ticket_may_be_cancelled_at_the_moment_it_is_done():
    """Neither side may see the other's race: both ends of it are tried many times over."""
    rounds = 2000
    tickets = [Ticket(NOTHING, Request(), LIVE) for _ in range(rounds)]
    start, wrong = threading.Barrier(2), []

    def end_all(end):
        start.wait(60)
        for ticket in tickets:
            try:
                end(ticket)
            except Exception as error:
                wrong.append(error)

    threads = [
        threading.Thread(target=end_all, args=(end,))
        for end in (Ticket.cancel, lambda ticket: ticket.finish(Heard((), "en")))
    ]
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # as many changes of thread as there can be
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
    finally:
        sys.setswitchinterval(interval_s)
    assert wrong == []
    assert all(ticket.done for ticket in tickets)


def test_one_bad_window_harms_no_other(busy, whisper):
    bad, good = submit(busy, "bad", LIVE), submit(busy, "good", LONG)
    whisper.go.set()
    with pytest.raises(LanguageUnsupported):
        bad.result(60)
    assert good.result(60).language == "en"


def test_what_waits_is_told_by_its_priority(busy):
    for name, priority in (("a", LIVE), ("b", LONG), ("c", LONG)):
        given_up = submit(busy, name, priority)
    given_up.cancel()
    assert busy.queue == {LIVE: 1, Priority.PARTIAL: 0, SHORT: 0, LONG: 1}


def test_it_tells_for_how_long_it_has_been_at_a_window(busy, whisper):
    assert busy.alive and busy.busy_s > 0
    other = submit(busy, "other", LIVE)
    whisper.go.set()
    other.result(60)
    busy.stop()
    assert busy.busy_s == 0.0 and not busy.alive


def test_it_adds_up_what_it_does(busy, whisper):
    bad, good = submit(busy, "bad", LIVE), submit(busy, "good", LONG)
    whisper.go.set()
    good.result(60)
    with pytest.raises(LanguageUnsupported):
        bad.result(60)
    work = busy.tally.now()
    assert (work.windows, work.failed) == ({"live": 0, "partial": 0, "short": 0, "long": 2}, 1)
    assert work.waits["long"].counts[-1] == 2 and work.busy_s > 0


def test_a_failure_to_load_reaches_those_who_wait_and_those_who_come_later():
    waits = threading.Event()
    missing = ModelUnavailable("model 'base': the package is not installed")

    def load():
        assert waits.wait(60)
        raise missing

    worker = Worker(load).start()
    assert worker.state == "loading"
    early = submit(worker, "early", LIVE)
    waits.set()
    with pytest.raises(ModelUnavailable, match="not installed"):
        early.result(60)
    with pytest.raises(ModelUnavailable, match="not installed"):
        worker.model(10)
    with pytest.raises(ModelUnavailable, match="not installed"):
        submit(worker, "late", LIVE)
    assert worker.state == "failed" and worker.alive  # it has nothing to do
    assert worker.failure is missing
    worker.stop()


def test_whatever_goes_wrong_while_loading_is_a_model_that_is_unavailable():
    def load():
        raise RuntimeError("out of memory")

    worker = Worker(load).start()
    with pytest.raises(ModelUnavailable, match="can't be loaded: out of memory"):
        worker.model(10)
    worker.stop()


def test_a_model_that_takes_long_is_a_timeout_not_a_failure(whisper):
    loaded = threading.Event()

    def load():
        assert loaded.wait(60)
        return whisper

    worker = Worker(load).start()
    with pytest.raises(TimeoutError):
        worker.model(0)
    loaded.set()
    assert worker.model(10) is whisper
    assert worker.state == "ready"
    worker.stop()


def test_stopping_cancels_what_waits_and_lets_the_running_window_end(busy, whisper):
    waiting = submit(busy, "waiting", LIVE)
    stopper = threading.Thread(target=busy.stop, args=(10,))
    stopper.start()
    with pytest.raises(Cancelled):
        waiting.result(60)
    whisper.go.set()
    stopper.join(10)
    assert whisper.heard == ["first"]
    assert not busy.alive
    with pytest.raises(Cancelled, match="stopping"):
        submit(busy, "late", LIVE)


def test_a_worker_that_was_never_started_can_be_stopped(whisper):
    worker = Worker(lambda: whisper)
    ticket = submit(worker, "waiting", LIVE)
    worker.stop()
    with pytest.raises(Cancelled):
        ticket.result(0)


def test_a_real_model_serves_many_callers_at_once(tiny):
    dictation = fixture("dictation")
    samples = read(dictation.path)
    began = time.monotonic()
    tickets = [tiny.submit(samples, Request(word_times=False), priority) for priority in Priority]
    texts = [" ".join(s.text for s in t.result(60).segments) for t in tickets]
    assert all(words_wrong(dictation.text, text) <= 1 for text in texts)
    assert time.monotonic() - began < 60
