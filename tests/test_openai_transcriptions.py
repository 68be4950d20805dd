"""`/v1/audio/*` through a real server with real models: each format read by a parser of it."""

import contextlib
import json
import re
import socket
import threading
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import urlsplit

import httpx
import pytest
from box_client import bearer, box_of, key
from event_source import Parser, ServedBox
from speech_fixtures import SPEECH, fixture, hiss, words_of, words_wrong, write_wav
from virtual_microphone import wait_until

from api.openai import answering, form
from appliance.direct import Direct
from appliance.errors import Busy
from appliance.settings import Settings
from engine.errors import EngineError
from engine.transcription import FileTranscription

WAIT_S = 120
PATH, TRANSLATIONS = "/v1/audio/transcriptions", "/v1/audio/translations"
DICTATION = (SPEECH / "dictation.flac").read_bytes()
ARROW = re.compile(r"(\d\d):(\d\d):(\d\d)([.,])(\d{3}) --> (\d\d):(\d\d):(\d\d)[.,](\d{3})")


@contextlib.contextmanager
def serving(data, model, models=None):
    """Run a box behind a real server in this process; yield a client with a key for it."""
    if models is not None:
        (data / "models").symlink_to(models)
    box = ServedBox(Settings(data_dir=data, model=model, port=0))
    try:
        box.application.state.box.worker.model(WAIT_S)
        with httpx.Client(base_url=box.url, timeout=WAIT_S, trust_env=False) as client:
            client.application, client.box = box.application, box
            client.headers.update(bearer(client, "listen"))
            yield client
    finally:
        if box.application.state.box.worker.alive:
            box.stop()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Return a client of a box with tiny.en."""
    with serving(tmp_path_factory.mktemp("box"), "tiny.en") as client:
        yield client


@pytest.fixture
def idle(client):
    """Return the same, and see that the test leaves no file and no place taken."""
    yield client
    left_alone(client)


@pytest.fixture
def noise(tmp_path):
    """Return a file in which nobody speaks."""
    return write_wav(tmp_path / "hiss.wav", hiss(1)).read_bytes()


def left_alone(client):
    """Wait until nobody is served any more and nothing is left of it."""
    direct = box_of(client).direct

    def all_free():
        with contextlib.ExitStack() as places, contextlib.suppress(Busy):
            for _ in range(direct.most):
                places.enter_context(direct.enter())
            return True
        return False

    wait_until(all_free, "end of what was asked for", WAIT_S)
    assert list(direct.audio.path.iterdir()) == []


def ask(client, audio=DICTATION, path=PATH, **fields):
    """Send a file as OpenAI's clients do: fields, then the file."""
    texts = {"model": "whisper-1", **fields}
    return client.post(path, data=texts, files={"file": ("a.flac", audio, "audio/flac")})


def failure(answer, status, param=None):
    """Return the message of a refusal in OpenAI's shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["param"] == param
    return error["message"]


def heard_right(text, name="dictation"):
    return words_wrong(fixture(name).text, text) <= 1


def cues(text, point):
    """Return the cues of a subtitle file: start and end in ms, and the text."""
    found = []
    for block in text.strip().split("\n\n"):
        lines = block.split("\n")
        arrow = ARROW.fullmatch(lines[0])
        assert arrow and arrow[4] == point, block
        numbers = [int(part) for part in arrow.groups() if part != point]
        start, end = (
            ((h * 60 + m) * 60 + s) * 1000 + ms for h, m, s, ms in (numbers[:4], numbers[4:])
        )
        assert 0 <= start < end and lines[1:], block
        found.append((start, end, " ".join(lines[1:])))
    assert all(before[1] <= after[0] for before, after in pairwise(found))
    return found


def test_json_has_the_text_and_the_model_that_really_listened(idle):
    answer = ask(idle, model="gpt-4o-transcribe")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-scribebox-model"] == "whisper-tiny.en"
    told = answer.json()
    assert heard_right(told["text"])
    assert told["usage"] == {"type": "duration", "seconds": 6}


def test_text_is_plain(idle):
    answer = ask(idle, response_format="text")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-scribebox-model"] == "whisper-tiny.en"
    assert heard_right(answer.text) and answer.text.count("\n") == 1


def test_srt_and_vtt_are_cues_in_order_that_say_it_all(idle):
    srt = ask(idle, response_format="srt").text
    numbered = [block.split("\n", 1) for block in srt.strip().split("\n\n")]
    assert [number for number, _ in numbered] == [str(n) for n in range(1, len(numbered) + 1)]
    vtt = ask(idle, response_format="vtt").text
    assert vtt.startswith("WEBVTT\n\n")
    spoken = cues("\n\n".join(block for _, block in numbered), ",")
    assert spoken == cues(vtt.removeprefix("WEBVTT\n\n"), ".")
    assert len(spoken) > 1 and heard_right(" ".join(text for *_, text in spoken))


def test_verbose_json_has_whole_segments_and_words_when_asked(idle):
    told = ask(
        idle,
        response_format="verbose_json",
        language="en",
        prompt="The finance team and the contract.",
        temperature="0.2",
        **{"timestamp_granularities[]": ["word", "segment"], "include[]": "logprobs"},
    ).json()
    assert (told["task"], told["language"], told["model"]) == (
        "transcribe", "english", "whisper-tiny.en",
    )  # fmt: skip
    assert heard_right(told["text"])
    assert told["duration"] == pytest.approx(fixture("dictation").seconds, abs=0.1)
    for segment in told["segments"]:
        assert segment.keys() == {
            "id", "seek", "start", "end", "text", "tokens",
            "temperature", "avg_logprob", "compression_ratio", "no_speech_prob",
        }  # fmt: skip
        assert 0 <= segment["start"] < segment["end"] <= told["duration"]
        assert segment["tokens"] and segment["avg_logprob"] <= 0 < segment["compression_ratio"]
    assert "".join(segment["text"] for segment in told["segments"]).strip() == told["text"]
    assert [word["word"].lower() for word in told["words"]] == told["text"].lower().translate(
        str.maketrans("", "", ".,!?")
    ).split()
    assert all(word["start"] <= word["end"] for word in told["words"])


def test_granularities_need_no_brackets_and_segments_come_without_being_asked_for(idle):
    told = ask(idle, response_format="verbose_json").json()
    assert told["segments"] and "words" not in told
    words = ask(idle, response_format="verbose_json", timestamp_granularities="word").json()
    assert words["words"] and "segments" not in words


def streamed(client, **fields):
    """Ask for a stream; return its events, and what else stood there."""
    texts = {"model": "gpt-4o-mini-transcribe", "stream": "true", **fields}
    file = {"file": ("m.flac", (SPEECH / "long-pause.flac").read_bytes())}
    parser, events = Parser(), []
    with client.stream("POST", PATH, data=texts, files=file) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-scribebox-model"] == "whisper-tiny.en"
        for piece in answer.iter_raw():
            events += parser.feed(piece)
    return events


def test_a_stream_has_deltas_that_add_up_to_the_text_at_its_end(idle):
    *events, end = streamed(idle)
    assert end.data == "[DONE]"
    told = [json.loads(event.data) for event in events]
    assert [event.kind for event in events] == [content["type"] for content in told]
    *deltas, done = told
    assert len(deltas) > 1 and {d["type"] for d in deltas} == {"transcript.text.delta"}
    assert done["type"] == "transcript.text.done"
    assert "".join(delta["delta"] for delta in deltas) == done["text"]
    assert heard_right(done["text"], "long-pause")
    usage = done["usage"]
    assert usage["type"] == "tokens"
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_tokens"] >= len(words_of(done["text"]))


def test_what_fails_before_a_stream_begins_is_a_status(idle):
    assert "not an audio file" in failure(ask(idle, b"no audio", stream="true"), 400, "file")


def test_what_fails_after_a_stream_has_begun_is_an_event(idle, monkeypatch):
    run = FileTranscription.run

    def broken(transcription):
        run(transcription)
        raise EngineError("the GPU is gone")

    monkeypatch.setattr(FileTranscription, "run", broken)
    *deltas, last = streamed(idle)
    assert deltas and last.kind == "error"
    error = json.loads(last.data)["error"]
    assert error["type"] == "server_error" and "GPU" not in error["message"]


def test_a_stream_that_is_slow_to_begin_begins_all_the_same(idle, monkeypatch):
    monkeypatch.setattr(answering, "FIRST_S", 0.0)
    assert heard_right(json.loads(streamed(idle)[-2].data)["text"], "long-pause")


def test_the_file_may_come_before_the_fields_or_between_them(idle, noise):
    parts = [
        ("response_format", (None, "text")),
        ("model", (None, "whisper-1")),
        ("file", ("../../a.flac", noise)),
    ]
    for order in (parts, parts[::-1], [parts[0], parts[2], parts[1]]):
        answer = idle.post(PATH, files=order)
        assert (answer.status_code, answer.text) == (200, "\n")


def test_a_form_in_chunks_without_a_length_is_taken(idle):
    body = httpx.Request("POST", "http://x", data={"model": "x"}, files={"file": DICTATION})
    body.read()
    pieces = (body.content[at : at + 5000] for at in range(0, len(body.content), 5000))
    kind = {"Content-Type": body.headers["content-type"]}
    assert heard_right(idle.post(PATH, content=pieces, headers=kind).json()["text"])


def test_silence_is_an_empty_text(idle, noise):
    assert ask(idle, noise).json()["text"] == ""
    assert ask(idle, noise, response_format="text").text == "\n"
    told = ask(idle, noise, response_format="verbose_json").json()
    assert (told["text"], told["segments"]) == ("", [])


@pytest.mark.parametrize("format", ["json", "text", "verbose_json", "srt"])
def test_garbage_is_400_and_names_the_file(idle, format):
    message = failure(ask(idle, b"this is no audio" * 100, response_format=format), 400, "file")
    assert "not an audio file" in message and str(box_of(idle).folder.path) not in message


def test_a_form_without_a_file_or_a_model_is_400_and_says_which(idle):
    assert "missing or empty" in failure(ask(idle, b""), 400, "file")
    none = idle.post(PATH, files={"model": (None, "whisper-1")})
    assert "missing or empty" in failure(none, 400, "file")
    nameless = idle.post(PATH, files={"file": DICTATION})
    assert "any name will do" in failure(nameless, 400, "model")
    for answer in (idle.post(PATH, json={"model": "x"}), idle.post(PATH)):
        assert "multipart/form-data" in failure(answer, 400)
    torn = {"Content-Type": "multipart/form-data; boundary=x"}
    assert "can't be read" in failure(idle.post(PATH, content=b"--x\r\nC", headers=torn), 400)


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"response_format": "docx"}, "response_format", "verbose_json, vtt"),
        ({"response_format": "diarized_json"}, "response_format", "speakers"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities", "verbose_json"),
        ({"language": "de"}, "language", "'tiny.en' knows English only"),
        ({"language": "klingon!"}, "language", "ISO 639-1"),
    ],
)
def test_what_can_not_be_done_is_400_and_says_what_can(idle, fields, param, said):
    assert said in failure(ask(idle, **fields), 400, param)


def test_without_a_valid_key_or_the_scope_nothing_is_read(idle):
    idle.application.state.authenticator.attempts.failed = lambda _: 0.0
    answer = idle.post(PATH, headers={"Authorization": "Bearer sb_live_wrong"}, content=b"x")
    failure(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "listen" in failure(idle.post(PATH, headers=bearer(idle, "metrics")), 403)


def test_a_file_too_large_is_413_by_its_length_and_by_its_bytes(idle, monkeypatch):
    monkeypatch.setattr(box_of(idle).direct.audio, "limit_bytes", 1000)
    assert "upload_limit_bytes" in failure(ask(idle), 413, "file")
    body = httpx.Request("POST", "http://x", data={"model": "x"}, files={"file": DICTATION})
    kind = {"Content-Type": body.headers["content-type"]}
    failure(idle.post(PATH, content=iter([body.read()]), headers=kind), 413, "file")


def test_a_disk_too_full_is_507_and_not_to_be_tried_again(idle, monkeypatch):
    monkeypatch.setattr(box_of(idle).direct.audio, "reserve_bytes", 1 << 60)
    answer = ask(idle)
    failure(answer, 507)
    assert answer.headers["x-should-retry"] == "false"


def opened(client, length, path=PATH, **headers):
    """Open a connection and send the head of a request, but nothing of its body."""
    where = urlsplit(str(client.base_url))
    head = {
        "Host": where.netloc,
        "Authorization": client.headers["Authorization"],
        "Content-Type": "multipart/form-data; boundary=x",
        "Content-Length": str(length),
        **headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    connection = socket.create_connection((where.hostname, where.port), WAIT_S)
    connection.sendall(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode())
    return connection


def test_a_busy_box_says_so_before_the_file_is_sent(idle):
    direct = box_of(idle).direct
    with contextlib.ExitStack() as places:
        for _ in range(direct.most):
            places.enter_context(direct.enter())
        with opened(idle, 10_000_000) as connection, connection.makefile("rb") as answer:
            assert answer.readline().split()[1] == b"429"
            head = b"".join(iter(answer.readline, b"\r\n")).lower()
            assert int(re.search(rb"retry-after: (\d+)", head)[1]) >= 1
            length = int(re.search(rb"content-length: (\d+)", head)[1])
            assert json.loads(answer.read(length))["error"]["code"] == "rate_limit_exceeded"


def test_who_stops_sending_loses_the_place(idle, monkeypatch):
    monkeypatch.setattr(form, "STALL_S", 0.1)
    with opened(idle, 10_000_000) as connection, connection.makefile("rb") as answer:
        assert answer.readline().split()[1] == b"408"


def sent_whole(client, **fields):
    """Send a request whole over a connection of its own; return that."""
    texts = {"model": "x", **fields}
    request = httpx.Request("POST", "http://x", data=texts, files={"file": ("m", meeting())})
    body = request.read()
    connection = opened(client, len(body), **{"Content-Type": request.headers["content-type"]})
    connection.sendall(body)
    return connection


def meeting():
    return (SPEECH / "meeting.flac").read_bytes()


@dataclass
class HeldUp:
    """A transcription that goes no further until somebody cancels it."""

    begun: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def held_up(monkeypatch):
    """Hold up what comes over these routes; streams don't wait for its first words."""
    held, run, cancel = HeldUp(), FileTranscription.run, FileTranscription.cancel

    def begin(transcription):
        if transcription.path.parent.name != "direct":  # the welcome of a new box
            return run(transcription)
        held.begun.set()
        assert held.cancelled.wait(WAIT_S), "nobody told it to end"
        return run(transcription)

    def end(transcription):
        cancel(transcription)
        held.cancelled.set()

    monkeypatch.setattr(FileTranscription, "run", begin)
    monkeypatch.setattr(FileTranscription, "cancel", end)
    monkeypatch.setattr(answering, "FIRST_S", 0.0)
    return held


ONE_OF_EACH = [{"stream": "true"}, {"response_format": "text"}, {"response_format": "json"}]


@pytest.mark.parametrize("fields", ONE_OF_EACH)
def test_the_work_for_a_client_that_leaves_ends(idle, held_up, fields):
    with sent_whole(idle, **fields):
        assert held_up.begun.wait(WAIT_S)
    assert held_up.cancelled.wait(WAIT_S)


@pytest.mark.parametrize("fields", ONE_OF_EACH)
def test_a_box_that_stops_ends_what_it_is_at_and_says_so(tmp_path, held_up, fields):
    with serving(tmp_path, "tiny.en") as client, sent_whole(client, **fields) as connection:
        assert held_up.begun.wait(WAIT_S)
        answer = connection.recv(9) if "stream" in fields else b""
        client.box.stop()
        answer += b"".join(iter(lambda: connection.recv(65536), b""))
    if "stream" in fields:  # it was good until then, and now it ends
        assert answer.startswith(b"HTTP/1.1 200")
    else:
        assert answer.startswith(b"HTTP/1.1 503") and b"stopping" in answer
    assert held_up.cancelled.is_set()


def test_the_words_of_the_account_and_of_the_request_are_expected(idle, monkeypatch):
    seen = []
    transcribe = type(box_of(idle).direct).transcribe

    def watched(direct, path, **wishes):
        seen.append(wishes)
        return transcribe(direct, path, **wishes)

    monkeypatch.setattr(type(box_of(idle).direct), "transcribe", watched)
    headers = bearer(idle, "sessions:write")
    body = {"hotwords": ["Scribebox", "Linz"], "replacements": []}
    assert idle.put("/api/v1/vocabulary", json=body, headers=headers).status_code == 200
    assert ask(idle, prompt="Linz", language="EN").status_code == 200
    (wishes,) = seen
    assert wishes["hotwords"] == ("Linz", "Scribebox") and wishes["language"] == "en"
    idle.put("/api/v1/vocabulary", json={"hotwords": [], "replacements": []}, headers=headers)


def test_an_english_model_can_not_translate_and_says_which_can(idle):
    message = failure(ask(idle, path=TRANSLATIONS), 400, "model")
    assert "'tiny.en' can't translate" in message and "base" in message
    with opened(idle, 10_000_000, path=TRANSLATIONS) as connection:  # before the file is sent
        assert connection.recv(12).split()[1] == b"400"


def test_german_becomes_english(base, tmp_path):
    direct = Direct(base, tmp_path / "direct", 1 << 30, 0)
    heard = direct.transcribe(fixture("german").path, language=None, hotwords=(), translate=True)
    assert heard.transcript.language == "de"
    assert is_english(heard.transcript.text), heard.transcript.text
    assert all(segment.words for segment in heard.transcript.spoken)


def is_english(text):
    words = set(words_of(text))
    few = {"the", "and", "we", "is", "to", "of", "you"}
    return len(words & few) >= 2 and not words & {"und", "der", "wir", "ist", "nicht"}


@pytest.mark.long
def test_german_is_translated_and_transcribed(shelf, base, tmp_path):
    assert base.model(WAIT_S)
    german = fixture("german")
    with serving(tmp_path, "base", shelf.folder) as client:
        audio = german.path.read_bytes()
        told = ask(client, audio, TRANSLATIONS, response_format="verbose_json").json()
        assert (told["task"], told["language"], told["model"]) == (
            "translate", "english", "whisper-base",
        )  # fmt: skip
        assert is_english(told["text"]), told["text"]
        assert told["segments"] and "words" not in told
        text = ask(client, audio, TRANSLATIONS, response_format="text").text
        assert text == f"{told['text']}\n"
        said = ask(client, audio, response_format="verbose_json").json()
        assert (said["task"], said["language"]) == ("transcribe", "german")
        assert words_wrong(german.text, said["text"]) <= 2  # by the rounding of the processor
        unknown = failure(ask(client, audio, language="xx"), 400, "language")
        assert "Whisper does not know it" in unknown


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # of OpenAI's own
def test_openais_own_client_reads_every_format(idle):
    openai = pytest.importorskip("openai")
    _, plain = key(idle, "listen")
    with openai.OpenAI(
        base_url=f"{idle.base_url}/v1", api_key=plain, max_retries=0, timeout=WAIT_S
    ) as own:

        def ask_own(**more):
            return own.audio.transcriptions.create(
                file=("a.flac", DICTATION), model="whisper-1", **more
            )

        assert heard_right(ask_own().text)
        assert heard_right(ask_own(response_format="text"))
        assert ask_own(response_format="vtt").startswith("WEBVTT")
        assert ask_own(response_format="srt").startswith("1\n")
        verbose = ask_own(
            response_format="verbose_json", timestamp_granularities=["word", "segment"]
        )
        assert heard_right(verbose.text) and heard_right(" ".join(w.word for w in verbose.words))
        assert all(isinstance(segment.seek, int) for segment in verbose.segments)
        *deltas, done = ask_own(stream=True)
        assert "".join(event.delta for event in deltas) == done.text
        with pytest.raises(openai.BadRequestError, match="base"):
            own.audio.translations.create(file=("a.flac", DICTATION), model="whisper-1")
    with (
        openai.OpenAI(base_url=f"{idle.base_url}/v1", api_key="wrong", max_retries=0) as stranger,
        pytest.raises((openai.AuthenticationError, openai.RateLimitError)),
    ):
        stranger.audio.transcriptions.create(file=("a.flac", DICTATION), model="x")
