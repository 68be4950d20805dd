"""Deepgram's messages: every field, always, of the right type, whatever was heard."""

import json
import uuid
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from api.listen import messages
from api.listen.messages import Model, alternative, bare, results
from api.listen.options import Options
from engine import models
from engine.transcript import Word

MODEL = Model("whisper-tiny.en", "1a5afae06a4d")
REQUEST_ID = "6f1f0c8f-4d11-4a53-9a53-5f3b2f0e6d0a"
SAID = (Word("Don't", 0, 400, 0.9), Word("panic,", 480, 900, 0.8), Word("Arthur!", 950, 1300, 0.4))
PUNCTUATED = Options(punctuate=True)
CREATED = datetime(2026, 11, 21, 7, 43, 21, 685_900, UTC)
ANY_WORDS = some.lists(
    some.builds(
        Word,
        some.text(max_size=12),
        some.integers(0, 10**8),
        some.integers(0, 10**8),
        some.floats(-1, 2),
    )
)


def told(words=SAID, options=PUNCTUATED, **changed):
    """Return Results as a stream tells them."""
    values = {
        "start_s": 0.0, "duration_s": 1.5, "is_final": True, "speech_final": False,
        "from_finalize": False, "channel": 0, "channels": 1,
    }  # fmt: skip
    return results(
        words, options=options, model=MODEL, request_id=REQUEST_ID, **{**values, **changed}
    )


def metadata(model=MODEL, options=PUNCTUATED):
    return messages.metadata(
        request_id=REQUEST_ID, created=CREATED, duration_s=44.2604, channels=2, model=model,
        options=options,
    )  # fmt: skip


def every_message():
    """Return one of each that a stream may tell."""
    return [
        told(),
        told((), is_final=False),
        told(options=Options(multilingual=True, language=None, extra={"k": "v"}), language="de"),
        metadata(),
        metadata(model=None),
        messages.speech_started(channel=0, channels=1, timestamp_s=9.54),
        messages.utterance_end(channel=0, channels=1, last_word_end_s=2.395),
        messages.configure_success(request_id=REQUEST_ID, keyterms=("a", "b c")),
        messages.configure_success(request_id=REQUEST_ID),
        messages.configure_failure(
            request_id=REQUEST_ID, code=messages.LIMIT_EXCEEDED, description="too many"
        ),
    ]


def test_results_have_every_field():
    assert told(start_s=12.30049, channel=1, channels=2, speech_final=True) == {
        "type": "Results",
        "channel_index": [1, 2],
        "duration": 1.5,
        "start": 12.3,
        "is_final": True,
        "speech_final": True,
        "channel": {
            "alternatives": [
                {
                    "transcript": "Don't panic, Arthur!",
                    "confidence": 0.7,
                    "words": [
                        {"word": "don't", "start": 0.0, "end": 0.4, "confidence": 0.9,
                         "punctuated_word": "Don't"},
                        {"word": "panic", "start": 0.48, "end": 0.9, "confidence": 0.8,
                         "punctuated_word": "panic,"},
                        {"word": "arthur", "start": 0.95, "end": 1.3, "confidence": 0.4,
                         "punctuated_word": "Arthur!"},
                    ],
                }
            ]
        },
        "metadata": {
            "request_id": REQUEST_ID,
            "model_info": {"name": "whisper-tiny.en", "version": "1a5afae06a4d",
                           "arch": "whisper"},
            "model_uuid": MODEL.uuid,
        },
        "from_finalize": False,
    }  # fmt: skip


def test_without_punctuation_words_are_bare():
    content = alternative(SAID, Options())
    assert content["transcript"] == "don't panic arthur"
    assert all(set(w) == {"word", "start", "end", "confidence"} for w in content["words"])


def test_silence_is_one_empty_alternative():
    empty = {"transcript": "", "confidence": 0.0, "words": []}
    assert told(())["channel"] == {"alternatives": [empty]}
    assert alternative((Word(" ", 0, 1, 0.5),), PUNCTUATED) == empty
    assert alternative((), Options(multilingual=True, language=None), "de") == empty


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Hello.", "hello"), ('"Hello', "hello"), ("(twenty-one),", "twenty-one"),
        ("O'Brien's", "o'brien's"), ("dogs'", "dogs"), ("¿Qué?", "qué"), ("U.S.", "u.s"),
        ("3.5", "3.5"), ("-5,", "-5"), (".5", ".5"), ("-.5", "-.5"), ("-Well", "well"),
        ("...5", "5"), ("100%.", "100%"), ("$5,000.", "$5,000"), ("R&D", "r&d"), ("C++", "c++"),
        ("#1!", "#1"), ("こんにちは。", "こんにちは"), ("Straße!", "straße"), ("—", "—"),
        ("...", "..."), (" Word ", "word"), ("नमस्ते।", "नमस्ते"),
    ],
)  # fmt: skip
def test_a_word_loses_the_punctuation_around_it(text, word):
    assert bare(text) == word


@pytest.mark.parametrize("language", ["zh", "ja", "th"])
def test_languages_without_spaces_are_written_without(language):
    said = (Word("今日", 0, 300, 0.9), Word("は、", 300, 500, 0.9), Word("晴れ。", 500, 900, 0.9))
    given_language = alternative(said, Options(language=language, punctuate=True))
    assert given_language["transcript"] == "今日は、晴れ。"
    many = Options(language=None, multilingual=True)
    assert alternative(said, many, language)["transcript"] == "今日は晴れ"


def test_a_language_is_named_only_with_several():
    content = alternative(SAID, Options(language=None, multilingual=True), "de")
    assert content["languages"] == ["de"]
    assert {w["language"] for w in content["words"]} == {"de"}
    assert "languages" not in alternative(SAID, Options(language=None, multilingual=True))
    assert "language" not in json.dumps(alternative(SAID, Options(), "de"))


def test_a_word_never_ends_before_it_starts_and_is_never_surer_than_sure():
    content = alternative((Word("a", 500, 400, 1.2), Word("b", 500, 500, -0.1)), Options())
    first, second = content["words"]
    assert (first["start"], first["end"], first["confidence"]) == (0.5, 0.5, 1.0)
    assert second["confidence"] == 0.0 and content["confidence"] == 0.5


def test_metadata_has_every_field():
    assert metadata() == {
        "type": "Metadata",
        "transaction_key": "deprecated",
        "request_id": REQUEST_ID,
        "sha256": "incomplete",
        "created": "2026-11-21T07:43:21.685Z",
        "duration": 44.26,
        "channels": 2,
        "models": [MODEL.uuid],
        "model_info": {
            MODEL.uuid: {"name": "whisper-tiny.en", "version": "1a5afae06a4d", "arch": "whisper"}
        },
    }


def test_without_sound_no_model_is_named():
    assert not {"models", "model_info"} & set(metadata(model=None))


def test_a_moment_is_told_in_utc():
    east = timezone(timedelta(hours=5, minutes=30))
    assert messages.moment(CREATED.astimezone(east)) == "2026-11-21T07:43:21.685Z"
    assert messages.moment(CREATED.replace(microsecond=0)) == "2026-11-21T07:43:21.000Z"


def test_what_the_client_attached_comes_back():
    attached = Options(extra={"room": "12"})
    assert told(options=attached)["metadata"]["extra"] == {"room": "12"}
    assert metadata(options=attached)["extra"] == {"room": "12"}


def test_the_short_messages():
    assert messages.speech_started(channel=1, channels=2, timestamp_s=9.54) == {
        "type": "SpeechStarted", "channel": [1, 2], "timestamp": 9.54,
    }  # fmt: skip
    assert messages.utterance_end(channel=0, channels=1, last_word_end_s=2) == {
        "type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 2.0,
    }  # fmt: skip
    assert messages.configure_success(request_id="r", keyterms=()) == {
        "type": "ConfigureSuccess", "request_id": "r", "keyterms": [],
    }  # fmt: skip
    assert messages.configure_success(request_id="r") == {
        "type": "ConfigureSuccess", "request_id": "r",
    }  # fmt: skip
    failure = messages.configure_failure(
        request_id="r", code=messages.INTERNAL_ERROR, description="d"
    )
    assert failure == {
        "type": "ConfigureFailure", "request_id": "r", "code": "CONFIGURE_INTERNAL_ERROR",
        "description": "d",
    }  # fmt: skip


def test_a_model_has_one_number_on_every_box():
    digests = {"model.bin": "1a5afae06a4db91c975c9a9d78be5cc1"}
    installed = models.Model("tiny.en", Path("models"), "package", digests)
    assert Model.of(installed) == MODEL
    assert MODEL.uuid == Model("whisper-tiny.en", "1a5afae06a4d").uuid
    assert uuid.UUID(MODEL.uuid).version == 5
    assert MODEL.uuid != Model("whisper-base", "1a5afae06a4d").uuid
    assert MODEL.uuid != Model("whisper-tiny.en", "2").uuid


@given(ANY_WORDS, some.booleans(), some.sampled_from((None, "en", "ja")))
def test_whatever_is_heard_has_the_types_that_clients_read(words, punctuate, language):
    options = Options(punctuate=punctuate, multilingual=True, language=None)
    content = told(words, options, language=language)["channel"]["alternatives"][0]
    assert isinstance(content["transcript"], str)
    for scored in (content, *content["words"]):
        assert isinstance(scored["confidence"], float) and 0 <= scored["confidence"] <= 1
    for word in content["words"]:
        assert word["word"] and word["word"] == word["word"].strip()
        assert isinstance(word["start"], float) and isinstance(word["end"], float)
        assert 0 <= word["start"] <= word["end"]
        assert ("punctuated_word" in word) is punctuate


def test_deepgrams_own_types_take_every_message():
    types = pytest.importorskip("deepgram.listen.v1.types")
    for content in every_message():
        kind = getattr(types, f"ListenV1{content['type']}")
        taken = kind.model_validate(content, strict=True)
        known = set(kind.model_fields) | {"models", "model_info", "extra"}
        assert set(content) <= known
        assert taken.type == content["type"]
    word = kind_of_word(types).model_validate(alternative(SAID, PUNCTUATED)["words"][0])
    assert (word.punctuated_word, word.speaker) == ("Don't", None)


def kind_of_word(types):
    return types.ListenV1ResultsChannelAlternativesItemWordsItem
