"""A window heard by a fake cloud on a real socket: its words, its moods, its garbage."""

import asyncio
import json
import logging
import traceback

import numpy as np
import pytest
from fake_deepgram import fake_deepgram
from hypothesis import given
from hypothesis import strategies as st
from receiver import refusing

from engine import prerecorded
from engine.cloud import Cloud
from engine.errors import CloudRefused, CloudUnreachable
from engine.prerecorded import Answer, read
from engine.whisper import Request

KEY = "0123456789abcdef-the-key-nobody-may-see"
SAMPLES = (np.arange(32_000) % 2000).astype(np.int16)  # 2 s
PATIENCE_S = 10
DEADLINE_S = 0.5


@pytest.fixture
def fake():
    with fake_deepgram() as started:
        yield started


@pytest.fixture(autouse=True)
def logs(caplog):
    """Log everything that can be logged, and find the key in none of it."""
    caplog.set_level(logging.DEBUG)
    yield
    assert KEY not in caplog.text


def heard(fake, request=None, deadline_s=PATIENCE_S, url=None) -> Answer:
    cloud = Cloud(url or fake.url, KEY)
    request = request or Request("en")
    return asyncio.run(prerecorded.transcribe(cloud, SAMPLES, request, deadline_s))


def failure(fake, behave="200", **more):
    fake.behave = behave
    with pytest.raises((CloudRefused, CloudUnreachable)) as caught:
        heard(fake, **more)
    error = caught.value
    assert error.__context__ is None and error.__cause__ is None
    shown = "".join(traceback.format_exception(error)) + repr(vars(error))
    assert KEY not in shown and "Invalid credentials" not in shown and "secret" not in shown
    return error


def test_the_cloud_gets_the_sound_as_it_is_and_what_is_wanted_of_it(fake):
    fake.transcript = "Hello there."
    answer = heard(fake, Request("en", hotwords=("Scribebox", "Dr. No")))
    (sent,) = fake.sent
    assert np.array_equal(sent.samples, SAMPLES)
    assert sent.headers["authorization"] == f"Token {KEY}"
    assert sent.query == {
        "model": ["nova-3"], "punctuate": ["true"], "smart_format": ["true"],
        "language": ["en"], "keyterm": ["Scribebox", "Dr. No"],
    }  # fmt: skip
    (segment,) = answer.heard.segments
    assert (segment.text, segment.engine, answer.model) == (
        "Hello there.", "deepgram-nova-3", "nova-3",
    )  # fmt: skip
    assert [(w.text, w.start_ms, w.end_ms) for w in segment.words] == [
        ("Hello", 0, 1000), ("there.", 1000, 2000),
    ]  # fmt: skip


def test_a_language_that_is_not_known_is_detected(fake):
    fake.hear = lambda samples, language: (fake.say(samples, None)[0], "de-CH")
    assert heard(fake, Request()).heard.language == "de"
    assert heard(fake, Request(among=("de", "fr"))).heard.language == "de"
    assert [sent.query["detect_language"] for sent in fake.sent] == [["true"], ["de", "fr"]]


def test_hotwords_beyond_what_the_cloud_takes_are_left_out(fake):
    heard(fake, Request("en", hotwords=tuple(f"word{i}" for i in range(300))))
    heard(fake, Request("en", hotwords=("x" * 1500, "y" * 1500)))
    assert [len(sent.query["keyterm"]) for sent in fake.sent] == [100, 1]


def test_silence_is_no_text(fake):
    fake.transcript = ""
    assert heard(fake).heard.segments == ()
    assert heard(fake, Request()).heard.segments == ()


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
def test_a_refusal_says_what_to_do(fake, status):
    error = failure(fake, str(status))
    assert isinstance(error, CloudRefused) and error.status == status
    assert str(status) in str(error) and len(fake.sent) == 1


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        ("429", "429"), ("500", "500"), ("503", "503"), ("closed", "can't be reached"),
        ("garbage", "without a transcript"), ("huge", "without a transcript"),
        ("redirect", "307"), ("nothing", "within 0.5 s"), ("drip", "within 0.5 s"),
    ],
)  # fmt: skip
def test_a_cloud_in_trouble_is_unreachable_for_a_later_try(fake, behave, said):
    deadline_s = DEADLINE_S if "within" in said else PATIENCE_S
    error = failure(fake, behave, deadline_s=deadline_s)
    assert isinstance(error, CloudUnreachable) and said in str(error)
    assert len(fake.requests) == 1  # asked once, and nothing is followed


def test_no_connection_is_unreachable(fake):
    with refusing() as url:
        assert "refused the connection" in str(failure(fake, url=url))


def test_a_packed_answer_is_not_unpacked(fake):
    fake.headers = {"Content-Encoding": "gzip"}
    assert "without a transcript" in str(failure(fake))


def said(words, transcript="secret words", **more):
    alternative = {"transcript": transcript, "confidence": 0.5, "words": words}
    return {"results": {"channels": [{"alternatives": [alternative], **more}]}}


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b'"secret"', b"\xff", b'{"results": ' + b"[" * 60_000,
        *(
            json.dumps(one).encode()
            for one in (
                {"results": None}, {"results": {"channels": []}},
                {"results": {"channels": [{"alternatives": []}]}},
                said(None), said("secret"), said([1]), said([None]), said({}),
                said([{"word": 1, "start": 0, "end": 1}]),
                said([{"word": "secret"}]),
                said([{"word": "secret", "start": "0", "end": 1}]),
                said([{"word": "secret", "start": True, "end": 1}]),
                said([{"word": "secret", "start": float("nan"), "end": 1}]),
                said([{"word": "secret", "start": 0, "end": float("inf")}]),
                said([{"word": "secret", "start": 0, "end": 10**400}]),
                said([{"word": "secret", "start": 0, "end": 1, "confidence": "high"}]),
                said([], transcript=None), said([], transcript="x" * 30_000),
                said([{"word": "secret", "start": 0, "end": 1}] * 1001),
            )
        ),
    ],
    ids=lambda body: repr(body[:60]),
)  # fmt: skip
def test_an_answer_that_makes_no_sense_is_none(fake, body):
    fake.body = body
    assert isinstance(failure(fake), CloudUnreachable)


def test_text_in_a_language_that_is_not_told_is_none(fake):
    fake.body = json.dumps(said([])).encode()
    assert isinstance(failure(fake, request=Request()), CloudUnreachable)


def test_text_without_times_is_one_segment():
    answer = read(json.dumps(said([], "Hello.")).encode(), 2000, "en")
    (segment,) = answer.heard.segments
    assert (segment.start_ms, segment.end_ms, segment.text, segment.words) == (
        0, 2000, "Hello.", (),
    )  # fmt: skip


def test_what_can_not_be_shown_or_stored_is_left_out():
    words = [{"word": "a\ud800b\0c\nd", "start": 0, "end": 1}, {"word": "\0", "start": 1, "end": 1}]
    (segment,) = read(json.dumps(said(words)).encode(), 2000, "en").heard.segments
    assert segment.text == "a b c d" and len(segment.words) == 1
    segment.text.encode()


def test_languages_without_spaces_have_none():
    words = [{"word": "今日", "start": 0, "end": 1}, {"word": "は", "start": 1, "end": 2}]
    body = json.dumps(said(words, detected_language="ja")).encode()
    assert read(body, 2000, None).heard.segments[0].text == "今日は"


@pytest.mark.parametrize("name", [None, 1, "", "Nova 3", "x" * 41, "../x", "<b>"])
def test_a_model_without_a_proper_name_is_the_one_that_was_asked_for(name):
    told = said([], "Hello.") | {"metadata": {"model_info": {"x": {"arch": name}}}}
    assert read(json.dumps(told).encode(), 2000, "en").model == prerecorded.MODEL


TIMES = st.floats(-10, 100, allow_nan=False)


@given(st.lists(st.tuples(TIMES, TIMES, st.floats(-2, 2)), min_size=1, max_size=30))
def test_times_stay_within_the_window_one_after_the_other(times):
    words = [{"word": "w", "start": a, "end": b, "confidence": c} for a, b, c in times]
    answer = read(json.dumps(said(words)).encode(), 5000, "en")
    found = [word for segment in answer.heard.segments for word in segment.words]
    assert len(found) == len(times)
    edges = [edge for word in found for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= 5000
    assert all(0 <= word.probability <= 1 for word in found)


def test_a_key_that_can_not_be_sent_is_neither_sent_nor_shown(fake):
    with pytest.raises(CloudUnreachable, match="SCRIBEBOX_DEEPGRAM_API_KEY"):
        asyncio.run(prerecorded.transcribe(Cloud(fake.url, f"{KEY}\n"), SAMPLES, Request("en")))
    assert fake.requests == []
