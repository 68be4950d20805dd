"""A countdown: one for all that stop."""

from appliance import countdown
from appliance.countdown import LEAST_S, Countdown


def test_it_runs_from_its_beginning_and_leaves_everybody_a_little(monkeypatch):
    now_s = 100.0
    monkeypatch.setattr(countdown.time, "monotonic", lambda: now_s)
    counting = Countdown(8.0)
    now_s = 200.0
    counting.begin()
    now_s = 203.0
    counting.begin()
    assert counting.left_s() == 5.0
    now_s = 300.0
    assert counting.left_s() == LEAST_S


def test_it_begins_when_somebody_asks():
    assert 7.0 < Countdown(8.0).left_s() <= 8.0
