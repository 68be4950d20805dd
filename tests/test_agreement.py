"""What two decodes in a row agree on is stable, and stays."""

from hypothesis import given
from hypothesis import strategies as st

from engine.agreement import Agreement, behind, spelling
from engine.transcript import Word


def words(text, at_ms=0):
    """Return words of 200 ms each, one after the other."""
    return [
        Word(one, at_ms + 200 * i, at_ms + 200 * i + 200, 0.9) for i, one in enumerate(text.split())
    ]


def texts(found):
    return " ".join(word.text for word in found)


def test_what_two_decodes_say_is_stable_and_the_rest_tentative():
    agreement = Agreement()
    agreement.update(words("we meet on"), 10_000)
    assert (texts(agreement.stable), texts(agreement.tentative)) == ("", "we meet on")
    agreement.update(words("We meet, on Monday"), 10_000)
    assert texts(agreement.stable) == "We meet, on"
    assert texts(agreement.tentative) == "Monday"


def test_a_change_of_mind_leaves_what_is_stable():
    agreement = Agreement()
    for said in ("we meet", "we meet on", "the meeting is on"):
        agreement.update(words(said), 10_000)
    assert texts(agreement.stable) == "we meet"
    assert texts(agreement.settle(words("we meet on Monday"))) == "we meet on Monday"


def test_the_last_words_wait_for_what_follows():
    agreement = Agreement()
    for _ in range(2):
        agreement.update(words("a b c d"), 400)
    assert (texts(agreement.stable), texts(agreement.tentative)) == ("a b", "c d")


def test_a_rest_of_what_was_cut_off_is_not_said_twice():
    agreement = Agreement()
    for _ in range(2):
        agreement.update(words("one two three"), 10_000)
    assert texts(agreement.take(2)) == "one two"
    assert texts(agreement.settle(words("two three four", at_ms=250))) == "three four"


def test_a_word_that_is_really_said_twice_is_there_twice():
    last = Word("very", 0, 200, 0.9)
    assert texts(behind(last, words("very good", at_ms=500))) == "very good"
    assert texts(behind(last, words("very good", at_ms=210))) == "good"


def test_case_and_punctuation_are_no_disagreement():
    assert spelling("Its,") == spelling("its") and spelling("...") == "..."


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=8))
def test_what_is_stable_only_grows(decodes):
    agreement, before = Agreement(), ""
    for decode in decodes:
        agreement.update(words(" ".join(decode)), 10_000)
        now = texts(agreement.stable)
        assert now.startswith(before)
        before = now
