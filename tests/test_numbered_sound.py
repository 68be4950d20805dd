"""The measuring tape of the recordings' tests measures right."""

import numpy as np
from numbered_sound import RATE, places, sound, steps


def test_what_is_whole_has_no_steps():
    played = sound(20)
    found = places(played[3 * RATE : 12 * RATE], played)
    assert len(found) == 90
    assert found[0].played == 3 * RATE
    assert steps(found) == []


def test_missing_and_doubled_samples_are_steps_of_their_size():
    played = sound(20)
    captured = np.concatenate([played[:80_000], played[81_234:160_000], played[159_900:]])
    assert [jump for _, jump in steps(places(captured, played))] == [1234, -100]


def test_noise_and_silence_are_no_place():
    played = sound(10)
    other = np.concatenate([sound(3, seed=2), np.zeros(RATE, np.int16)])
    assert places(other, played) == []


def test_it_is_found_again_after_resampling_and_at_another_level():
    played = sound(10)
    louder = np.interp(np.arange(0, 5 * RATE, 1.0) + 0.5, np.arange(len(played)), played) * 1.5
    found = places(louder.astype(np.int16), played)
    assert len(found) >= 49
    assert steps(found) == []
