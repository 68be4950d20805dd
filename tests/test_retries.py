"""The schedule of tries: 11 in 76 hours, never early, and what answers ask for."""

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.retries import DELAYS_S, TRIES, delay_after_cut_s, next_delay_s

HOUR_S, DAY_S = 3600, 86400


@dataclass
class Answer:
    status: int | None = None
    retry_after_s: float | None = None


class Fixed(Random):
    """Chance that always says the same."""

    def __init__(self, value: float) -> None:
        super().__init__(0)
        self.value = value

    def random(self) -> float:
        return self.value


EARLIEST, LATEST = Fixed(0.0), Fixed(1.0 - 1e-9)


def test_the_schedule_is_the_contracts():
    hours = [2, 5, 10, 14, 20, 24]
    assert (0, 5, 30, 300, 1800, *(h * HOUR_S for h in hours)) == DELAYS_S
    assert TRIES == 11 and 75.5 < sum(DELAYS_S) / HOUR_S < 76


def test_each_failure_waits_for_the_next_of_the_schedule_and_the_last_for_nothing():
    waits = [next_delay_s(done, Answer(500), EARLIEST) for done in range(1, 12)]
    assert waits == [*DELAYS_S[1:], None]
    assert next_delay_s(12, Answer(500), EARLIEST) is None


@given(
    done=st.integers(1, 10),
    status=st.none() | st.integers(300, 599),
    asked_s=st.none() | st.floats(0, 1e9),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_no_try_is_early_nor_later_than_a_fifth_or_what_was_asked_for(
    done, status, asked_s, chance
):
    waited = next_delay_s(done, Answer(status, asked_s), Fixed(chance))
    least = max(DELAYS_S[done], 60 if status in (429, 502, 503, 504) else 0)
    assert waited >= least
    assert waited <= max(least * 1.2, min(asked_s or 0, DAY_S))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_receiver_that_has_too_much_to_do_is_left_alone_for_a_minute(status):
    assert next_delay_s(1, Answer(status), EARLIEST) == 60
    assert next_delay_s(1, Answer(status), LATEST) == pytest.approx(72)
    assert next_delay_s(3, Answer(status), EARLIEST) == 300


@pytest.mark.parametrize("status", [None, 301, 400, 404, 410, 500, 501])
def test_other_failures_keep_to_the_schedule(status):
    assert next_delay_s(1, Answer(status), EARLIEST) == 5


def test_what_retry_after_asks_for_is_given_up_to_a_day():
    assert next_delay_s(1, Answer(429, 90.0), LATEST) == 90
    assert next_delay_s(1, Answer(503, 10.0), EARLIEST) == 60
    assert next_delay_s(5, Answer(503, 10.0), EARLIEST) == 2 * HOUR_S
    assert next_delay_s(1, Answer(503, 1e12), LATEST) == DAY_S


@pytest.mark.parametrize("nonsense", [float("nan"), -5.0, float("inf")])
def test_a_retry_after_that_makes_no_sense_does_no_harm(nonsense):
    assert 60 <= next_delay_s(1, Answer(429, nonsense), EARLIEST) <= DAY_S


def test_tries_that_were_cut_off_are_made_again_at_once_then_ever_later_and_not_for_ever():
    waits = [delay_after_cut_s(cuts) for cuts in range(1, 12)]
    assert waits == [0, 0, 0, *DELAYS_S[1:8], None]
    assert delay_after_cut_s(12) == 0  # replayed since
