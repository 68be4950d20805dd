"""The note has paragraphs where people paused, and a title that says something."""

from hypothesis import given
from hypothesis import strategies as st

from appliance import notes
from engine.transcript import Segment


def said(text, start_ms, end_ms):
    return Segment(start_ms, end_ms, text, (), "whisper-tiny.en", 1.0)


def test_a_pause_of_two_seconds_begins_a_paragraph():
    spoken = [said("One.", 0, 1000), said("Two.", 1500, 2000), said("Three.", 4000, 5000)]
    assert notes.note(spoken) == "One. Two.\n\nThree."


def test_the_title_is_the_first_sentence_that_says_something():
    assert notes.title("Okay. We begin with the budget. Then lunch.") == "We begin with the budget"
    assert notes.title("Yes.") == "Yes"
    assert notes.title("") == ""


@given(st.text(max_size=400))
def test_a_title_is_one_short_line(text):
    title = notes.title(text)
    assert len(title) <= notes.TITLE_LENGTH
    assert "\n" not in title
