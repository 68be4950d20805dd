import io
import json
import re
from itertools import pairwise

import pytest
from docx import Document
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cues import CUE_MS, LINE_CHARACTERS, cues
from engine.transcript import Segment, Transcript, Word
from engine.writers import FORMATS, as_dict, write


def said(text, start_ms=0, word_ms=300, words=None, **rest):
    """Return a segment whose words, those between spaces unless given, follow each other."""
    words = text.split() if words is None else words
    timed = tuple(
        Word(w, start_ms + i * word_ms, start_ms + (i + 1) * word_ms, 0.9)
        for i, w in enumerate(words)
    )
    end_ms = timed[-1].end_ms if timed else start_ms + 1000
    return Segment(start_ms, end_ms, text, timed, "whisper-base", 0.9, **rest)


def transcript(*segments, **rest):
    end_ms = max((s.end_ms for s in segments), default=0)
    facts = {"model": "whisper-base", "language": "en", "duration_ms": end_ms} | rest
    return Transcript(segments=segments, **facts)


def written(format, *segments, **rest):
    return write(transcript(*segments, **rest), format).decode()


def squeezed(text):
    return "".join(text.split())


characters = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff")
some_words = st.lists(st.text(characters, min_size=1, max_size=60), max_size=40)
times = st.integers(-1000, 60_000)


@st.composite
def segments(draw):
    """Any text with any words, in it or not, at any times."""
    words = draw(some_words)
    text = draw(st.sampled_from(["", " ", "-"])).join(words)
    heard = [w for w in words if draw(st.integers(0, 9))]
    timed = tuple(Word(w, draw(times), draw(times), 0.5) for w in heard)
    return Segment(draw(times), draw(times), text, timed, "whisper-base", 0.5)


@given(st.lists(segments(), max_size=4))
def test_cues_are_ordered_and_never_overlap(several):
    shown = cues(transcript(*several))
    assert all(0 <= c.start_ms < c.end_ms for c in shown)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(shown))


@given(st.lists(segments(), max_size=4))
def test_the_cues_together_say_what_the_segments_say(several):
    shown = squeezed("".join(line for c in cues(transcript(*several)) for line in c.lines))
    assert shown == squeezed("".join(s.text for s in several))


@given(some_words, st.integers(1, 9000), st.sampled_from(["", " "]))
def test_a_cue_has_two_lines_of_42_characters_and_7_seconds(words, word_ms, between):
    words = [w for w in words if not re.search(r"\s", w)]
    for cue in cues(transcript(said(between.join(words), 0, word_ms, words))):
        assert 1 <= len(cue.lines) <= 2
        assert cue.end_ms - cue.start_ms <= CUE_MS
        for line in cue.lines:
            assert len(line) <= max([LINE_CHARACTERS, *map(len, words)]) + 1
            assert line == line.strip() and line.splitlines() == [line]


@settings(max_examples=40)  # a document for Word takes long to make
@given(st.text(), st.text(), st.text())
def test_every_format_takes_any_text(text, word, title):
    any_text = transcript(said(text, words=[word]), warning=text)
    for format in FORMATS:
        assert isinstance(write(any_text, format, title), bytes)


@given(st.lists(segments(), max_size=3))
def test_a_subtitle_file_has_one_block_and_one_arrow_a_cue(several):
    whole = transcript(*several)
    for format, header in (("srt", 0), ("vtt", 1)):
        content = write(whole, format).decode()
        assert content.count("-->") == len(cues(whole))
        assert (
            len([b for b in re.split(r"\n\n", content) if b.strip()]) == len(cues(whole)) + header
        )


def test_an_unknown_format_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'pdf'.*txt, srt, vtt, json, md, docx"):
        write(transcript(), "pdf")


def test_only_json_shows_what_was_suppressed():
    kept, held = said("We begin."), said("Thank you.", 5000, suppressed="no speech")
    for format in FORMATS.keys() - {"json", "docx"}:
        assert "Thank you" not in written(format, kept, held)
    answer = json.loads(written("json", kept, held))
    assert [s["text"] for s in answer["segments"]] == ["We begin."]
    assert [(s["text"], s["reason"]) for s in answer["suppressed"]] == [("Thank you.", "no speech")]


def test_text_has_one_line_a_paragraph_and_a_blank_line_at_a_pause():
    first, second = said("One two."), said("Three.", 600 + 1999)
    third = said("Four.", second.end_ms + 2000)
    assert written("txt", first, second, third) == "One two. Three.\n\nFour.\n"
    assert written("txt") == ""


def test_srt_is_numbered_and_says_the_arrow_another_way():
    content = written("srt", said("a --> b"), said("next", 360_000_000))
    assert content == (
        "1\n00:00:00,000 --> 00:00:00,900\na → b\n\n2\n100:00:00,000 --> 100:00:00,300\nnext\n"
    )


def test_vtt_escapes_what_a_player_reads_as_markup():
    content = written("vtt", said("a --> <b> & c"))
    expected = "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\na --&gt; &lt;b&gt; &amp; c\n"
    assert content == expected
    assert written("vtt") == "WEBVTT\n"


def test_a_long_segment_is_cut_between_words_by_their_times():
    shown = cues(transcript(said(" ".join(["eleven"] * 30), 1000)))
    assert [(c.start_ms, c.end_ms) for c in shown] == [(1000, 4600), (4600, 8200), (8200, 10000)]
    assert shown[0].lines == (" ".join(["eleven"] * 6),) * 2


def test_a_cue_ends_at_a_pause_between_words():
    words = (Word("Yes.", 0, 400, 0.9), Word("No.", 5000, 5400, 0.9))
    shown = cues(transcript(Segment(0, 5400, "Yes. No.", words, "whisper-base", 0.9)))
    assert [(c.start_ms, c.end_ms, c.lines) for c in shown] == [
        (0, 400, ("Yes.",)),
        (5000, 5400, ("No.",)),
    ]


def test_words_heard_without_their_punctuation_are_found():
    text = "“Well-known,” she said — (really)!"
    heard = said(text, words=["Well", "known", "she", "said", "really"], word_ms=2000)
    assert [c.lines for c in cues(transcript(heard))] == [
        ("“Well-known,” she",),
        ("said — (really)!",),
    ]


def test_a_language_without_spaces_is_cut_between_words_and_after_clauses():
    words = ["会議", "を", "始め", "ます。"] * 10
    shown = cues(transcript(said("".join(words), words=words, word_ms=200)))
    assert all(line.endswith("。") for c in shown for line in c.lines)
    words = ["東京", "都"] * 20
    lines = [
        n for c in cues(transcript(said("".join(words), words=words, word_ms=50))) for n in c.lines
    ]
    assert lines == ["東京都" * 14, "東京都" * 6]


def test_slow_speech_without_spaces_is_cut_at_7_seconds():
    shown = cues(transcript(said("東京都" * 10, words=["東京都"] * 10, word_ms=1000)))
    assert [(c.start_ms, c.end_ms) for c in shown] == [(0, 7000), (7000, 10_000)]
    assert [c.lines for c in shown] == [("東京都" * 7,), ("東京都" * 3,)]


def test_a_segment_without_word_times_is_one_wrapped_cue():
    text = (
        "a segment of which nobody knows when its words were said, however many there are of them"
    )
    (cue,) = cues(transcript(said(text, 500, words=[])))
    assert (cue.start_ms, cue.end_ms) == (500, 1500)
    assert " ".join(cue.lines) == text and max(map(len, cue.lines)) <= LINE_CHARACTERS
    assert cues(transcript(said(text, 500, words=["other", "words"])))[0].lines == cue.lines


def test_segments_that_overlap_become_cues_that_do_not():
    shown = cues(transcript(said("first one here"), said("second", 500)))
    assert [(c.start_ms, c.end_ms) for c in shown] == [(0, 500), (500, 800)]


def test_json_has_seconds_and_a_warning_only_when_there_is_one():
    whole = transcript(said("Grüße", 1234), warning="the file ends early")
    answer = json.loads(write(whole, "json"))
    assert answer == as_dict(whole)
    assert "Grüße" in write(whole, "json").decode()
    times = {"start": 1.234, "end": 1.534}
    assert answer == {
        "model": "whisper-base",
        "language": "en",
        "durationSeconds": 1.534,
        "text": "Grüße",
        "segments": [
            {
                **times,
                "text": "Grüße",
                "words": [{"word": "Grüße", **times, "probability": 0.9}],
                "confidence": 0.9,
                "engine": "whisper-base",
                "engineReason": None,
            }
        ],
        "suppressed": [],
        "warning": "the file ends early",
    }
    assert "warning" not in as_dict(transcript())


def test_markdown_has_heading_facts_and_times_and_escapes_the_text():
    whole = transcript(said("*a* [b](c) <i> &amp; AT&T #1"), said("end", 3_600_000), warning="cut")
    assert write(whole, "md", "C# talk").decode() == (
        "# C\\# talk\n\nDuration: 01:00:00 · Language: en\n\n> cut\n\n"
        "[00:00:00] \\*a\\* \\[b\\](c) \\<i> \\&amp; AT&T #1\n\n[01:00:00] end\n"
    )


def test_docx_opens_with_title_facts_and_paragraphs():
    whole = transcript(said("a\x00 <b>\x1b &"), said("end", 60_000), language=None, warning="cut")
    document = Document(io.BytesIO(write(whole, "docx", "Stand\x07-up")))
    assert document.core_properties.title == "Stand-up"
    assert [p.text for p in document.paragraphs] == [
        "Stand-up",
        "Duration: 00:01:00",
        "cut",
        "[00:00:00] a <b> &",
        "[00:01:00] end",
    ]
    assert document.paragraphs[0].style.name == "Title"


def test_docx_takes_a_title_longer_than_its_property_may_be():
    document = Document(io.BytesIO(write(transcript(), "docx", "x" * 300)))
    assert document.paragraphs[0].text == "x" * 300
