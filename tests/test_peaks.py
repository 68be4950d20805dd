"""The outline of a sound: every slice has its loudest moment, however the sound comes in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import SAMPLE_RATE
from engine.peaks import BINS, FIRST_BIN_SAMPLES, outline


def cut(samples, sizes):
    """Yield the samples in blocks of these sizes, over and over."""
    at = number = 0
    while at < len(samples):
        size = sizes[number % len(sizes)]
        yield samples[at : at + size]
        at, number = at + size, number + 1


def test_a_click_is_seen_in_its_slice_and_in_no_other():
    samples = np.zeros(10 * SAMPLE_RATE, np.int16)
    samples[3 * SAMPLE_RATE + 5] = 16384
    found = outline([samples])
    assert found.seconds == 10
    points = found.points(100)
    assert [i for i, point in enumerate(points) if point] == [30] and points[30] == 50


@pytest.mark.parametrize("sample", [-32768, 32767])
def test_the_loudest_there_is_is_a_hundred_per_cent(sample):
    assert outline([np.full(1000, sample, np.int16)]).points(100) == [100] * 100


def test_no_sound_is_no_amplitude():
    assert outline([]).points(100) == [0] * 100
    assert outline([np.zeros(0, np.int16)]).seconds == 0


def test_a_sound_shorter_than_the_points_fills_them_all():
    samples = np.array([32767, 0, 0, 0] * 100, np.int16)
    assert outline([samples]).points(4000) == [100] * 4000


@settings(max_examples=25)  # of up to a quarter of an hour each
@given(
    st.integers(0, 3 * BINS * FIRST_BIN_SAMPLES),
    st.lists(st.integers(1, 100_000), min_size=1, max_size=5),
    st.integers(0, 2**32),
)
def test_nothing_loud_is_lost_and_the_blocks_make_no_difference(count, sizes, seed):
    samples = np.random.default_rng(seed).integers(-32768, 32767, count, np.int16)
    found = outline(cut(samples, sizes))
    assert found == outline([samples])
    assert len(found.bins) <= BINS + 1
    loudest = int(np.abs(samples.astype(int)).max(initial=0))
    for points in (100, 800, 4000):
        assert max(found.points(points)) == round(loudest * 100 / 32768)
        assert len(found.points(points)) == points


def test_three_hours_keep_their_times_and_take_no_more_room():
    """A click in every tenth minute is found within a slice of where it is."""
    silence = np.zeros(60 * SAMPLE_RATE, np.int16)
    click = silence.copy()
    click[0] = 32767
    found = outline(click if minute % 10 == 0 else silence for minute in range(180))
    assert found.seconds == 3 * 3600 and BINS // 2 <= len(found.bins) <= BINS
    loud = [i for i, point in enumerate(found.points(1800)) if point]
    assert len(loud) == 18
    for index, minute in zip(loud, range(0, 180, 10), strict=True):
        assert abs(index - minute * 10) <= 1
