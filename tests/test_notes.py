"""The note is what was said without its stumbles, in paragraphs, and its title says something."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import notes
from engine.transcript import Segment

LANGUAGES = st.sampled_from([None, "en", "de", "fr", "es", "ja"])
SPOKEN = (
    "um Um UM uh huh oh mm hmm er ER the The plan I we no very so 5 five A B äh die euh em"
    " . , ... … ? ! - — \" ' ( ) “ ” « » ¿ ¡ : ; \xa0 @ &"
)
STUMBLES = st.lists(
    st.sampled_from(SPOKEN.split(" ")),
    max_size=24,
).flatmap(lambda said: st.sampled_from([" ", ""]).map(lambda space: space.join(said)))
PLAIN = st.lists(st.sampled_from(["we", "begin", "with", "budget", "lunch", "Anna"]), unique=True)


def said(text, start_ms=0, end_ms=1000):
    return Segment(start_ms, end_ms, text, (), "whisper-tiny.en", 1.0)


def cleaned(text, language="en"):
    return notes.note([said(text)], language)


def replaced(text, *pairs):
    replacements = [{"from": heard, "to": meant} for heard, meant in pairs]
    return notes.note([said(text)], None, replacements)


def test_a_pause_of_two_seconds_begins_a_paragraph():
    spoken = [said("One.", 0, 1000), said("Two.", 1500, 2000), said("Three.", 4000, 5000)]
    assert notes.note(spoken) == "One. Two.\n\nThree."


def test_a_note_of_nothing_is_empty():
    assert notes.note([]) == notes.note([said("")]) == notes.note([said("Um.")], "en") == ""


def test_a_paragraph_of_fillers_vanishes():
    spoken = [said("One.", 0, 1000), said("Um, hmm.", 4000, 5000), said("Two.", 9000, 9500)]
    assert notes.note(spoken, "en") == "One.\n\nTwo."


@pytest.mark.parametrize(
    ("text", "language", "wanted"),
    [
        ("So, um, we begin.", "en", "So, we begin."),
        ("Um, we begin.", "en", "We begin."),
        ("Um... so we go", "en", "So we go"),
        ("We go. Um. Then lunch.", "en", "We go. Then lunch."),
        ("We begin, um.", "en", "We begin."),
        ("we begin, uh", "en", "we begin"),
        ("So, um... we go", "en", "So... we go"),
        ("Um, uh, erm, we go", "en", "We go"),
        ("We go (um) home.", "en", "We go home."),
        ('He said "um," and left', "en", "He said, and left"),
        ('"Um, we go," he said.', "en", '"We go," he said.'),
        ("Um—we go", "en", "We go"),
        ("Ähm, wir gehen um die Ecke, wie er sagt", "de", "Wir gehen um die Ecke, wie er sagt"),
        ("« Euh, oui »", "fr", "« Oui »"),
        ("¿Em, vamos?", "es", "¿Vamos?"),
        ("¿Em? Vamos, ¿eh?", "es", "Vamos, ¿eh?"),
    ],
)
def test_a_filler_goes_and_its_punctuation_with_it(text, language, wanted):
    assert cleaned(text, language) == wanted


@pytest.mark.parametrize(
    "text",
    ["mhm", "uh-huh", "Uh huh.", "uh-oh", "Oh, ah", "the ER", "5 mm", "um.com", "@um", "sum"],
)
def test_what_only_looks_like_a_filler_stays(text):
    assert cleaned(text) == text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("the the plan", "the plan"),
        ("The the plan", "The plan"),
        ("I, I, I think", "I think"),
        ("I - I... I… I— I think", "I think"),
        ("we have we have to", "we have to"),
        ("we have to, we have to go", "we have to go"),
        ("the um the plan", "the plan"),
        ("We go to the, to the", "We go to the"),
    ],
)
def test_what_is_said_again_at_once_is_written_once(text, wanted):
    assert cleaned(text) == wanted


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("We go. We go.", "en"),
        ("We go? We go!", "en"),
        ("five five five", "en"),
        ("twenty-five twenty-five", "en"),
        ("nineteen nineteen", "en"),
        ("call 5 5", "en"),
        ("A N N A", "en"),
        ("very very good", "en"),
        ("no, no, no, no", "en"),
        ("what he had had", "en"),
        ("die, die die Post bringen", "de"),
        ("einundzwanzig einundzwanzig", "de"),
        ("nous nous levons", "fr"),
        ("dos dos", "es"),
        ("no, no", "es"),
    ],
)
def test_a_repetition_that_is_meant_stays(text, language):
    assert cleaned(text, language) == text


@pytest.mark.parametrize("language", [None, "ja", "id", ""])
def test_another_language_keeps_its_words(language):
    assert cleaned("um, the the", language) == "um, the the"


@pytest.mark.parametrize(
    ("text", "pairs", "wanted"),
    [
        ("Use AURORA now", [("aurora", "Aurora")], "Use Aurora now"),
        ("scribe scribes", [("scribe", "X")], "X scribes"),
        ("scribe  \t box", [("scribe box", "Scribebox")], "Scribebox"),
        ("new york", [("new", "old"), ("new york", "NYC")], "NYC"),
        ("cat dog", [("cat", "dog"), ("dog", "cat")], "dog cat"),
        ("a path", [("path", r"C:\1\g<0>")], r"a C:\1\g<0>"),
        ("c c++ cc", [("c", "D"), ("c++", "C++")], "D C++ cc"),
        ("use c++ (now)", [("c++", "C++"), ("(now)", "!")], "use C++ !"),
        ("我用语音盒子吧", [("语音", "言语"), ("盒子", "Box")], "我用言语Box吧"),
        ("我用api吧", [("api", "API")], "我用API吧"),
        ("서울은", [("서울", "부산")], "부산은"),
        ("कमी कम", [("कम", "X")], "कमी X"),
        ("well then, you know.", [("you know", ""), ("well", "")], "then,."),
        ("it is like good", [("like", "")], "it is good"),
        ("so like, good like.", [("like", "")], "so, good."),
        ("like like good (like this)", [("like", "")], "good (this)"),
        ("like", [("like", "")], ""),
        ("as is", [("", "x"), (" ", "y")], "as is"),
    ],
)
def test_replacements_are_made_once_and_all_at_once(text, pairs, wanted):
    assert replaced(text, *pairs) == wanted


def test_replacements_follow_clean_up():
    replacements = [{"from": "the plan", "to": "the, um, um plan"}]
    assert notes.note([said("the um the plan")], "en", replacements) == "the, um, um plan"


@given(STUMBLES | st.text(max_size=200), LANGUAGES)
def test_clean_up_twice_is_clean_up_once(text, language):
    once = cleaned(text, language)
    assert cleaned(once, language) == once


@given(PLAIN, st.sampled_from([" ", ", ", ". ", "... ", " — ", "\n", "  "]), LANGUAGES)
def test_a_text_without_stumbles_keeps_all_but_white_space(words, between, language):
    text = between.join(words)
    assert cleaned(text, language).split() == text.split()


@given(
    st.lists(st.text(max_size=80) | STUMBLES, max_size=4),
    LANGUAGES,
    st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), max_size=4),
)
def test_any_text_makes_a_note(texts, language, pairs):
    replacements = [{"from": heard, "to": meant} for heard, meant in pairs]
    notes.note([said(text, n * 9000) for n, text in enumerate(texts)], language, replacements)


@pytest.mark.parametrize(
    "phrase", ["so um the the plan we, we have it ", "the ", "um ", "a.. ", "- "]
)
def test_three_hours_are_cleaned_in_a_moment(phrase):
    text = (phrase * 30_000)[: 30_000 * 6]
    replacements = [{"from": f"{chr(97 + n % 26)}{n} word", "to": "x"} for n in range(500)]
    begun = time.process_time()
    notes.note([said(text)], "en", replacements)
    assert time.process_time() - begun < 2


def test_the_title_is_the_first_sentence_that_says_something():
    assert notes.title("Okay. We begin with the budget. Then lunch.") == "We begin with the budget"
    assert notes.title("Yes.") == "Yes"
    assert notes.title("") == ""


@given(st.text(max_size=400))
def test_a_title_is_one_short_line(text):
    title = notes.title(text)
    assert len(title) <= notes.TITLE_LENGTH
    assert "\n" not in title


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("It is not not important.", "en"),
        ("Das ist nicht nicht wichtig.", "de"),
        ("In May may we meet?", "en"),
        ("Wir wollen Essen essen.", "de"),
        ("We drive to Walla Walla today.", "en"),
        ("I gave her her keys.", "en"),
        ("A sheet a few mm thick.", "en"),
    ],
)
def test_clean_up_leaves_what_would_mean_something_else(text, language):
    assert notes.note([said(text, 0, 1000)], language) == text


def test_a_title_of_a_long_text_without_an_end_is_found_at_once():
    assert len(notes.title("no end in sight " * 50_000)) <= notes.TITLE_LENGTH
