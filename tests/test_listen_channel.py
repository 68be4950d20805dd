"""What a channel tells of whatever was heard keeps Deepgram's order."""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some
from listen_client import EVERYTHING, Told, broken_rules, transcript, words

from api.listen import messages
from api.listen.channel import Channel
from api.listen.messages import Model
from api.listen.options import parse
from engine.audio import SAMPLE_RATE
from engine.live_events import Final, Partial, Paused, SpeechStarted
from engine.transcript import Word

MODEL = Model("whisper-tiny.en", "1a5afae06a4d")
REQUEST_ID = "6f1f0c8f-4d11-4a53-9a53-5f3b2f0e6d0a"
PER_MS = SAMPLE_RATE // 1000


def options(**changed):
    return parse([*{**EVERYTHING, **changed}.items()])


def channel(number=0, channels=1, **changed):
    return Channel(number, channels, options(**changed), MODEL, REQUEST_ID)


def said(*spans):
    """Return words that were said from one millisecond to another."""
    return tuple(Word(f" word{n},", start, end, 0.9) for n, (start, end) in enumerate(spans))


def all_of(events, until_ms, **changed):
    """Return what one channel tells of these events, and at the end."""
    own = channel(**changed)
    told = [message for event in events for message in own.tell(event, None)]
    last = messages.metadata(
        request_id=REQUEST_ID,
        created=datetime(2026, 11, 22, tzinfo=UTC),
        duration_s=until_ms / 1000,
        channels=1,
        model=MODEL,
        options=options(**changed),
    )
    return Told([*told, *own.rest(until_ms / 1000), last], 1000)


def spoken(draw, from_ms, to_ms):
    """Draw words of a stretch; the first may be drawn back into the pause before it."""
    times = draw(some.lists(some.integers(from_ms - 300, to_ms), min_size=2, max_size=8))
    times = sorted(max(time, 0) for time in times)
    return said(*itertools.pairwise(times))


@some.composite
def streams(draw):
    """Draw what an engine may tell in one stream, and how long that is."""
    events, at_ms, final_ms = [], 0, 0
    for _ in range(draw(some.integers(0, 6))):
        at_ms += draw(some.integers(0, 3000))
        events.append(SpeechStarted(at_ms * PER_MS + draw(some.integers(0, 15))))
        final_ms = max(final_ms, at_ms)  # what was said after a pause did not begin before it
        for kind in draw(some.lists(some.sampled_from(("partial", "piece")), max_size=4)):
            at_ms += draw(some.integers(300, 2000))
            now = spoken(draw, final_ms, at_ms)
            if kind == "piece":
                events.append(Final(now, now[-1].end_ms * PER_MS, ended=False))
                final_ms = now[-1].end_ms
            else:
                middle = draw(some.integers(0, len(now)))
                events.append(Partial(now[:middle], now[middle:], at_ms * PER_MS))
        flushed = draw(some.booleans())
        last = draw(some.sampled_from(((), spoken(draw, final_ms, at_ms))))
        odd = draw(some.integers(0, 15))  # samples: positions are no whole milliseconds
        events.append(Final(last, at_ms * PER_MS + odd, ended=True, flushed=flushed))
        final_ms = at_ms + 1
        if flushed and draw(some.booleans()):
            events.append(Final((), at_ms * PER_MS + odd, ended=True, flushed=True))
        if draw(some.booleans()):
            at_ms += draw(some.integers(1000, 2000))
            events.append(Paused(at_ms * PER_MS))
    return events, at_ms + draw(some.integers(1, 500))


@given(streams(), some.booleans())
def test_whatever_an_engine_hears_the_rules_are_kept(stream, interim):
    events, until_ms = stream
    query = {**EVERYTHING, "interim_results": str(interim).lower()}
    told = all_of(events, until_ms, **query)
    assert broken_rules(told, **query) == []
    wanted = [len(event.words) for event in events if isinstance(event, Final)]
    heard = [len(words(one)) for one in told.finals]
    assert heard[: len(wanted)] == wanted and sum(heard) == sum(wanted)


def test_interim_results_have_the_start_of_their_segment_and_the_final_replaces_them():
    first, second, third = said((100, 400)), said((100, 400), (500, 900)), said((950, 1200))
    told = all_of(
        [
            Partial((), first, 500 * PER_MS),
            Partial(second, (), 1000 * PER_MS),
            Final(second, 1100 * PER_MS, ended=False),
            Partial((), third, 1300 * PER_MS),
            Final(third, 1400 * PER_MS, ended=True),
        ],
        2000,
    )
    spans = [(m["start"], round(m["start"] + m["duration"], 3)) for m in told.results]
    assert spans == [(0, 0.5), (0, 1), (0, 1.1), (1.1, 1.3), (1.1, 1.4), (1.4, 2)]
    assert [m["is_final"] for m in told.results] == [False, False, True, False, True, True]
    assert [m["speech_final"] for m in told.results] == [False] * 4 + [True, False]


def test_the_words_that_were_flushed_are_in_the_message_that_answers():
    one = channel().tell(Final(said((100, 400)), 500 * PER_MS, ended=True, flushed=True), None)
    (answer,) = one
    assert (answer["is_final"], answer["speech_final"], answer["from_finalize"]) == (True,) * 3
    assert transcript(answer) == "word0,"
    (nothing,) = channel().tell(Final((), 0, ended=True, flushed=True), None)
    assert nothing["from_finalize"] and nothing["channel"]["alternatives"] == [
        {"transcript": "", "confidence": 0.0, "words": []}
    ]


def test_without_endpointing_only_a_flush_ends_an_utterance():
    own = channel(endpointing="false")
    for flushed in (False, True):
        (told,) = own.tell(Final(said((0, 100)), 200 * PER_MS, ended=True, flushed=flushed), None)
        assert told["speech_final"] is flushed


@pytest.mark.parametrize(
    ("parameter", "event"),
    [
        ("interim_results", Partial((), said((0, 100)), 200 * PER_MS)),
        ("vad_events", SpeechStarted(0)),
    ],
)
def test_what_nobody_asked_for_is_not_told(parameter, event):
    assert len(channel().tell(event, None)) == 1
    assert channel(**{parameter: "false"}).tell(event, None) == []


def test_an_utterance_ends_once_and_after_its_words():
    own = channel()
    assert own.tell(Paused(1000 * PER_MS), None) == []  # nothing was said yet
    own.tell(Final(said((100, 400), (500, 900)), 1000 * PER_MS, ended=True), None)
    own.tell(Final((), 1200 * PER_MS, ended=True), None)
    (ended,) = own.tell(Paused(2000 * PER_MS), None)
    assert ended == {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 0.9}
    assert own.tell(Paused(4000 * PER_MS), None) == []
    silent = channel(utterance_end_ms="0")
    silent.tell(Final(said((100, 400)), 500 * PER_MS, ended=True), None)
    assert silent.tell(Paused(2000 * PER_MS), None) == []


def test_a_word_begins_no_earlier_than_its_segment():
    own = channel()
    own.tell(Final(said((0, 1000)), 1000 * PER_MS, ended=True), None)
    (told,) = own.tell(Final(said((700, 900), (900, 1200)), 1200 * PER_MS, ended=True), None)
    assert [(word["start"], word["end"]) for word in words(told)] == [(1, 1), (1, 1.2)]
    (ended,) = own.tell(Paused(3000 * PER_MS), None)
    assert ended["last_word_end"] == 1.2


def test_every_message_names_its_channel():
    events = [
        SpeechStarted(0),
        Partial((), said((0, 100)), 200 * PER_MS),
        Final(said((0, 100)), 200 * PER_MS, ended=True),
        Paused(1500 * PER_MS),
    ]
    own = channel(1, 2)
    told = [message for event in events for message in own.tell(event, None)] + own.rest(2.0)
    assert len(told) == 5
    assert all(m.get("channel_index", m["channel"]) == [1, 2] for m in told)


def test_what_is_left_at_the_end_is_told_as_silence():
    assert channel().rest(0.0) == []
    own = channel()
    own.tell(Final(said((0, 100)), 1500 * PER_MS + 7, ended=True), None)  # 1.5004 s
    assert own.rest(1.5004375) == []
    (rest,) = own.rest(2.0)
    assert (rest["start"], rest["duration"], rest["is_final"]) == (1.5, 0.5, True)
