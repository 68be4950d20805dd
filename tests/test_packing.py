import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.packing import Pack, Packer
from engine.segmenter import Utterance
from engine.transcript import Segment, Word


def utterance(start_ms, length_ms):
    samples = np.full(length_ms * 16, start_ms % 1000, np.int16)
    return Utterance(start_ms * 16, samples, "silence", start_ms * 16, (start_ms + length_ms) * 16)


def segment(text, *spans, suppressed=None):
    """Return a segment of the words of a text, from one span (ms) each."""
    words = tuple(
        Word(word, start, end, 0.8) for word, (start, end) in zip(text.split(), spans, strict=False)
    )
    start, end = (spans[0][0], spans[-1][1])
    return Segment(start, end, text, words, "whisper-x", 0.8, suppressed)


def test_a_window_is_filled_up_to_its_length():
    packer = Packer(10_000)
    assert packer.push(utterance(0, 4000)) == []
    assert packer.push(utterance(20_000, 6000)) == []
    (full,) = packer.push(utterance(30_000, 100))
    assert [each.start_sample for each in full.utterances] == [0, 320_000]
    assert len(full.samples) == 160_000 and full.end_sample == 26_000 * 16
    assert packer.end_sample == 30_100 * 16
    (rest,) = packer.flush()
    assert len(rest.utterances) == 1
    assert packer.flush() == [] and packer.end_sample is None


def test_what_is_longer_than_a_window_goes_by_itself():
    packer = Packer(10_000)
    assert packer.push(utterance(0, 12_000)) == []
    (alone,) = packer.push(utterance(13_000, 1000))
    assert len(alone.utterances) == 1


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(32, 18_000)), max_size=30))
def test_every_sample_comes_out_once_and_in_order(parts):
    packer, packs, at, given_ = Packer(13_000), [], 0, []
    for gap, length in parts:
        given_.append(utterance(at + gap, length))
        packs += packer.push(given_[-1])
        at += gap + length
    packs += packer.flush()
    assert [each for pack in packs for each in pack.utterances] == given_


PACK = Pack((utterance(10_000, 2000), utterance(15_000, 3000)))


def test_words_lie_where_their_utterance_does():
    (one,) = PACK.on_file((segment("well then", (100, 400), (500, 900)),))
    assert [(w.start_ms, w.end_ms) for w in one.words] == [(10_100, 10_400), (10_500, 10_900)]
    assert (one.start_ms, one.end_ms, one.text) == (10_100, 10_900, "well then")


def test_a_segment_is_cut_where_the_pause_between_utterances_was():
    heard = segment("It is. And so", (100, 400), (500, 900), (2300, 2500), (2600, 2900))
    first, second = PACK.on_file((heard,))
    assert (first.text, first.start_ms, first.end_ms) == ("It is.", 10_100, 10_900)
    assert (second.text, second.start_ms, second.end_ms) == ("And so", 15_300, 15_900)
    assert first.words + second.words == tuple(
        word for part in PACK.on_file((heard,)) for word in part.words
    )


def test_the_text_of_what_is_cut_is_as_it_was_written():
    heard = segment("e-mail, e-mail", (100, 1900), (2100, 2500))
    words = (Word("e", 100, 300, 0.9), Word("-mail,", 300, 900, 0.9), *heard.words[1:])
    cut = PACK.on_file((Segment(100, 2500, heard.text, words, "whisper-x", 0.9),))
    assert [part.text for part in cut] == ["e-mail,", "e-mail"]


def test_a_word_never_reaches_over_the_end_of_its_utterance():
    (one,) = PACK.on_file((segment("well", (1500, 2400)),))
    assert (one.words[0].start_ms, one.words[0].end_ms) == (11_500, 12_000)


def test_text_without_words_lies_where_its_window_does():
    bare = Segment(0, 5000, "well then", (), "whisper-x", 0.8)
    (one,) = PACK.on_file((bare,))
    assert (one.start_ms, one.end_ms, one.text) == (10_000, 18_000, "well then")


def test_what_is_held_back_stays_whole():
    heard = segment("so so", (100, 400), (2300, 2500), suppressed="repetition")
    (one,) = PACK.on_file((heard,))
    assert (one.start_ms, one.end_ms, one.suppressed) == (10_100, 15_500, "repetition")
