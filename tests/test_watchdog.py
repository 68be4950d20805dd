"""systemd gets a sign of life only of a box that lives, and time while it starts and stops."""

import asyncio
import logging
import queue
import signal
import sys
import threading

import pytest
import running_box
from running_box import WAIT_S, running
from service_manager import ServiceManager

from api.notify import ALIVE, READY, STOPPING
from api.watchdog import STUCK_S, Pulse, Watchdog
from engine.worker import Worker
from scheduler.clock import Clock

SHORT_S = 0.03


class Engine:
    """A worker's signs."""

    def __init__(self):
        self.alive, self.busy_s = True, 0.0


class Duties:
    """A clock's sign."""

    running = True


class Loop:
    """An event loop that may be stopped up, in a thread of its own."""

    def __init__(self, engine, clock):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        made = asyncio.run_coroutine_threadsafe(self._make(engine, clock), self._loop)
        self.pulse = made.result(WAIT_S)
        self.free = threading.Event()

    async def _make(self, engine, clock):
        return Pulse(engine, clock)

    def block(self):
        self._loop.call_soon_threadsafe(self.free.wait, WAIT_S)

    def settle(self):
        """Wait until all that was asked of it so far is done."""
        passed = threading.Event()
        self._loop.call_soon_threadsafe(passed.set)
        assert passed.wait(WAIT_S)

    def stop(self):
        self.free.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def loop(engine):
    made = Loop(engine, Duties())
    yield made
    made.stop()


def test_all_is_well_as_long_as_the_loop_answers(loop):
    for _ in range(3):
        assert loop.pulse.ailment() is None
        loop.settle()


def test_a_loop_that_does_not_answer_is_an_ailment_until_it_does(loop):
    loop.block()
    assert loop.pulse.ailment() is None  # asked for the first time
    assert loop.pulse.ailment() == "the event loop does not answer"
    assert loop.pulse.ailment() == "the event loop does not answer"
    loop.free.set()
    loop.settle()
    assert loop.pulse.ailment() is None


def test_a_loop_that_has_ended_is_an_ailment(engine):
    made = Loop(engine, Duties())
    made.stop()
    assert made.pulse.ailment() == "the event loop has ended"


def test_an_engine_that_died_or_is_stuck_is_an_ailment_and_a_long_decode_is_not(loop, engine):
    engine.busy_s = STUCK_S - 1
    assert loop.pulse.ailment() is None
    loop.settle()
    engine.busy_s = STUCK_S + 1
    assert "at one window for 301 s" in loop.pulse.ailment()
    loop.settle()
    engine.busy_s, engine.alive = 0.0, False
    assert loop.pulse.ailment() == "the thread of the engine has ended"


def test_a_clock_that_has_stopped_is_an_ailment(engine):
    clock = Clock(())
    made = Loop(engine, clock)
    try:
        assert made.pulse.ailment() == "the clock has stopped"
        made.settle()
        clock.start()
        assert made.pulse.ailment() is None
    finally:
        clock.stop()
        made.stop()


def test_a_worker_without_a_model_is_no_ailment():
    def no_model():
        raise RuntimeError("no model")

    worker = Worker(no_model).start()
    with pytest.raises(Exception, match="no model"):
        worker.model(WAIT_S)
    made = Loop(worker, Duties())
    try:
        assert made.pulse.ailment() is None
    finally:
        made.stop()
        worker.stop()
    assert worker.alive and worker.busy_s == 0.0


@pytest.fixture
def told():
    """Return a queue of messages."""
    return queue.SimpleQueue()


@pytest.fixture
def watchdog(told):
    made = Watchdog(lambda *said: told.put(said), interval_s=3 * SHORT_S, ask_every_s=SHORT_S)
    yield made.start()
    made.close()


def wait_for(told, wanted):
    """Return the first message with such an assignment."""
    while True:
        said = told.get(timeout=WAIT_S)
        for one in said:
            if one.startswith(wanted):
                return said


def test_while_the_box_starts_it_asks_for_time_and_then_shows_that_it_lives(watchdog, told, loop):
    wait_for(told, "STATUS=starting")
    wait_for(told, "EXTEND_TIMEOUT_USEC=30000000")
    watchdog.guard(loop.pulse, lambda: "two recordings")
    assert wait_for(told, READY) == (READY, "STATUS=two recordings")
    assert wait_for(told, "STATUS=two") == (ALIVE, "STATUS=two recordings")


def test_a_sick_box_shows_no_sign_of_life_and_says_why(watchdog, told, loop, engine, caplog):
    watchdog.guard(loop.pulse, lambda: "fine")
    wait_for(told, "STATUS=fine")
    engine.alive = False
    assert len(wait_for(told, "STATUS=the thread of the engine has ended")) == 1
    assert caplog.records[0].levelno == logging.CRITICAL
    engine.alive = True
    assert ALIVE in wait_for(told, "STATUS=fine")


def test_while_the_box_stops_nothing_is_asked_of_it(watchdog, told, loop, engine):
    watchdog.guard(loop.pulse, lambda: "fine")
    wait_for(told, READY)
    engine.alive = False
    watchdog.stopping()
    assert wait_for(told, STOPPING)[0] == STOPPING
    assert wait_for(told, "EXTEND_TIMEOUT_USEC")[0] == ALIVE


def test_it_does_not_ask_for_ever(told, monkeypatch):
    from api import watchdog

    monkeypatch.setattr(watchdog, "LONGEST_S", {"starting": -1.0, "stopping": -1.0})
    made = Watchdog(lambda *said: told.put(said), ask_every_s=SHORT_S).start()
    made.close()
    made._thread.join(WAIT_S)
    assert told.get() == ("STATUS=starting",) and told.empty()


def test_the_box_tells_systemd_all_of_its_life(tmp_path):
    address = str(tmp_path / "notify")
    more = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "300000", "SCRIBEBOX_MODEL": "absent"}
    with (
        ServiceManager(address) as systemd,
        running("--port", "0", "--data", str(tmp_path / "box"), **more) as box,
    ):
        systemd.wait_for(READY)
        assert box.wait_for("Scribebox is at")  # said before: the port answers by then
        systemd.wait_for(ALIVE)
        while "model failed" not in systemd.wait_for("STATUS=at http"):
            pass  # it is still looked for
        box.stop()
        assert systemd.lines().count(READY) == 1
        assert STOPPING in systemd.lines()


STUCK = """
import resource, sys, time
from api import cli, server
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
class Stuck(server.Server):
    async def main_loop(self):
        stuck_for_a_test()
def stuck_for_a_test():
    time.sleep(600)
server.Server = Stuck
sys.exit(cli.main())
"""


@pytest.mark.long
def test_a_box_that_is_stuck_shows_no_sign_of_life_and_where_it_was(tmp_path, monkeypatch):
    address = str(tmp_path / "notify")
    monkeypatch.setattr(running_box, "SCRIBEBOX", (sys.executable, "-c", STUCK))
    more = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "300000", "SCRIBEBOX_MODEL": "absent"}
    with (
        ServiceManager(address) as systemd,
        running("--port", "0", "--data", str(tmp_path / "box"), **more) as box,
    ):
        systemd.wait_for("STATUS=the event loop does not answer")
        seen = len(systemd.lines())
        for _ in range(3):
            systemd.wait_for("STATUS=the event loop does not answer")
        assert ALIVE not in systemd.lines()[seen:]
        assert box.stop(signal.SIGABRT) == -signal.SIGABRT  # as systemd does then
    assert "in stuck_for_a_test" in box.output
