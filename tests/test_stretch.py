"""When the open utterance is worth a decode, and what is known of it between decodes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.segmenter import MEETING, Segmenter
from engine.stretch import PER_MS, Sound, Stretch
from engine.transcript import Word
from engine.vad import CHUNK_SAMPLES

CHUNK = np.ones(CHUNK_SAMPLES, np.int16)


def spoken(segmenter, milliseconds, probability=1.0):
    """Let someone speak, or be silent, for so long."""
    for _ in range(round(milliseconds * PER_MS / CHUNK_SAMPLES)):
        segmenter.push(CHUNK, np.array([probability], np.float32))


def words(*spans):
    return [Word(text, start, end, 0.9) for text, start, end in spans]


def texts(found):
    return " ".join(word.text for word in found)


def test_nothing_is_decoded_before_somebody_speaks():
    segmenter = Segmenter(MEETING)
    spoken(segmenter, 3000, 0.0)
    assert Stretch().next_sound(segmenter) is None


def test_every_700_ms_of_new_sound_are_worth_a_quick_decode():
    segmenter, stretch = Segmenter(MEETING), Stretch()
    spoken(segmenter, 650)
    assert stretch.next_sound(segmenter) is None
    spoken(segmenter, 100)
    sound = stretch.next_sound(segmenter)
    assert sound is not None and not sound.last
    assert (sound.start_sample, len(sound.samples)) == (0, segmenter.end)
    stretch.hear(sound, [])
    assert stretch.next_sound(segmenter) is None
    spoken(segmenter, 2200)
    assert stretch.left_out(stretch.next_sound(segmenter)) == 2


def test_a_hush_is_worth_the_best_decode_once():
    segmenter, stretch = Segmenter(MEETING), Stretch()
    spoken(segmenter, 1500)
    stretch.hear(stretch.next_sound(segmenter), [])
    spoken(segmenter, 200, 0.0)
    sound = stretch.next_sound(segmenter)
    assert sound is not None and sound.last
    stretch.hear(sound, words(("yes", 0, 1400)))
    assert stretch.next_sound(segmenter) is None
    assert stretch.covers(0, 1500 * PER_MS) and texts(stretch.said) == "yes"


def test_a_quick_decode_is_never_the_last_word():
    stretch = Stretch()
    stretch.hear(Sound(0, np.zeros(32_000, np.int16), last=False), words(("yes", 0, 400)))
    assert not stretch.covers(0, 400 * PER_MS)


def test_a_quick_decode_in_doubt_takes_nothing_back():
    stretch = Stretch()
    stretch.hear(Sound(0, np.zeros(16_000, np.int16), last=False), words(("yes", 0, 400)))
    stretch.hear(Sound(0, np.zeros(32_000, np.int16), last=False), [])
    assert texts(stretch.tentative) == "yes"


def test_words_wait_for_sound_around_them_before_they_are_stable():
    stretch, said = Stretch(), words(("we", 0, 300), ("meet", 300, 900), ("on", 3800, 4000))
    for _ in range(2):
        stretch.hear(Sound(0, np.zeros(3 * 16_000, np.int16), last=False), said)
    assert stretch.stable == []
    stretch.hear(Sound(0, np.zeros(5 * 16_000, np.int16), last=False), said)
    assert (texts(stretch.stable), texts(stretch.tentative)) == ("we meet", "on")


def test_what_is_final_is_not_told_again():
    stretch = Stretch()
    said = words(("we", 0, 300), ("meet", 300, 1400), ("on", 3000, 3200), ("Monday", 4200, 4600))
    for _ in range(2):
        stretch.hear(Sound(0, np.zeros(5 * 16_000, np.int16), last=False), said)
    assert texts(stretch.take_piece()) == "we meet on"
    assert stretch.take_piece() == [] and stretch.stable == []
    assert texts(stretch.settle(said)) == "Monday"
    assert texts(stretch.accept(said)) == "Monday"
    assert stretch.settle(said) == []


def test_a_long_utterance_lets_its_beginning_go_and_loses_no_word():
    segmenter, stretch = Segmenter(MEETING), Stretch()
    spoken(segmenter, 12_500)
    said = words(*((f"w{i}", 400 * i, 400 * i + 300) for i in range(31)))
    for _ in range(2):
        stretch.hear(Sound(0, segmenter.current(), last=False), said)
    piece = stretch.take_piece()
    sample = stretch.shorten(segmenter)
    assert sample is not None and 1500 * PER_MS < sample < segmenter.end - 1500 * PER_MS
    assert stretch.start(segmenter) == sample
    rest = [word for word in said if word.start_ms * PER_MS >= sample]
    assert texts([*piece, *stretch.settle(rest)]) == texts(said)


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12), max_size=8))
def test_finals_only_ever_grow(decodes):
    stretch, told = Stretch(), []
    for number, texts_heard in enumerate(decodes):
        heard = [Word(t, 500 * i, 500 * i + 400, 0.9) for i, t in enumerate(texts_heard)]
        sound = Sound(0, np.zeros((5 + number) * 16_000, np.int16), last=False)
        stretch.hear(sound, heard)
        stable_before = [*told, *stretch.stable]
        told += stretch.take_piece()
        assert [*told, *stretch.stable] == stable_before
    final = [*told, *stretch.settle([])]
    assert final[: len(told)] == told
