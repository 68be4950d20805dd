"""The words of a file are cut where people pause or end a sentence, and none is lost or doubled."""

import itertools
import uuid

from hypothesis import given
from hypothesis import strategies as some

from api.listen import file_results
from api.listen.options import Options
from api.listen.paragraphs import (
    MOST_SENTENCES,
    at_pauses,
    paragraphs,
    paragraphs_of,
    sentences_of,
    utterances,
)
from engine.transcript import Segment, Transcript, Word

PUNCTUATED = Options(punctuate=True)


def spoken(text, pauses=None):
    """Return words of 100 ms with 100 ms between them; `pauses` are further ones, by the word."""
    at, words = 0, []
    for number, word in enumerate(text.split()):
        at += (pauses or {}).get(number, 0)
        words.append(Word(word, at, at + 100, 0.5))
        at += 200
    return words


def texts(stretches):
    return [" ".join(word.text for word in stretch) for stretch in stretches]


def test_an_utterance_ends_where_the_pause_is_as_long_as_asked():
    words = spoken("one two three four", {1: 600, 3: 700})  # pauses of 0.7 and 0.8 s
    found = utterances(words, Options(), 1, "en")
    assert [u["transcript"] for u in found] == ["one two three", "four"]
    assert [(u["start"], u["end"]) for u in found] == [(0.0, 1.1), (1.9, 2.0)]
    assert all(u["channel"] == 1 and u["confidence"] == 0.5 for u in found)
    assert [len(u["words"]) for u in found] == [3, 1]
    assert len({uuid.UUID(u["id"]) for u in found}) == 2
    assert len(utterances(words, Options(utt_split_s=0.7), 0, "en")) == 3
    assert utterances([], Options(), 0, None) == []


def test_a_sentence_ends_with_its_mark_also_in_quotes():
    words = spoken('He said "No!" Then he left. Really? Yes')
    assert texts(sentences_of(words)) == ['He said "No!"', "Then he left.", "Really?", "Yes"]


def test_a_paragraph_ends_at_a_long_pause_or_with_enough_sentences():
    words = spoken("A b. C d. E", {2: 3000})
    assert [texts(p) for p in paragraphs_of(words)] == [["A b."], ["C d.", "E"]]
    many = spoken("So. " * (MOST_SENTENCES + 1))
    assert [len(p) for p in paragraphs_of(many)] == [MOST_SENTENCES, 1]


def test_paragraphs_are_told_as_text_and_one_by_one():
    told = paragraphs(spoken("Hello there. Bye.", {2: 3000}), PUNCTUATED, "en")
    assert told == {
        "transcript": "\nHello there.\n\nBye.",
        "paragraphs": [
            {
                "sentences": [{"text": "Hello there.", "start": 0.0, "end": 0.3}],
                "start": 0.0,
                "end": 0.3,
                "num_words": 2,
            },
            {
                "sentences": [{"text": "Bye.", "start": 3.4, "end": 3.5}],
                "start": 3.4,
                "end": 3.5,
                "num_words": 1,
            },
        ],
    }
    assert paragraphs([], PUNCTUATED, None) == {"transcript": "", "paragraphs": []}


@given(
    some.lists(some.tuples(some.sampled_from(["a", "b.", "c?"]), some.integers(0, 5000))),
    some.integers(0, 3000),
)
def test_every_word_comes_once_and_in_order(marks, pause_ms):
    words = spoken(" ".join(text for text, _ in marks), {i: p for i, (_, p) in enumerate(marks)})
    chain = itertools.chain.from_iterable
    assert list(chain(at_pauses(words, pause_ms))) == words
    assert list(chain(sentences_of(words))) == words
    assert list(chain(chain(paragraphs_of(words)))) == words


def test_text_without_times_of_its_words_is_not_lost():
    segments = (
        Segment(0, 900, "Hello.", (Word("Hello.", 0, 400, 0.9),), "whisper-base", 0.9),
        Segment(900, 1500, "No times here", (), "whisper-base", 0.4),
        Segment(1500, 1600, "Thank you.", (), "whisper-base", 0.1, suppressed="no speech"),
    )
    words = file_results.words_of(Transcript(segments, "base", "en", 2000))
    assert words == [Word("Hello.", 0, 400, 0.9), Word("No times here", 900, 1500, 0.4)]
