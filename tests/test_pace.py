import pytest

from engine.pace import MOST_AT_ONCE, SPOKEN_WITHIN_S, Pace


@pytest.fixture
def pace():
    """Return the pace of a worker whose windows of 20 s take 0.3 s."""
    pace = Pace()
    pace.took(0.3, 18)
    return pace


def test_batches_are_whole_where_nobody_speaks(pace):
    assert pace.most_at_once(18) == MOST_AT_ONCE


def test_while_somebody_may_speak_a_batch_takes_a_second(pace):
    pace.expect_speech()
    assert pace.most_at_once(18) == 3
    pace.spoken_s -= SPOKEN_WITHIN_S
    assert pace.most_at_once(18) == MOST_AT_ONCE


def test_a_window_that_takes_longer_than_that_goes_alone(pace):
    pace.expect_speech()
    pace.took(5.0, 18)
    assert pace.most_at_once(18) == 1


def test_no_batch_takes_longer_than_a_file_may_go_without_a_word(pace):
    pace.took(2.5, 18)
    assert pace.most_at_once(18) == 3


def test_a_short_window_says_nothing_of_how_many_long_ones_take_a_second(pace):
    pace.expect_speech()
    pace.took(0.2, 8)
    assert pace.expected_s(28) == pytest.approx(0.6)
    assert pace.most_at_once(28) == 1
