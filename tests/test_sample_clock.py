"""What the clock says is missing: all of a loss, nothing of a delay."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sample_clock import SampleClock

BLOCK_S = 0.02
BLOCK = 320


class Device:
    """Blocks of 20 ms with a jitter, of a clock of its own."""

    def __init__(self, drift=0.0, jitter_s=0.03, seed=1):
        self.clock, self.missing = SampleClock(), []
        self._random, self._jitter_s, self._drift = random.Random(seed), jitter_s, drift
        self._at, self.sample = 1000.0, 0

    def play(self, seconds, late_until=0.0):
        for _ in range(round(seconds / BLOCK_S)):
            self._at += BLOCK_S * (1 + self._drift)
            came = max(self._at, late_until) + self._random.uniform(0, self._jitter_s)
            self._note(self.clock.tick(came, BLOCK_S, self.sample))
            self.sample += BLOCK

    def lose(self, seconds, flagged=True):
        self._at += seconds
        if flagged:
            self.clock.overflowed(self.sample)

    def delay(self, seconds):
        self.play(seconds, late_until=self._at + seconds)

    def _note(self, missing):
        if missing is not None:
            self.missing.append(missing)


@given(lost_s=st.floats(0.08, 30), before_s=st.floats(0.1, 5), seed=st.integers(0, 9))
def test_a_loss_that_is_told_is_measured_at_its_place(lost_s, before_s, seed):
    device = Device(seed=seed)
    device.play(before_s)
    at = device.sample
    device.lose(lost_s)
    device.play(2.5)
    (missing,) = device.missing
    assert missing.sample == at
    assert missing.seconds == pytest.approx(lost_s, abs=0.03)


@given(lost_s=st.floats(0.25, 30), before_s=st.floats(1.5, 5), seed=st.integers(0, 9))
def test_a_loss_that_nobody_told_of_is_found(lost_s, before_s, seed):
    device = Device(seed=seed)
    device.play(before_s)
    at = device.sample
    device.lose(lost_s, flagged=False)
    device.play(2.5)
    (missing,) = device.missing
    assert missing.sample == at
    assert missing.seconds == pytest.approx(lost_s, abs=0.03)


@given(delays=st.lists(st.tuples(st.floats(0.1, 3), st.floats(0.1, 3)), max_size=8))
def test_sound_that_is_only_late_is_not_missing(delays):
    device = Device()
    for quiet_s, late_s in delays:
        device.play(quiet_s)
        device.delay(late_s)
    device.play(3)
    assert device.missing == []


@pytest.mark.parametrize("drift", [-0.001, 0.001])
def test_a_clock_that_runs_fast_or_slow_loses_nothing(drift):
    device = Device(drift)
    device.play(600)
    assert device.missing == []


def test_a_flag_without_a_loss_says_nothing():
    device = Device(jitter_s=0.001)
    device.play(3)
    device.clock.overflowed(device.sample)
    device.play(3)
    assert device.missing == []


def test_losses_that_follow_each_other_closely_add_up():
    device = Device()
    device.play(3)
    for _ in range(5):
        device.lose(0.1)
        device.play(0.3)
    device.play(3)
    assert sum(missing.seconds for missing in device.missing) == pytest.approx(0.5, abs=0.05)


def test_a_loss_in_the_last_second_is_told_when_the_stream_ends():
    device = Device()
    assert device.clock.settle() is None
    device.play(3)
    assert device.clock.settle() is None
    device.lose(0.5)
    device.play(0.2)
    missing = device.clock.settle()
    assert missing is not None
    assert missing.seconds == pytest.approx(0.5, abs=0.04)
    assert device.clock.settle() is None
