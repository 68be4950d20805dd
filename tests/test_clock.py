"""Duties are carried out by the clock, and a last time when it stops."""

import logging
import threading

from scheduler.clock import Clock, Duty


def test_a_duty_is_carried_out_every_so_often():
    done = threading.Semaphore(0)
    clock = Clock((Duty("count", 0.05, done.release),)).start()
    assert all(done.acquire(timeout=60) for _ in range(3))
    clock.stop()
    assert clock.last["count"].error is None


def test_a_duty_that_fails_is_noted_and_runs_again(caplog):
    tries = threading.Semaphore(0)

    def fail():
        tries.release()
        raise RuntimeError("broken")

    with caplog.at_level(logging.ERROR, "scheduler.clock"):
        clock = Clock((Duty("fail", 0.05, fail),)).start()
        assert all(tries.acquire(timeout=60) for _ in range(2))
        clock.stop()
    assert clock.last["fail"].error == "RuntimeError"
    assert "fail" in caplog.text


def test_stopping_carries_out_a_last_time_what_asks_for_it():
    done = []
    clock = Clock(
        (
            Duty("kept", 3600, lambda: done.append("kept"), at_stop=True),
            Duty("other", 3600, lambda: done.append("other")),
        )
    ).start()
    assert clock.running
    clock.stop()
    assert done == ["kept"] and not clock.running
