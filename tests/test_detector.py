import functools

import numpy as np
import pytest
import webrtcvad
from hypothesis import given, settings
from hypothesis import strategies as st
from speech_fixtures import fixture, hiss, tone

from engine.audio import read
from engine.detector import FRAME_SAMPLES, Detector, WebRtc
from engine.segmenter import DICTATION, MEETING, Segmenter
from engine.vad import CHUNK_SAMPLES, Silero

few = settings(max_examples=25)
cuts = st.lists(st.integers(0, 400), max_size=12)
chunks = st.integers(0, 400).map(lambda count: count * CHUNK_SAMPLES)


def whole_chunks(samples):
    return samples[: len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES]


@functools.cache
def speech():
    """Return a real sentence in the noise of a room, with noise alone on either side."""
    room = hiss(12, level=0.003)
    said = read(fixture("dictation").path)[: 8 * 16_000]
    room[2 * 16_000 : 2 * 16_000 + len(said)] += said
    return whole_chunks(room)


@functools.cache
def heard():
    return Silero().probabilities(speech()), WebRtc().voiced(speech())


@functools.cache
def at_once():
    return Detector().probabilities(speech())


def parted(stream, samples, ends):
    at = sorted(min(end * CHUNK_SAMPLES, len(samples)) for end in ends)
    return np.concatenate([stream(part) for part in np.split(samples, at)])


def utterances(samples, profile, probabilities):
    segmenter = Segmenter(profile)
    return segmenter.push(samples, probabilities) + segmenter.flush()


@few
@given(cuts)
def test_the_portions_of_the_input_change_nothing(ends):
    portions = parted(Detector().probabilities, speech(), ends)
    np.testing.assert_allclose(portions, at_once(), atol=1e-5)


@few
@given(cuts)
def test_webrtcvad_hears_the_same_in_any_portions(ends):
    assert np.array_equal(parted(WebRtc().voiced, speech(), ends), heard()[1])


@few
@given(chunks, chunks, st.sampled_from([1, 4, 40]))
def test_a_chunk_is_voiced_if_a_frame_that_ends_in_it_is(start, length, gain):
    given = speech()[start : start + length]
    samples = (given.astype(int) * gain).clip(-32768, 32767).astype(np.int16)
    vad, expected = webrtcvad.Vad(2), [False] * (len(samples) // CHUNK_SAMPLES)
    for at in range(0, len(samples) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        if vad.is_speech(samples[at : at + FRAME_SAMPLES].tobytes(), 16_000):
            expected[(at + FRAME_SAMPLES - 1) // CHUNK_SAMPLES] = True
    assert WebRtc(gain).voiced(given).tolist() == expected


@few
@given(st.integers(2, 9).map(lambda tenths: tenths / 10))
def test_an_onset_is_reached_only_where_both_hear_speech(onset):
    silero, voiced = heard()
    found = Detector(onset).probabilities(speech())
    assert np.array_equal(found >= onset, (silero >= onset) & voiced)


def test_below_the_onset_it_is_silero_alone():
    silero, _ = heard()
    found = Detector(MEETING.onset).probabilities(speech())
    assert np.array_equal(found >= MEETING.offset, silero >= MEETING.offset)
    below = silero < MEETING.onset
    assert np.array_equal(found[below], silero[below])


@pytest.mark.parametrize("profile", [MEETING, DICTATION])
def test_speech_ends_by_silero_alone(profile, monkeypatch):
    """webrtcvad goes deaf once the utterance has begun: it ends where it did."""
    silero, _ = heard()
    begun = int(np.argmax(silero >= profile.onset)) + 1
    deaf = np.arange(len(silero)) < begun
    monkeypatch.setattr(WebRtc, "voiced", lambda self, samples: deaf)
    alone = utterances(speech(), profile, silero)
    both = utterances(speech(), profile, Detector(profile.onset).probabilities(speech()))
    assert both[0].start_sample == alone[0].start_sample
    assert both[0].end_sample == alone[0].end_sample


@pytest.mark.parametrize("profile", [MEETING, DICTATION])
def test_nothing_begins_while_webrtcvad_is_deaf(profile, monkeypatch):
    monkeypatch.setattr(
        WebRtc, "voiced", lambda self, samples: np.zeros(len(samples) // CHUNK_SAMPLES, bool)
    )
    found = Detector(profile.onset).probabilities(speech())
    assert (found >= profile.offset).any()
    assert utterances(speech(), profile, found) == []


@pytest.mark.parametrize("name", ["dictation", "meeting", "two-voices", "german", "long-pause"])
@pytest.mark.parametrize("profile", [MEETING, DICTATION])
@pytest.mark.parametrize("level_db", [0, -30, -42])  # to about -65 dBFS: a far talker
def test_everything_that_is_said_is_in_an_utterance(name, profile, level_db):
    samples = np.rint(read(fixture(name).path) * 10 ** (level_db / 20)).astype(np.int16)
    samples = whole_chunks(np.concatenate([samples, np.zeros(8000, np.int16)]))
    found = utterances(samples, profile, Detector(profile.onset).probabilities(samples))
    kept = np.zeros(len(samples), bool)
    for utterance in found:
        kept[utterance.start_sample : utterance.end_sample] = True
        assert utterance.start_sample <= utterance.voiced_from < utterance.end_sample
    for spoken in fixture(name).utterances:
        assert kept[spoken.start_ms * 16 : spoken.end_ms * 16].all(), spoken.text


@pytest.mark.parametrize("name", ["dictation", "meeting", "long-pause"])
def test_an_utterance_is_voiced_from_where_its_first_word_begins(name):
    samples = whole_chunks(read(fixture(name).path))
    voiced_ms = [u.voiced_from / 16 for u in utterances(samples, MEETING, heard_in(samples))]
    begin_ms = [spoken.start_ms for spoken in fixture(name).utterances]
    for at in voiced_ms:
        assert min(abs(at - begin) for begin in begin_ms) <= 120


def heard_in(samples):
    return Detector(MEETING.onset).probabilities(samples)


@pytest.mark.parametrize("level", [0.0, 0.0005, 0.01, 0.2])
def test_noise_is_no_utterance(level):
    noise = whole_chunks(hiss(20, level=level))
    assert utterances(noise, MEETING, heard_in(noise)) == []


def test_a_tone_is_no_utterance():
    steady = whole_chunks(tone(20))
    assert utterances(steady, MEETING, heard_in(steady)) == []


@pytest.mark.parametrize("detector", [Detector().probabilities, WebRtc().voiced])
def test_half_a_chunk_is_refused(detector):
    with pytest.raises(ValueError, match="not whole chunks"):
        detector(np.zeros(CHUNK_SAMPLES + 1, np.int16))


def test_nothing_gives_nothing():
    assert Detector().probabilities(np.zeros(0, np.int16)).shape == (0,)
