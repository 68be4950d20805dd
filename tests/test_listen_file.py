"""`POST /v1/listen` does for files what Deepgram's clients expect, whatever they send and how."""

import contextlib
import hashlib
import json
import socket
import threading
import uuid
from datetime import datetime
from urllib.parse import urlsplit

import av
import httpx
import numpy as np
import pytest
from deepgram import DeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from deepgram.types.listen_v1response import ListenV1Response
from event_source import ServedBox
from speech_fixtures import encode, fixture, hiss, words_wrong, write_wav
from sqlmodel import select

from api import padding, unread
from api.listen import body
from api.listen.options import Options
from appliance.direct import Direct, Passing
from appliance.settings import Settings
from appliance.store import accounts, keys, vocabulary
from appliance.store.entities import Job, SessionRow
from engine.audio import read
from engine.errors import EngineError

WAIT_S = 60
DICTATION, MEETING = fixture("dictation"), fixture("meeting")
SOUND = DICTATION.path.read_bytes()
OF_THE_SDK = pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning")
CORRUPT = "Bad Request: failed to process audio: corrupt or unsupported data"


class ListeningBox(ServedBox):
    """A box with tiny.en behind a real server."""

    def __init__(self, folder):
        super().__init__(Settings(data_dir=folder, model="tiny.en", port=0))
        self.parts = self.application.state.box
        self.parts.worker.model(WAIT_S)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Run one box for all tests that leave it as it was."""
    box = ListeningBox(tmp_path_factory.mktemp("box"))
    yield box
    box.stop()


@pytest.fixture(autouse=True)
def nothing_is_left(served):
    """Check after each test that no file is left and every place is free."""
    yield
    direct = served.parts.direct
    with contextlib.ExitStack() as places:
        for _ in range(direct.most):
            places.enter_context(direct.enter())
    assert list(direct.audio.path.iterdir()) == []


def key_of(served, *scopes):
    """Make a key."""
    with served.database.write() as session:
        owner = accounts.named(session, accounts.DEFAULT)
        return keys.create(session, owner, "test", list(scopes))[1]


@pytest.fixture(scope="module")
def key(served):
    return key_of(served, "listen")


@pytest.fixture
def ask(served, key):
    """Send a body as it is; the client adds nothing of its own."""
    with httpx.Client(base_url=served.url, timeout=WAIT_S, trust_env=False) as client:

        def ask(content=SOUND, query="", credential=f"Token {key}", **headers):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            headers = {"Authorization": credential, **named} if credential else named
            return client.post(f"/v1/listen?{query}", content=content, headers=headers)

        yield ask


def best_of(answer, channel=0):
    """Return the alternative of a channel, once the answer is checked to be one."""
    assert answer.status_code == 200, answer.text
    (best,) = answer.json()["results"]["channels"][channel]["alternatives"]
    return best


def was_understood(answer, speech=DICTATION):
    """Check that the text is the one that was said."""
    text = best_of(answer)["transcript"]
    assert words_wrong(speech.text, text) <= 2, text


def was_refused(answer, status, code, message=None):
    """Check a refusal in Deepgram's form."""
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert list(told) == ["err_code", "err_msg", "request_id"]
    assert told["err_code"] == code
    assert answer.headers["dg-request-id"] == told["request_id"]
    assert answer.headers["dg-error"]
    assert message is None or message in told["err_msg"]
    return told


def test_the_answer_is_whole_and_says_the_truth_about_the_model(ask):
    answer = ask(query="model=nova-3&tag=a&tag=b&extra=room:12&no_delay=true&what=ever")
    best = best_of(answer)
    told = answer.json()
    ListenV1Response.model_validate(told)
    metadata = told["metadata"]
    assert answer.headers["dg-request-id"] == metadata.pop("request_id")
    created = metadata.pop("created")
    assert created.endswith("Z") and datetime.fromisoformat(created).tzinfo is not None
    (model,) = metadata.pop("models")
    assert str(uuid.UUID(model)) == model
    described = metadata.pop("model_info")[model]
    assert (described["name"], described["arch"]) == ("whisper-tiny.en", "whisper")
    assert metadata.pop("duration") == pytest.approx(DICTATION.seconds, abs=0.1)
    assert metadata == {
        "transaction_key": "deprecated",
        "sha256": hashlib.sha256(SOUND).hexdigest(),
        "channels": 1,
        "tags": ["a", "b"],
        "extra": {"room": "12"},
    }
    assert list(told["results"]) == ["channels"]  # nothing that wasn't asked for
    assert list(told["results"]["channels"][0]) == ["alternatives"]
    assert list(best) == ["transcript", "confidence", "words"]
    assert 0.5 < best["confidence"] <= 1
    assert best["transcript"] == best["transcript"].lower()
    for word in best["words"]:
        assert list(word) == ["word", "start", "end", "confidence"]
        assert 0 <= word["start"] <= word["end"] <= DICTATION.seconds + 0.1


@pytest.mark.parametrize(
    "kind", [None, "application/octet-stream", "deepgram/audio+video", "multipart/form-data", "?"]
)
def test_the_content_type_does_not_count(ask, kind):
    was_understood(ask(**({} if kind is None else {"Content_Type": kind})))


def test_a_body_may_come_in_chunks_without_a_length(ask):
    answer = ask(SOUND[at : at + 1000] for at in range(0, len(SOUND), 1000))
    assert answer.request.headers["Transfer-Encoding"] == "chunked"
    was_understood(answer)
    assert answer.json()["metadata"]["sha256"] == hashlib.sha256(SOUND).hexdigest()


@pytest.mark.parametrize(
    ("kind", "codec"), [("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("ogg", "libopus"),
                        ("webm", "libopus"), ("ipod", "aac")],
)  # fmt: skip
def test_any_container_will_do(ask, tmp_path, kind, codec):
    path = encode(tmp_path / "x", kind, codec, read(DICTATION.path))
    was_understood(ask(path.read_bytes()))


def test_more_than_ten_megabytes_are_taken(ask, tmp_path):
    silence = np.zeros(330 * 16_000, np.int16)
    sound = write_wav(tmp_path / "x.wav", np.concatenate([read(DICTATION.path), silence]))
    assert sound.stat().st_size > 10_000_000
    was_understood(ask(sound.read_bytes()))


def test_silence_is_one_empty_alternative(ask, tmp_path):
    path = write_wav(tmp_path / "x.wav", hiss(2))
    answer = ask(path.read_bytes(), "smart_format=true&utterances=true&detect_language=true")
    paragraphs = {"transcript": "", "paragraphs": []}
    empty = {"transcript": "", "confidence": 0.0, "words": [], "paragraphs": paragraphs}
    assert answer.json()["results"] == {"channels": [{"alternatives": [empty]}], "utterances": []}
    ListenV1Response.model_validate(answer.json())


@pytest.mark.parametrize("query", ["paragraphs=true&utterances=true", "smart_format=true"])
def test_utterances_and_paragraphs_come_when_they_are_asked_for(ask, query):
    answer = ask(MEETING.path.read_bytes(), f"{query}&detect_language=true")
    was_understood(answer, MEETING)
    best, results = best_of(answer), answer.json()["results"]
    assert results["channels"][0]["detected_language"] == "en"
    assert all(word["punctuated_word"].strip(".,?!").lower() for word in best["words"])
    told = best["paragraphs"]
    assert len(told["paragraphs"]) >= 2  # there is a pause of 2.5 s
    assert " ".join(told["transcript"].split()) == best["transcript"]
    assert told["transcript"].startswith("\n") and "\n\n" in told["transcript"]
    assert sum(paragraph["num_words"] for paragraph in told["paragraphs"]) == len(best["words"])
    sentences = [s["text"] for paragraph in told["paragraphs"] for s in paragraph["sentences"]]
    assert " ".join(sentences) == best["transcript"]
    assert ("utterances" in results) == ("utterances" in query)
    if "utterances" in results:
        said = results["utterances"]
        assert [word for u in said for word in u["words"]] == best["words"]
        assert " ".join(u["transcript"] for u in said) == best["transcript"]
        assert all(u["start"] <= u["end"] and u["channel"] == 0 for u in said)
    ListenV1Response.model_validate(answer.json())


def test_each_channel_is_told_by_itself(ask, tmp_path):
    left, right = read(DICTATION.path), read(MEETING.path)
    left = np.pad(left, (0, len(right) - len(left)))
    path = write_wav(tmp_path / "x.wav", left, right)
    answer = ask(path.read_bytes(), "multichannel=true&utterances=true&punctuate=true")
    told = answer.json()
    assert told["metadata"]["channels"] == len(told["results"]["channels"]) == 2
    for number, speech in enumerate((DICTATION, MEETING)):
        assert words_wrong(speech.text, best_of(answer, number)["transcript"]) <= 2
    starts = [u["start"] for u in told["results"]["utterances"]]
    assert starts == sorted(starts)
    assert {u["channel"] for u in told["results"]["utterances"]} == {0, 1}
    ListenV1Response.model_validate(told)


def raw_of(encoding, samples):
    """Return samples without a header."""
    if encoding == "linear16":
        return samples.tobytes()
    if encoding == "linear32":
        return (samples / 32768).astype("<f4").tobytes()
    codec = av.CodecContext.create({"mulaw": "pcm_mulaw", "alaw": "pcm_alaw"}[encoding], "w")
    codec.sample_rate, codec.layout, codec.format = 16_000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = 16_000
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


@pytest.mark.parametrize("encoding", ["linear16", "linear32", "mulaw", "alaw"])
def test_raw_samples_are_read_as_the_query_says(ask, encoding):
    content = raw_of(encoding, read(DICTATION.path))
    answer = ask(content, f"encoding={encoding}&sample_rate=16000")
    was_understood(answer)
    metadata = answer.json()["metadata"]
    assert metadata["sha256"] == hashlib.sha256(content).hexdigest()
    assert metadata["duration"] == pytest.approx(DICTATION.seconds, abs=0.1)


def test_raw_samples_of_two_channels_come_apart(ask):
    sound = read(DICTATION.path)
    content = np.stack([np.zeros_like(sound), sound], axis=1).tobytes()
    query = "encoding=linear16&sample_rate=16000&channels=2&multichannel=true"
    answer = ask(content, query)
    assert best_of(answer, 0)["transcript"] == ""
    assert words_wrong(DICTATION.text, best_of(answer, 1)["transcript"]) <= 2


def test_a_container_is_one_whatever_the_query_says_of_its_encoding(ask):
    was_understood(ask(query="encoding=linear16&sample_rate=8000"))
    was_refused(
        ask(b"\0" * 999, "encoding=linear16"), 400, "INVALID_QUERY_PARAMETER", "sample_rate"
    )


def test_what_is_no_sound_is_refused_in_deepgrams_words(ask):
    for content in (b"", b"garbage " * 1000, b"RIFF", b'{"url": "https://example.com/a.wav"}'):
        was_refused(ask(content), 400, "Bad Request", CORRUPT)


def test_an_address_is_not_fetched_and_other_json_is_no_sound(ask):
    json_kind = {"Content_Type": "application/json; charset=utf-8"}
    wanted = b'{"url": "http://127.0.0.1:1/a.wav"}'
    was_refused(ask(wanted, **json_kind), 400, "REMOTE_CONTENT_ERROR", "send the bytes")
    for content in (b"{}", b"", b"[" * 100_000, SOUND):
        was_refused(ask(content, **json_kind), 400, "Bad Request", CORRUPT)


@pytest.mark.parametrize(
    ("query", "named"),
    [("redact=pci", "redact"), ("callback=http://127.0.0.1", "callback"), ("language=de", "'de'"),
     ("language=tlh", "'tlh'"), ("utt_split=x", "utt_split"), ("punctuate=maybe", "punctuate")],
)  # fmt: skip
def test_what_can_not_be_done_is_refused_before_the_body(ask, query, named):
    was_refused(ask(query=query), 400, "INVALID_QUERY_PARAMETER", named)


def test_the_language_is_the_clients_then_the_settings_then_english():
    assert Options().language_for(None) == "en"
    assert Options().language_for("de") == "de"
    assert Options(language="fr", language_given=True).language_for("de") == "fr"
    assert Options(language=None, language_given=True, multilingual=True).language_for("de") is None
    assert Options(language_given=True, detect_language=True).language_for("de") is None


def test_the_engine_is_told_the_terms_of_the_query_and_of_the_account(ask, served, monkeypatch):
    with served.database.write() as session:
        owner = accounts.named(session, accounts.DEFAULT)
        vocabulary.put(session, owner.id, ["Scribebox", "Köln"], [])
    told, worker = [], served.parts.worker
    submit = worker.submit

    def noting(samples, request, priority):
        told.append(request)
        return submit(samples, request, priority)

    monkeypatch.setattr(worker, "submit", noting)
    was_understood(
        ask(query="keyterm=finance+team&keyterm=K%C3%B6ln&keywords=lunch:2&language=en-GB")
    )
    assert {request.hotwords for request in told} == {
        ("finance team", "Köln", "lunch", "Scribebox")
    }
    assert {request.language for request in told} == {"en"}


def test_a_key_or_a_token_opens_it_under_either_name_and_nothing_else_does(ask, served, key):
    grant = httpx.post(
        f"{served.url}/v1/auth/grant",
        headers={"Authorization": f"Token {key}"},
        timeout=WAIT_S,
        trust_env=False,
    )
    token = grant.json()["access_token"]
    for credential in (f"token {key}", f"Bearer {key}", f"bearer {token}", f"Token {token}"):
        was_refused(ask(b"", credential=credential), 400, "Bad Request")  # so it may send sound
    was_refused(ask(credential=None), 401, "INVALID_AUTH", "Invalid credentials.")
    other = key_of(served, "sessions:write")
    was_refused(ask(credential=f"Token {other}"), 403, "INSUFFICIENT_PERMISSIONS")
    was_refused(ask(credential="Token wrong"), 401, "INVALID_AUTH", "Invalid credentials.")
    slowed = ask(credential=f"Bearer {token}x")
    was_refused(slowed, 429, "TOO_MANY_REQUESTS")
    assert int(slowed.headers["Retry-After"]) >= 1
    was_understood(ask(credential=f"Bearer {token}"))


@contextlib.contextmanager
def connected(served, key, *headers):
    """Send the head of a request by hand; what follows is up to the test."""
    where = urlsplit(served.url)
    lines = ("POST /v1/listen HTTP/1.1", f"Host: {where.netloc}", f"Authorization: Token {key}")
    with socket.create_connection((where.hostname, where.port), WAIT_S) as client:
        client.sendall("".join(f"{line}\r\n" for line in (*lines, *headers, "")).encode())
        yield client


def everything(client):
    """Return what comes until the connection is closed."""
    said = b""
    while piece := client.recv(1 << 16):
        said += piece
    return said


def test_when_all_places_are_taken_it_says_so_before_the_body_is_read(
    ask, served, key, monkeypatch
):
    monkeypatch.setattr(unread, "LINGER_S", 0.2)
    direct = served.parts.direct
    with contextlib.ExitStack() as places:
        for _ in range(direct.most):
            places.enter_context(direct.enter())
        with connected(served, key, "Content-Length: 100000000") as client:  # and not one byte
            head, _, told = everything(client).partition(b"\r\n\r\n")
        sent = ask()  # with all of its body at once
    assert head.startswith(b"HTTP/1.1 429 ")
    assert b"retry-after: 10" in head.lower() and b"connection: close" in head.lower()
    assert json.loads(told)["err_code"] == "TOO_MANY_REQUESTS"
    was_refused(sent, 429, "TOO_MANY_REQUESTS", "Too many requests. Please try again later")
    was_understood(ask())


def test_what_is_too_large_is_refused_by_its_length_and_by_its_bytes(ask, served, monkeypatch):
    monkeypatch.setattr(served.parts.direct.audio, "limit_bytes", 1000)
    was_refused(ask(), 413, "PAYLOAD_TOO_LARGE", "upload_limit_bytes")
    chunked = ask(SOUND[at : at + 500] for at in range(0, len(SOUND), 500))
    was_refused(chunked, 413, "PAYLOAD_TOO_LARGE", "upload_limit_bytes")


def test_a_disk_too_full_is_told(ask, served, monkeypatch):
    monkeypatch.setattr(served.parts.direct.audio, "reserve_bytes", 1 << 60)
    was_refused(ask(), 507, "INSUFFICIENT_STORAGE", "make room")


def test_a_client_that_stops_sending_loses_its_place(served, key, monkeypatch):
    monkeypatch.setattr(body, "STALL_S", 0.5)
    monkeypatch.setattr(unread, "LINGER_S", 0.05)
    with connected(served, key, "Content-Length: 1000") as client:
        client.sendall(b"x")
        head, _, told = everything(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(told)["err_code"] == "SLOW_UPLOAD"


def test_a_client_that_leaves_in_the_middle_of_the_body_leaves_nothing(served, key, monkeypatch):
    gone = when_let_go(monkeypatch)
    with connected(served, key, "Content-Length: 100000") as client:
        client.sendall(SOUND[:1000])
    assert gone.wait(WAIT_S)


def when_let_go(monkeypatch):
    """Return an event for when a received file is given up."""
    gone, leave = threading.Event(), Passing.__exit__

    def leaving(self, *raised):
        leave(self, *raised)
        gone.set()

    monkeypatch.setattr(Passing, "__exit__", leaving)
    return gone


class SlowEngine:
    """Have each file begin only when the test says so; `error` is how it ends then."""

    def __init__(self, monkeypatch, error=None):
        self.begun, self.go_on = threading.Event(), threading.Event()
        transcribe = Direct.transcribe

        def slow(direct, path, *, cancelled, **more):
            self.begun.set()
            while not self.go_on.wait(0.01) and not cancelled.is_set():
                pass
            if error is not None:
                raise error
            return transcribe(direct, path, cancelled=cancelled, **more)

        monkeypatch.setattr(Direct, "transcribe", slow)


@contextlib.contextmanager
def padded(served, key, monkeypatch):
    """Ask a box that pads at once; hand out the answer when its headers are there."""
    monkeypatch.setattr(padding, "PATIENCE_S", 0.0)
    monkeypatch.setattr(padding, "SPACE_EVERY_S", 0.01)
    with (
        httpx.Client(timeout=WAIT_S, trust_env=False) as client,
        client.stream(
            "POST", f"{served.url}/v1/listen", content=SOUND,
            headers={"Authorization": f"Token {key}"},
        ) as answer,
    ):  # fmt: skip
        yield answer


def test_a_slow_answer_begins_with_spaces_and_is_json(served, key, monkeypatch):
    engine = SlowEngine(monkeypatch)
    with padded(served, key, monkeypatch) as answer:
        pieces = answer.iter_raw()
        assert {next(pieces) for _ in range(3)} <= {b" ", b"  ", b"   "}
        engine.go_on.set()
        told = json.loads(b"".join(pieces))
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["dg-request-id"] == told["metadata"]["request_id"]
    assert (
        words_wrong(DICTATION.text, told["results"]["channels"][0]["alternatives"][0]["transcript"])
        <= 2
    )


def test_an_engine_that_fails_late_is_told_in_deepgrams_form(served, key, monkeypatch, caplog):
    engine = SlowEngine(monkeypatch, EngineError("the memory is full"))
    with padded(served, key, monkeypatch) as answer:
        pieces = answer.iter_raw()
        assert next(pieces)
        engine.go_on.set()
        told = json.loads(b"".join(pieces))
    assert answer.status_code == 200
    assert told["err_code"] == "INTERNAL_SERVER_ERROR" and "memory" not in told["err_msg"]
    assert "ends with an error: 500" in caplog.text


def test_a_client_that_leaves_ends_the_work(served, key, monkeypatch):
    engine, gone = SlowEngine(monkeypatch), when_let_go(monkeypatch)
    with connected(served, key, f"Content-Length: {len(SOUND)}") as client:
        client.sendall(SOUND)
        assert engine.begun.wait(WAIT_S)
    assert gone.wait(WAIT_S)
    assert not engine.go_on.is_set()


@pytest.mark.parametrize("patience_s", [WAIT_S, 0.0])
def test_a_box_that_stops_tells_those_who_wait(tmp_path, monkeypatch, patience_s):
    monkeypatch.setattr(padding, "PATIENCE_S", patience_s)
    engine = SlowEngine(monkeypatch)
    box = ListeningBox(tmp_path)
    answers = []

    def wait() -> None:
        headers = {"Authorization": f"Token {key_of(box, 'listen')}"}
        answers.append(
            httpx.post(
                f"{box.url}/v1/listen", content=SOUND, headers=headers, timeout=WAIT_S,
                trust_env=False,
            )
        )  # fmt: skip

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert engine.begun.wait(WAIT_S)
    box.stop()
    waiting.join(WAIT_S)
    (answer,) = answers
    assert answer.status_code == (503 if patience_s else 200)
    assert answer.json()["err_code"] == "SERVICE_UNAVAILABLE"
    assert "stopping" in answer.json()["err_msg"]
    assert list((tmp_path / "direct").iterdir()) == []


def test_nothing_of_it_is_stored(ask, served):
    def stored():
        with served.database.read() as session:
            return [len(session.exec(select(kind)).all()) for kind in (SessionRow, Job)]

    before, files = stored(), set(served.parts.folder.audio.iterdir())
    was_understood(ask())
    assert (stored(), set(served.parts.folder.audio.iterdir())) == (before, files)


@contextlib.contextmanager
def sdk(served, key, timeout_s=WAIT_S):
    """Point Deepgram's client at the box; hand out what sends files."""
    live = served.url.replace("http", "ws", 1)
    environment = DeepgramClientEnvironment(
        base=served.url, production=live, agent=live, agent_rest=served.url
    )
    with httpx.Client(timeout=timeout_s, trust_env=False) as client:
        deepgram = DeepgramClient(environment=environment, api_key=key, httpx_client=client)
        yield deepgram.listen.v1.media


@OF_THE_SDK
def test_deepgrams_sdk_reads_every_field(served, key):
    with sdk(served, key) as media:
        answer = media.transcribe_file(
            request=SOUND, model="nova-3", smart_format=True, utterances=True, detect_language=True
        )
    (channel,) = answer.results.channels
    (best,) = channel.alternatives
    assert words_wrong(DICTATION.text, best.transcript) <= 2
    assert best.words[0].punctuated_word and best.paragraphs.paragraphs[0].sentences[0].text
    assert answer.results.utterances[0].words[0].word == best.words[0].word
    assert channel.detected_language == "en"
    assert answer.metadata.duration == pytest.approx(DICTATION.seconds, abs=0.1)


@OF_THE_SDK
@pytest.mark.long
def test_an_sdk_whose_patience_is_two_seconds_waits_six_for_its_answer(served, key, monkeypatch):
    monkeypatch.setattr(padding, "PATIENCE_S", 0.2)
    transcribe = Direct.transcribe

    def slow(direct, path, *, cancelled, **more):
        assert not cancelled.wait(6)
        return transcribe(direct, path, cancelled=cancelled, **more)

    monkeypatch.setattr(Direct, "transcribe", slow)
    with sdk(served, key, timeout_s=2) as media:
        answer = media.transcribe_file(request=SOUND)
    assert words_wrong(DICTATION.text, answer.results.channels[0].alternatives[0].transcript) <= 2
