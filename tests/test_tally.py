"""What the engine and the takes add up: nothing is lost between threads, nothing counted twice."""

import sys
import threading

from appliance.capture_tally import CaptureTally
from engine.tally import Distribution, Tally


def test_times_are_counted_in_every_bound_that_they_keep():
    spread = Distribution((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        spread.note(seconds)
    found = spread.now()
    assert found.counts == (2, 3, 4)
    assert found.sum_s == 7.65


def test_a_tally_is_exact_however_many_write():
    tally, captured = Tally(("live",)), CaptureTally()
    rounds, writers = 2000, 4

    def write():
        for _ in range(rounds):
            tally.began("live", 0.5)
            tally.ended("live", 1.0, 0.5, ("no speech",))
            tally.failed(0.5)
            captured.captured(0.5)
            captured.gap("overflow", 0.25)

    threads = [threading.Thread(target=write) for _ in range(writers)]
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
    finally:
        sys.setswitchinterval(interval_s)
    total, work = rounds * writers, tally.now()
    assert work.windows == {"live": total} and work.failed == total
    assert (work.audio_s, work.busy_s) == (total, total)
    assert work.suppressed == {"no speech": total}
    assert work.waits["live"].counts[-1] == total
    assert captured.now().seconds == total / 2
    assert captured.now().gaps["overflow"] == total


def test_what_was_read_does_not_change_any_more():
    tally = Tally(("live",))
    before = tally.now()
    tally.ended("live", 1.0, 1.0, ())
    assert before.windows == {"live": 0} and tally.now().windows == {"live": 1}
