import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speech_fixtures import fixture, hiss

from engine.audio import read
from engine.vad import CHUNK_SAMPLES, Silero

CHUNK_MS = 32


def whole_chunks(samples):
    return samples[: len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES]


def heard_in(name):
    """Return the probabilities of a fixture and the time at which each chunk starts."""
    probabilities = Silero().probabilities(whole_chunks(read(fixture(name).path)))
    return probabilities, np.arange(len(probabilities)) * CHUNK_MS


@functools.cache
def speech():
    """Return a real sentence, decoded once for all examples."""
    return whole_chunks(read(fixture("dictation").path))


@functools.cache
def at_once():
    return Silero().probabilities(speech())


@settings(max_examples=25)
@given(st.lists(st.integers(0, 400), max_size=12))
def test_probabilities_are_the_same_in_any_portions(cuts):
    samples, stream = speech(), Silero()
    at = sorted(min(c * CHUNK_SAMPLES, len(samples)) for c in cuts)
    portions = [stream.probabilities(part) for part in np.split(samples, at)]
    np.testing.assert_allclose(np.concatenate(portions), at_once(), atol=1e-5)


@pytest.mark.parametrize("name", ["dictation", "meeting", "two-voices", "german", "long-pause"])
def test_speech_is_heard_where_the_truth_has_it(name):
    probabilities, start_ms = heard_in(name)
    for spoken in fixture(name).utterances:
        inside = (start_ms >= spoken.start_ms) & (start_ms + CHUNK_MS <= spoken.end_ms)
        assert np.median(probabilities[inside]) > 0.8, spoken.text
        assert (probabilities[inside] > 0.5).mean() > 0.75, spoken.text


def test_a_long_pause_is_silence():
    probabilities, start_ms = heard_in("long-pause")
    before, after = fixture("long-pause").utterances
    pause = (start_ms >= before.end_ms + 50) & (start_ms + CHUNK_MS <= after.start_ms - 50)
    assert pause.sum() > 200
    assert probabilities[pause].max() < 0.35


@pytest.mark.parametrize("level", [0.0, 0.001, 0.01, 0.05, 0.2])
def test_silence_and_noise_are_no_speech(level):
    assert Silero().probabilities(whole_chunks(hiss(20, level=level))).max() < 0.35


def test_a_stream_of_silence_before_does_not_deafen_it():
    stream = Silero()
    stream.probabilities(np.zeros(CHUNK_SAMPLES * 30 * 60, np.int16))
    assert (stream.probabilities(speech()) > 0.5).mean() > 0.5


def test_half_a_chunk_is_refused():
    with pytest.raises(ValueError, match="not whole chunks"):
        Silero().probabilities(np.zeros(CHUNK_SAMPLES + 1, np.int16))


def test_nothing_gives_nothing():
    assert Silero().probabilities(np.zeros(0, np.int16)).shape == (0,)
