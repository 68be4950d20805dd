"""What OpenAI's clients send is understood, and what they read is spelt as they expect."""

import json
import math
import re

import pytest
from event_source import Parser
from faster_whisper.tokenizer import _LANGUAGE_CODES
from hypothesis import given
from hypothesis import strategies as st
from litestar.exceptions import HTTPException
from multipart import MultipartError

from api.openai import formats, languages, wishes
from api.openai.form import MAX_PARTS, MAX_TEXT_BYTES, Form
from api.openai.formats import Telling
from api.openai.refusals import InvalidField, refused
from appliance.errors import Busy, NoRoom, TooLarge
from engine.errors import AudioUnreadable, LanguageUnsupported, ModelUnavailable
from engine.transcript import Segment, Transcript, Word

TEN_FIELDS = [
    "id", "seek", "start", "end", "text", "tokens",
    "temperature", "avg_logprob", "compression_ratio", "no_speech_prob",
]  # fmt: skip
CUE = re.compile(r"(\d\d):(\d\d):(\d\d)[.,](\d{3}) --> (\d\d):(\d\d):(\d\d)[.,](\d{3})")
WHISPER = "whisper-tiny.en"


def segment(text, start_ms=0, words=(), confidence=0.5, suppressed=None):
    end_ms = start_ms + 900
    return Segment(start_ms, end_ms, text, tuple(words), WHISPER, confidence, suppressed)


def telling(*segments, language="en", asked=None, granularities=("segment",), **more):
    transcript = Transcript(segments, "tiny.en", language, 2340, more.pop("warning", None))
    return Telling(transcript, lambda text: [ord(c) for c in text], asked,
                   frozenset(granularities), **more)  # fmt: skip


def verbose(*segments, **more):
    return json.loads(formats.write("verbose_json", telling(*segments, **more)))


def cues(text):
    """Return start, end (ms) and text of each cue of an SRT or WebVTT file."""
    found = []
    for block in text.removeprefix("WEBVTT\n\n").strip().split("\n\n"):
        lines = block.split("\n")
        if lines[0].isdigit():
            assert int(lines.pop(0)) == len(found) + 1
        times = [int(part) for part in CUE.fullmatch(lines[0]).groups()]
        start, end = (h * 3_600_000 + m * 60_000 + s * 1000 + ms for h, m, s, ms in
                      (times[:4], times[4:]))  # fmt: skip
        found.append((start, end, " ".join(lines[1:])))
    return found


def events(*pieces):
    """Return the events of a stream, as a reader of the standard sees them."""
    parser = Parser()
    return [json.loads(heard.data) for piece in pieces for heard in parser.feed(piece)]


HELLO = segment("Hello there.", 100, [Word("Hello", 100, 400, 0.9), Word("there.", 500, 1000, 0.8)])
HELD_BACK = segment("Thanks for watching!", 1000, suppressed="no speech")
BYE = segment("“Bye.”", 1200, [Word("“Bye.”", 1200, 1500, 0.7)])


def test_json_is_the_text_and_what_was_used():
    assert json.loads(formats.write("json", telling(HELLO, HELD_BACK, BYE))) == {
        "text": "Hello there. “Bye.”",
        "usage": {"type": "duration", "seconds": 3},
    }


def test_text_is_one_line():
    said = formats.write("text", telling(HELLO, HELD_BACK, BYE)).decode()
    assert said == "Hello there. “Bye.”\n"


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_subtitles_are_plain_text_with_the_times_of_the_words(format):
    body = formats.write(format, telling(HELLO, HELD_BACK, BYE))
    assert body.startswith(b"WEBVTT\n\n") == (format == "vtt")
    assert cues(body.decode()) == [(100, 1000, "Hello there."), (1200, 1500, "“Bye.”")]


def test_verbose_json_has_ten_fields_a_segment_and_words_only_when_asked():
    told = verbose(HELLO, HELD_BACK, BYE)
    assert {key: told[key] for key in ("task", "language", "duration", "text", "model")} == {
        "task": "transcribe",
        "language": "english",
        "duration": 2.34,
        "text": "Hello there. “Bye.”",
        "model": WHISPER,
    }
    assert "words" not in told and "warning" not in told
    assert [list(one) for one in told["segments"]] == [TEN_FIELDS] * 2
    first = told["segments"][0]
    assert (first["id"], first["seek"], first["start"], first["end"]) == (0, 10, 0.1, 1.0)
    assert first["tokens"] == [ord(c) for c in " Hello there."]
    assert first["avg_logprob"] == pytest.approx(math.log(0.5), abs=1e-4)
    assert "".join(one["text"] for one in told["segments"]).strip() == told["text"]


def test_words_have_times_and_no_punctuation_round_them():
    told = verbose(HELLO, HELD_BACK, BYE, granularities=["word"])
    assert "segments" not in told
    assert told["words"] == [
        {"word": "Hello", "start": 0.1, "end": 0.4},
        {"word": "there", "start": 0.5, "end": 1.0},
        {"word": "Bye", "start": 1.2, "end": 1.5},
    ]
    assert formats.bare("don't") == "don't" and formats.bare("—") == "—"
    both = verbose(HELLO, granularities=["word", "segment"])
    assert len(both["segments"]) == 1 and len(both["words"]) == 2


def test_silence_is_an_empty_text_in_every_format():
    told = verbose(language=None, granularities=["word", "segment"])
    assert (told["text"], told["language"], told["segments"], told["words"]) == (
        "", "unknown", [], [],
    )  # fmt: skip
    assert verbose(language=None, asked="de")["language"] == "german"
    bodies = {kind: formats.write(kind, telling(language=None)) for kind in ("text", "srt")}
    assert bodies == {"text": b"\n", "srt": b""}


def test_what_the_reader_must_know_is_told_where_there_is_room():
    for format in ("json", "verbose_json"):
        body = formats.write(format, telling(HELLO, warning="the file ends too early"))
        assert json.loads(body)["warning"] == "the file ends too early"


def test_a_translation_is_english_whatever_was_spoken():
    told = verbose(HELLO, language="de", task=formats.TRANSLATE)
    assert (told["task"], told["language"]) == ("translate", "english")


def test_a_segment_without_any_probability_is_still_a_number():
    told = verbose(segment("Hm.", confidence=0.0))
    assert told["segments"][0]["avg_logprob"] < -5


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=5))
def test_deltas_one_behind_the_other_are_the_text_of_the_end(texts):
    spoken = [segment(text) for text in texts]
    told = telling(*spoken)
    pieces = [formats.delta(one, first=number == 0) for number, one in enumerate(spoken)]
    *deltas, done = events(*pieces, formats.done(told))
    assert {event["type"] for event in deltas} <= {"transcript.text.delta"}
    assert done["type"] == "transcript.text.done"
    assert "".join(event["delta"] for event in deltas) == done["text"]
    used = done["usage"]
    assert used["type"] == "tokens"
    assert used["input_tokens"] + used["output_tokens"] == used["total_tokens"]


def test_every_language_of_whisper_has_an_english_name():
    assert languages.NAMES.keys() == set(_LANGUAGE_CODES)
    assert [languages.name_of(code) for code in ("en", "ht", "zh", "yue", None)] == [
        "english", "haitian creole", "chinese", "cantonese", "unknown",
    ]  # fmt: skip


def test_without_wishes_it_is_json_in_one_piece():
    asked = wishes.parse({"model": ["gpt-4o-transcribe"]})
    assert asked == wishes.Wishes(None, (), "json", frozenset({"segment"}), stream=False)


def test_wishes_are_taken_as_clients_send_them():
    asked = wishes.parse(
        {
            "model": ["whisper-1"],
            "language": ["pt-BR"],
            "prompt": [" Scribebox,\n<|endoftext|> Köln "],
            "keywords": ["Linz", " "],
            "response_format": ["verbose_json"],
            "timestamp_granularities": ["word", "segment"],
            "temperature": ["0.2"],
            "include": ["logprobs"],
            "chunking_strategy[type]": ["server_vad"],
            "stream": ["False"],
        }
    )
    assert asked.language == "pt"
    assert asked.hotwords == ("Scribebox, Köln", "Linz")
    assert asked.format == "verbose_json" and not asked.stream
    assert asked.granularities == {"word", "segment"}
    assert wishes.parse({"model": ["x"], "stream": ["true"], "language": [""]}).stream


def test_a_long_prompt_is_heard_from_its_end_and_in_whole_words():
    (prompt,) = wishes.parse({"model": ["x"], "prompt": ["word " * 400 + "last"]}).hotwords
    assert len(prompt) <= wishes.PROMPT_CHARACTERS
    assert set(prompt.split()) == {"word", "last"} and prompt.endswith("last")


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({}, "model", "whisper-1"),
        ({"model": [" "]}, "model", "missing"),
        ({"response_format": ["docx"]}, "response_format", "json, text, srt, verbose_json, vtt"),
        ({"response_format": ["diarized_json"]}, "response_format", "speakers"),
        ({"response_format": ["srt"], "stream": ["true"]}, "response_format", "json or text"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities", "verbose_json"),
        (
            {"timestamp_granularities": ["syllable"], "response_format": ["verbose_json"]},
            "timestamp_granularities",
            "word or segment",
        ),
        ({"language": ["english please"]}, "language", "ISO 639-1"),
        ({"stream": ["perhaps"]}, "stream", "true or false"),
        ({"keywords": ["x" * 101]}, "keywords", "100 characters"),
        ({"keywords": ["x"] * 101}, "keywords", "100 at most"),
    ],
)
def test_a_wish_that_can_not_be_is_refused_by_name_and_with_what_there_is(fields, param, message):
    if param != "model":
        fields = {"model": ["whisper-1"], **fields}
    with pytest.raises(InvalidField, match=message) as raised:
        wishes.parse(fields)
    assert raised.value.param == param


def form_of(*parts, boundary="x"):
    """Return a body; a part without a name is the file."""
    body = b""
    for name, text in parts:
        told = f'name="{name}"' + ('; filename="a.wav"' if name == "file" else "")
        body += f"--{boundary}\r\nContent-Disposition: form-data; {told}\r\n\r\n".encode()
        body += text + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_form_is_read_in_any_order_and_in_any_pieces(size):
    audio = bytes(range(256)) * 5 + b"\r\n--y"
    before = (("timestamp_granularities[]", b"word"), ("model", b"whisper-1"))
    after = (("timestamp_granularities[]", b"segment"), ("prompt", "Köln".encode()))
    body, form = form_of(*before, ("file", audio), *after), Form("x")
    got = b"".join(form.feed(body[at : at + size]) for at in range(0, len(body), size))
    form.finish()
    assert got == audio and form.feed(b"more") == b""
    assert form.fields == {
        "timestamp_granularities": ["word", "segment"],
        "model": ["whisper-1"],
        "prompt": ["Köln"],
    }


@pytest.mark.parametrize(
    "body",
    [
        b"not a form at all",
        form_of(("file", b"abc"))[:-8],
        form_of(("file", b"abc"), ("file", b"abc")),
        form_of(("prompt", b"x" * (MAX_TEXT_BYTES + 1))),
        form_of(*[("include[]", b"")] * (MAX_PARTS + 1)),
    ],
)
def test_a_form_that_is_cut_short_or_too_much_is_refused(body):
    form = Form("x")
    with pytest.raises((InvalidField, MultipartError)):
        form.feed(body)
        form.finish()


@pytest.mark.parametrize(
    ("error", "status", "kind", "param", "code"),
    [
        (InvalidField("no", "prompt"), 400, "invalid_request_error", "prompt", None),
        (AudioUnreadable("no audio"), 400, "invalid_request_error", "file", None),
        (LanguageUnsupported("no"), 400, "invalid_request_error", "language", None),
        (HTTPException(status_code=401), 401, "invalid_request_error", None, "invalid_api_key"),
        (TooLarge("no"), 413, "invalid_request_error", "file", None),
        (Busy("no", 3.2), 429, "rate_limit_error", None, "rate_limit_exceeded"),
        (RuntimeError("private"), 500, "server_error", None, None),
        (ModelUnavailable("no"), 503, "server_error", None, None),
        (NoRoom("no"), 507, "server_error", None, None),
    ],
)
def test_every_failure_has_openais_shape(error, status, kind, param, code):
    told = refused(None, error)
    failure = json.loads(told.content)["error"]
    assert (told.status_code, failure["type"], failure["param"], failure["code"]) == (
        status, kind, param, code,
    )  # fmt: skip
    assert failure["message"] and "private" not in failure["message"]
    if status == 429:
        assert told.headers["Retry-After"] == "4"
    if status in (503, 507):  # whoever tries again sends the whole file again, in vain
        assert told.headers["x-should-retry"] == "false"
