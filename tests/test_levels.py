import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speech_fixtures import hiss, tone

from engine.audio import SAMPLE_RATE
from engine.levels import CLIPPING, FLOOR_DBFS, SILENT, Levels

SECOND = SAMPLE_RATE
many = settings(max_examples=100)

# stretches that set an alarm, end it, or just miss it, down to single samples
values = st.sampled_from([0, 1, -3, 9, 12, 4000, 32766, 32767, -32767, -32768])
lengths = st.one_of(
    st.integers(1, 5), st.integers(1, 4 * SECOND), st.sampled_from([5 * SECOND - 1, 11 * SECOND])
)
streams = st.lists(st.tuples(values, lengths), max_size=14).map(
    lambda parts: np.concatenate(
        [np.zeros(0, np.int16), *(np.full(length, value, np.int16) for value, length in parts)]
    )
)


def zeros(seconds):
    return np.zeros(round(seconds * SECOND), np.int16)


def faint(seconds):
    """Return a hum of 9 steps, which is -71 dBFS."""
    return np.resize(np.array([9, -9], np.int16), round(seconds * SECOND))


def clipped(seconds, tops, top=3, value=32767):
    """Return silence of so many seconds with so many tops, 1600 samples apart, from its start."""
    samples = np.ones(round(seconds * SECOND), np.int16)
    for i in range(tops):
        samples[i * 1600 : i * 1600 + top] = value
    return samples


def after(*parts):
    levels = Levels()
    for part in parts:
        levels.push(part)
    return levels


def answers(levels):
    return levels.dbfs, levels.alarms


@many
@given(streams, st.lists(st.integers(0, 20 * SECOND), max_size=8))
def test_the_portions_of_the_input_change_nothing(samples, cuts):
    pieces, at = Levels(), 0
    for end in sorted({min(cut, len(samples)) for cut in cuts} | {len(samples)}):
        pieces.push(samples[at:end])
        at = end
        assert answers(pieces) == answers(after(samples[:end]))


@many
@given(streams)
def test_silence_is_what_the_stream_ends_in(samples):
    """The same rule over again, by looking at the whole stream."""
    zero = len(samples) >= 5 * SECOND and not samples[-5 * SECOND :].any()
    whole = samples[: len(samples) // SECOND * SECOND].astype(float).reshape(-1, SECOND)
    loud = np.sqrt((whole[-60:] ** 2).mean(axis=1)) / 32768 >= 10 ** (-70 / 20)
    assert (SILENT in after(samples).alarms) == (zero or (len(whole) >= 60 and not loud.any()))


@many
@given(streams)
def test_clipping_is_never_without_a_top_in_the_last_10_seconds(samples):
    if CLIPPING in after(samples).alarms:
        full = np.abs(samples[-10 * SECOND - 3 :].astype(int)) >= 32767
        assert (full[2:] & full[1:-1] & full[:-2]).any()


@many
@given(streams)
def test_the_level_is_between_the_floor_and_full_scale(samples):
    level = after(samples).dbfs
    assert (level is None) == (len(samples) < SECOND)
    assert level is None or FLOOR_DBFS <= level <= 0


def test_there_is_no_level_before_the_first_second():
    levels = after(tone(1)[:-1])
    assert levels.dbfs is None
    levels.push(tone(1)[-1:])
    assert levels.dbfs is not None


@pytest.mark.parametrize("level", [1.0, 0.1, 0.01])
def test_a_sine_is_3_db_below_its_peak(level):
    expected = 20 * np.log10(level) - 3.01
    assert after(tone(2, level=level)).dbfs == pytest.approx(expected, abs=0.1)


def test_the_level_is_that_of_the_last_second_only():
    assert after(tone(3), zeros(1)).dbfs == FLOOR_DBFS
    assert after(zeros(3), tone(1, level=1.0)).dbfs == pytest.approx(-3.01, abs=0.01)


def test_5_seconds_of_digital_zero_are_silent():
    levels = after(tone(1)[1:], zeros(5)[:-1])
    assert levels.alarms == frozenset()
    levels.push(zeros(1)[:1])
    assert levels.alarms == {SILENT}
    levels.push(np.array([1], np.int16))
    assert levels.alarms == frozenset()


def test_60_seconds_below_70_dbfs_are_silent_until_there_is_a_louder_one():
    levels = after(tone(1), faint(60)[:-1])
    assert levels.alarms == frozenset()
    levels.push(faint(1)[:1])
    assert levels.alarms == {SILENT}
    levels.push(faint(7.5))
    assert levels.alarms == {SILENT}
    levels.push(hiss(1.5, level=0.001))
    assert levels.alarms == frozenset()


def test_a_quiet_room_is_not_silent():
    assert after(hiss(90, level=0.0005)).alarms == frozenset()


@pytest.mark.parametrize("value", [32767, -32767, -32768])
def test_three_tops_within_a_second_are_clipping(value):
    assert after(clipped(1, 2, value=value)).alarms == frozenset()
    assert after(clipped(1, 3, value=value)).alarms == {CLIPPING}


def test_two_samples_at_full_scale_are_no_top():
    assert after(clipped(1, 10, top=2)).alarms == frozenset()


def test_one_long_top_is_one():
    assert after(clipped(1, 1, top=1500)).alarms == frozenset()


def test_tops_that_are_far_apart_are_no_clipping():
    assert after(*[clipped(1, 1)] * 20).alarms == frozenset()


def test_clipping_ends_10_seconds_after_its_last_top():
    last_top = 2 * 1600 + 2
    lasts = last_top + 10 * SECOND
    levels = after(clipped(20, 3)[:lasts])
    assert levels.alarms == {CLIPPING}
    levels.push(np.ones(1, np.int16))
    assert levels.alarms == frozenset()


def test_a_single_top_keeps_clipping_on():
    levels = after(clipped(9, 3), clipped(9, 1))
    assert levels.alarms == {CLIPPING}
    levels.push(clipped(2, 0))
    assert levels.alarms == frozenset()


def test_a_clean_sine_at_full_scale_is_no_clipping():
    assert after(tone(2, level=1.0)).alarms == frozenset()


def test_an_overdriven_sine_is_clipping():
    overdriven = (tone(2, level=0.9).astype(int) * 3 // 2).clip(-32768, 32767).astype(np.int16)
    assert after(overdriven).alarms == {CLIPPING}


def test_both_alarms_may_be_on():
    assert after(clipped(1, 3), zeros(5)).alarms == {CLIPPING, SILENT}


def test_no_samples_change_nothing():
    levels = after(zeros(6))
    levels.push(np.zeros(0, np.int16))
    assert answers(levels) == (FLOOR_DBFS, {SILENT})
