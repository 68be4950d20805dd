import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from speech_fixtures import fixture

from engine.audio import SAMPLE_RATE, read
from engine.segmenter import (
    CHUNK_MS,
    DICTATION,
    FILE,
    MEETING,
    Profile,
    Segmenter,
    chunks_of,
    longest_below,
)
from engine.vad import CHUNK_SAMPLES, Silero

SMALL = Profile(  # every rule within reach of a short stream
    pre_roll_ms=96,
    hangover_ms=96,
    end_silence_ms=192,
    min_speech_ms=64,
    soft_max_ms=768,
    hard_max_ms=1280,
    look_back_ms=320,
    min_pause_ms=96,
)
PROFILES = [SMALL, MEETING, DICTATION, FILE]
SPEECH, BETWEEN, SILENCE = 0.9, 0.45, 0.1  # at or above the onset, the offset, below both
DOUBT = float(np.nextafter(np.float32(0.5), np.float32(0)))  # what Detector makes of a lone voice

kinds = st.sampled_from([SPEECH, BETWEEN, DOUBT, SILENCE])
runs = st.tuples(kinds, st.integers(1, 60))
chatter = st.tuples(kinds, st.integers(1, 6))
streams = st.lists(st.one_of(runs, chatter), max_size=25).map(
    lambda parts: np.array([p for p, count in parts for _ in range(count)], np.float32)
)
profiles = st.sampled_from(PROFILES)
many = settings(max_examples=400)
tails = st.integers(0, CHUNK_SAMPLES - 1)


def samples_for(probabilities, tail=0):
    """Return samples that tell their own position, but for those a wrap of 2**16 away."""
    return np.arange(len(probabilities) * CHUNK_SAMPLES + tail).astype(np.int16)


def cut(probabilities, profile=SMALL, tail=0, portions=(), start_sample=0):
    """Return the utterances of a stream given in portions of so many chunks."""
    samples = samples_for(probabilities, tail)
    segmenter, utterances = Segmenter(profile, start_sample=start_sample), []
    ends = sorted({min(end, len(probabilities)) for end in portions} | {len(probabilities)})
    for start, end in zip([0, *ends], ends, strict=False):
        part = samples[start * CHUNK_SAMPLES : end * CHUNK_SAMPLES]
        utterances += segmenter.push(part, probabilities[start:end])
    return utterances + segmenter.flush(samples[len(probabilities) * CHUNK_SAMPLES :])


def places(utterances):
    return [(u.start_sample, u.end_sample, u.ended_by, u.voiced_from) for u in utterances]


def chunks_in(utterance):
    """Return the range of whole chunks an utterance is made of."""
    assert utterance.start_sample % CHUNK_SAMPLES == 0
    return range(utterance.start_sample // CHUNK_SAMPLES, utterance.end_sample // CHUNK_SAMPLES)


def levels(*parts):
    return np.array([p for p, count in parts for _ in range(count)], np.float32)


@many
@given(streams, profiles, tails, st.lists(st.integers(0, 400), max_size=10))
def test_the_portions_of_the_input_change_nothing(probabilities, profile, tail, portions):
    whole = cut(probabilities, profile, tail)
    pieces = cut(probabilities, profile, tail, portions)
    assert places(pieces) == places(whole)
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(pieces, whole, strict=True))


@many
@given(streams, profiles, tails)
@example(levels((SPEECH, 39), (BETWEEN, 1)), SMALL, 0)  # the hard maximum takes all there is
@example(levels((SPEECH, 39), (BETWEEN, 1)), SMALL, 7)
def test_utterances_are_in_order_apart_and_exact(probabilities, profile, tail):
    samples = samples_for(probabilities, tail)
    position = 0
    for utterance in cut(probabilities, profile, tail):
        assert position <= utterance.start_sample < utterance.end_sample <= len(samples)
        assert np.array_equal(
            utterance.samples, samples[utterance.start_sample : utterance.end_sample]
        )
        position = utterance.end_sample


@many
@given(streams, profiles, tails)
def test_speech_is_lost_only_where_there_was_too_little_of_it(probabilities, profile, tail):
    """A chunk at the onset that is in no utterance has less than `min_speech_ms` of voiced
    chunks from itself on to the next `end_silence_ms` of silence, or to the end."""
    kept = {i for utterance in cut(probabilities, profile, tail) for i in chunks_in(utterance)}
    for i in np.flatnonzero(probabilities >= profile.onset):
        if int(i) in kept:
            continue
        voiced = silent = 0
        for probability in probabilities[i:]:
            voiced += probability >= profile.offset
            silent = 0 if probability >= profile.offset else silent + 1
            if silent * CHUNK_MS >= profile.end_silence_ms:
                break
        assert voiced * CHUNK_MS < profile.min_speech_ms


def spoken_in(probabilities, profile):
    """Return the stretches of enough speech, in chunks: from an onset to the last voiced chunk
    before `end_silence_ms` of silence. The plain rule, without pre-roll, hangover and maxima."""
    stretches, at = [], 0
    while at < len(probabilities):
        if probabilities[at] < profile.onset:
            at += 1
            continue
        start = last = at
        voiced = 0
        while at < len(probabilities) and (at - last) * CHUNK_MS < profile.end_silence_ms:
            if probabilities[at] >= profile.offset:
                voiced, last = voiced + 1, at
            at += 1
        if voiced * CHUNK_MS >= profile.min_speech_ms:
            stretches.append(range(start, last + 1))
    return stretches


@many
@given(streams, profiles, tails)
def test_no_chunk_of_speech_is_lost_or_doubled(probabilities, profile, tail):
    kept = [i for utterance in cut(probabilities, profile, tail) for i in chunks_in(utterance)]
    assert len(kept) == len(set(kept))
    for stretch in spoken_in(probabilities, profile):
        assert set(stretch) <= set(kept)


@many
@given(streams, profiles)
def test_no_utterance_begins_before_the_onset(probabilities, profile):
    """Nor where the detector doubts: what is no rest of a cut holds a chunk at the onset."""
    utterances = cut(probabilities, profile)
    was_cut_at = {u.end_sample for u in utterances if u.continues}
    for utterance in utterances:
        inside = chunks_in(utterance)
        if utterance.start_sample not in was_cut_at:
            assert (probabilities[inside.start : inside.stop] >= profile.onset).any()


@many
@given(streams, profiles, tails)
def test_an_utterance_is_voiced_from_its_first_voiced_chunk(probabilities, profile, tail):
    for utterance in cut(probabilities, profile, tail):
        assert utterance.start_sample <= utterance.voiced_from < utterance.end_sample
        first, voiced = utterance.start_sample // CHUNK_SAMPLES, utterance.voiced_from
        assert voiced % CHUNK_SAMPLES == 0
        assert (probabilities[first : voiced // CHUNK_SAMPLES] < profile.offset).all()
        if voiced // CHUNK_SAMPLES < len(probabilities):  # else it is the tail, which isn't judged
            assert probabilities[voiced // CHUNK_SAMPLES] >= profile.offset


@many
@given(streams, profiles, tails, st.integers(0, 10**9))
def test_positions_are_those_of_the_whole_take(probabilities, profile, tail, start_sample):
    moved = cut(probabilities, profile, tail, start_sample=start_sample)
    assert places(moved) == [
        (start + start_sample, end + start_sample, by, voiced_from + start_sample)
        for start, end, by, voiced_from in places(cut(probabilities, profile, tail))
    ]


@many
@given(streams, profiles, tails)
def test_nothing_begins_before_what_is_settled(probabilities, profile, tail):
    samples, segmenter = samples_for(probabilities, tail), Segmenter(profile)
    settled, position = [0], 0
    for i in range(len(probabilities)):
        position += CHUNK_SAMPLES
        part = samples[position - CHUNK_SAMPLES : position]
        for utterance in segmenter.push(part, probabilities[i : i + 1]):
            assert utterance.start_sample >= settled[-1]
            assert utterance.end_sample <= segmenter.settled
        assert settled[-1] <= segmenter.settled <= position
        behind_ms = (position - segmenter.settled) * 1000 / SAMPLE_RATE
        longest_ms = profile.hard_max_ms if segmenter.speaking else profile.pre_roll_ms
        assert behind_ms <= longest_ms + CHUNK_MS
        settled.append(segmenter.settled)
    for utterance in segmenter.flush(samples[position:]):
        assert utterance.start_sample >= settled[-1]
    assert segmenter.settled == len(samples)


@many
@given(streams, profiles, tails, st.integers(0, 600), st.booleans())
@example(levels((SPEECH, 21), (SILENCE, 4), (SPEECH, 1), (SILENCE, 30)), SMALL, 0, 27, True)
@example(levels((SPEECH, 35), (SILENCE, 7), (BETWEEN, 5), (SILENCE, 9)), SMALL, 0, 41, True)
def test_it_goes_on_after_a_restart_as_if_there_was_none(
    probabilities, profile, tail, until, at_utterance
):
    """Started again at what was settled, or at the end of the last utterance."""
    samples = samples_for(probabilities, tail)
    before = Segmenter(profile)
    until = min(until, len(probabilities))
    done = before.push(samples[: until * CHUNK_SAMPLES], probabilities[:until])
    position = before.settled
    if at_utterance:
        position = done[-1].end_sample if done else 0
    continued = bool(done) and done[-1].continues and done[-1].end_sample == position
    after = Segmenter(profile, start_sample=position, continued=continued)
    whole = len(probabilities) * CHUNK_SAMPLES
    done += after.push(samples[position:whole], probabilities[position // CHUNK_SAMPLES :])
    done += after.flush(samples[whole:])
    assert places(done) == places(cut(probabilities, profile, tail))


@many
@given(streams, profiles, tails)
def test_every_utterance_holds_speech(probabilities, profile, tail):
    for utterance in cut(probabilities, profile, tail):
        inside = chunks_in(utterance)
        assert (probabilities[inside.start : inside.stop] >= profile.offset).any()


@many
@given(streams, profiles, tails)
@example(levels((SPEECH, 300)), SMALL, 511)
@example(levels((BETWEEN, 2), (SPEECH, 35), (SILENCE, 60)), SMALL, 511)
def test_no_utterance_is_longer_than_the_hard_maximum_and_a_chunk(probabilities, profile, tail):
    for utterance in cut(probabilities, profile, tail):
        longest = profile.hard_max_ms * SAMPLE_RATE // 1000 + CHUNK_SAMPLES
        assert len(utterance.samples) <= longest


@many
@given(streams, profiles, tails)
def test_silence_is_kept_as_pre_roll_and_hangover_only(probabilities, profile, tail):
    """Both round up to whole chunks. A cut at a maximum leaves half a pause on either side."""
    utterances = cut(probabilities, profile, tail)
    was_cut_at = {u.end_sample for u in utterances if u.continues}
    for utterance in utterances:
        inside = chunks_in(utterance)
        heard = probabilities[inside.start : inside.stop]
        if utterance.start_sample not in was_cut_at:
            assert np.argmax(heard >= profile.onset) <= chunks_of(profile.pre_roll_ms)
        if not utterance.continues:
            silence = np.argmax(heard[::-1] >= profile.offset)
            assert silence <= chunks_of(profile.hangover_ms)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_soft_maximum_cuts_in_the_middle_of_a_pause(profile):
    before = chunks_of(profile.soft_max_ms) - 8
    utterances = cut(levels((SPEECH, before), (SILENCE, 4), (SPEECH, 12)), profile)
    assert [u.ended_by for u in utterances] == ["soft maximum", "end of stream"]
    assert utterances[0].end_sample == (before + 2) * CHUNK_SAMPLES
    assert utterances[1].start_sample == utterances[0].end_sample


@pytest.mark.parametrize("profile", PROFILES)
def test_the_hard_maximum_cuts_at_the_quietest_chunk(profile):
    before = chunks_of(profile.hard_max_ms) - 8
    utterances = cut(levels((SPEECH, before), (0.6, 1), (SPEECH, 20)), profile)
    assert [u.ended_by for u in utterances] == ["hard maximum", "end of stream"]
    assert utterances[0].end_sample == (before + 1) * CHUNK_SAMPLES
    assert utterances[1].start_sample == utterances[0].end_sample


def test_a_stream_may_end_just_after_a_cut_took_everything():
    exactly = levels((SPEECH, 39), (BETWEEN, 1))
    for tail in (0, 100):
        utterances = cut(exactly, SMALL, tail)
        assert [u.ended_by for u in utterances][:1] == ["hard maximum"]


def test_a_click_is_no_utterance():
    assert cut(levels((SILENCE, 40), (SPEECH, 5), (SILENCE, 80)), MEETING) == []


@pytest.mark.parametrize("profile", [MEETING, DICTATION])
def test_a_short_word_by_itself_is_an_utterance(profile):
    assert len(cut(levels((SILENCE, 40), (SPEECH, 6), (SILENCE, 80)), profile)) == 1


def test_the_rest_of_a_cut_is_kept_however_short():
    voiced = chunks_of(SMALL.soft_max_ms) - 3
    utterances = cut(levels((SPEECH, voiced), (SILENCE, 4), (SPEECH, 1), (SILENCE, 30)), SMALL)
    assert [u.ended_by for u in utterances] == ["soft maximum", "silence"]


def test_silence_after_a_cut_is_no_utterance():
    stream = levels((SPEECH, 36), (SILENCE, 5))
    utterances = cut(stream, SMALL, tail=300)
    for utterance in utterances:
        inside = chunks_in(utterance)
        assert (stream[inside.start : inside.stop] >= SMALL.offset).any()


def test_speaking_tells_whether_an_utterance_is_open():
    segmenter = Segmenter(SMALL)
    assert not segmenter.speaking
    segmenter.push(samples_for(range(5)), levels((SPEECH, 5)))
    assert segmenter.speaking
    segmenter.push(samples_for(range(6)), levels((SILENCE, 6)))
    assert not segmenter.speaking


def test_samples_and_probabilities_must_match():
    with pytest.raises(ValueError, match="700 samples for 2 chunks"):
        Segmenter().push(np.zeros(700, np.int16), np.zeros(2, np.float32))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"offset": 0.5}, "offset < onset"),
        ({"look_back_ms": 15_000}, "look_back_ms < soft_max_ms"),
        ({"hard_max_ms": 14_000}, "soft_max_ms <= hard_max_ms"),
        ({"end_silence_ms": 300}, "end_silence_ms >= hangover_ms"),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Profile(**wrong)


@given(st.lists(st.sampled_from([0.1, 0.2, 0.5, 0.9]), max_size=12))
@settings(max_examples=200)
def test_the_longest_run_below_is_the_longest(values):
    found = longest_below(values, 0.35)
    lengths = [
        end - start
        for start in range(len(values))
        for end in range(start + 1, len(values) + 1)
        if max(values[start:end]) < 0.35
    ]
    if found is None:
        assert lengths == []
    else:
        assert found[1] - found[0] == max(lengths)
        assert max(values[slice(*found)]) < 0.35


def test_two_sentences_with_a_long_pause_are_two_utterances():
    spoken = fixture("long-pause")
    samples = read(spoken.path)
    whole = len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES
    segmenter = Segmenter(FILE)
    utterances = segmenter.push(samples[:whole], Silero().probabilities(samples[:whole]))
    utterances += segmenter.flush(samples[whole:])
    assert len(utterances) == 2
    for utterance, truth in zip(utterances, spoken.utterances, strict=True):
        start_ms, end_ms = utterance.start_sample / 16, utterance.end_sample / 16
        assert start_ms <= truth.start_ms
        assert end_ms >= truth.end_ms
        assert start_ms >= truth.start_ms - 600
        assert end_ms <= truth.end_ms + 600
