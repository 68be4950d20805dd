import numpy as np
from speech_fixtures import fixture

from engine.alignment import Aligned
from engine.audio import read
from engine.omissions import Omission, filled, omissions, stretched


def entries(*words):
    return [Aligned(text, start, end, 0.9) for text, start, end in words]


def test_words_of_usual_length_leave_nothing_out():
    said = entries((" It", 0, 300), (" was", 300, 600), (" extraordinary", 600, 2000))
    assert stretched(said, 2500) == []


def test_a_word_that_lasts_for_seconds_hides_something():
    said = entries((" Printing", 0, 4500), (",", 4500, 4600), (" in", 4600, 4800))
    assert stretched(said, 5000) == [Omission(0, 4500, 0, 1)]


def test_what_lies_behind_the_last_word_may_have_been_left_out():
    assert stretched(entries((" by", 0, 400)), 5000) == [Omission(400, 5000, 1, 1)]


def test_neighbours_are_one_omission():
    said = entries((" Well", 0, 3000), (",", 3000, 6000), (" yes", 6000, 6300))
    assert stretched(said, 6400) == [Omission(0, 6000, 0, 2)]


def test_no_words_at_all_are_no_omission():
    assert stretched([], 5000) == []


def test_only_speech_is_left_out():
    """The dictation fixture has speech all along; silence of the same length has none."""
    speech = read(fixture("dictation").path)[: 5 * 16_000]
    said = entries((" one", 0, 400))
    assert omissions(said, speech) == [Omission(400, 5000, 1, 1)]
    assert omissions(said, np.zeros_like(speech)) == []


def test_speech_before_a_stretch_is_not_taken_for_its_own():
    speech = read(fixture("dictation").path)[: 3 * 16_000]
    said = entries(*[(" something", 500 * i, 500 * i + 500) for i in range(6)])
    assert omissions(said, np.concatenate([speech, np.zeros_like(speech)])) == []
    found = omissions(said, np.concatenate([np.zeros_like(speech), speech]))
    assert found == [Omission(3000, 6000, 6, 6)]


def test_what_is_heard_takes_the_place_of_the_word_that_hid_it():
    said = entries((" Well", 0, 3000), (",", 3000, 6000), (" yes", 6000, 6300))
    heard = entries((" So", 100, 400), (" Well", 500, 700), (" then", 800, 1000))
    now = filled(said, Omission(0, 6000, 0, 2), heard)
    assert [each.text for each in now] == [" So", " Well", " then", " yes"]


def test_the_mark_of_the_word_before_stays():
    said = entries((" Yes", 0, 300), (".", 300, 320), (" Well", 320, 6000))
    heard = entries((" So", 100, 400), (" then", 800, 1000))
    now = filled(said, Omission(300, 6000, 1, 3), heard)
    assert [each.text for each in now] == [" Yes", ".", " So", " then"]


def test_nothing_changes_where_no_more_is_heard():
    said = entries((" Printing", 0, 4500), (" in", 4600, 4800))
    assert filled(said, Omission(0, 4500, 0, 1), entries((" Printing", 0, 900))) == said
    assert filled(said, Omission(0, 4500, 0, 1), []) == said


def test_what_is_heard_lies_within_the_omission():
    now = filled(entries((" by", 0, 400)), Omission(400, 5000, 1, 1), entries((" Then", 100, 300)))
    assert [(each.text, each.start_ms) for each in now] == [(" by", 0), (" Then", 500)]
