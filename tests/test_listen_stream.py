"""A real box and real clients of `WS /v1/listen`: who may come in, and what they are told."""

import contextlib
import json
import os
import threading

import httpx
import numpy as np
import pytest
from listen_client import (
    CONTAINER,
    EVERYTHING,
    LINEAR,
    broken_rules,
    cut,
    dial,
    dictate,
    transcript,
    words,
)
from listen_server import MARK, running_in, served
from speech_fixtures import encode, fixture, write_wav
from virtual_microphone import wait_until
from websockets.exceptions import InvalidStatus

from engine.audio import SAMPLE_RATE, read

MOST = 16  # streams at once
SENTENCE = "Please send the new contract to the finance team before lunch and keep a copy for us."
SESSION = ("x-deepgram-session-id", "7d0c4b62-7a0e-4c1f-8e0e-3a2b5d0f1c9a")
STEREO = {**EVERYTHING, "channels": "2", "multichannel": "true"}


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_in(tmp_path_factory.mktemp("box")) as found:
        yield found


@pytest.fixture(scope="module")
def speech():
    """Return a sentence of 5 s."""
    return read(fixture("dictation").path)


@pytest.fixture(scope="module")
def another():
    """Return as much of another voice."""
    return read(fixture("meeting").path)[: 5 * SAMPLE_RATE]


def refused(box, key, query=None, **more):
    """Return the answer to a handshake that does not open a stream."""
    with pytest.raises(InvalidStatus) as caught, dial(box.url, key, query, **more):
        raise AssertionError("it is open")
    return caught.value.response


def is_kept(told, code=1000, reason="", **query):
    """Check a whole stream against Deepgram's rules."""
    assert broken_rules(told, **query) == []
    assert (told.code, told.reason) == (code, reason)
    return told


def is_told(told, wanted, channel=0):
    """Check that the words are in the text."""
    text = told.text(channel).lower()
    assert all(word in text for word in wanted.split()), text


# --- who comes in


@pytest.mark.parametrize(
    ("header", "offered", "echoed"),
    [
        ("Token {key}", None, None),
        ("token {key}", None, None),
        ("Bearer {token}", None, None),
        ("bearer {token}", None, None),
        (None, ["token", "{key}"], "token"),
        (None, ["bearer", "{token}", *SESSION], "bearer"),
        (None, ["mine", "token", "{key}"], "token"),
        ("Token {key}", ["mine", "v2"], None),
    ],
)
def test_each_form_of_a_credential_opens_a_stream(box, header, offered, echoed):
    secrets = {"key": box.key, "token": box.token()}
    headers = {"Authorization": header.format(**secrets)} if header else {}
    offered = [name.format(**secrets) for name in offered] if offered else None
    with dial(box.url, None, LINEAR, additional_headers=headers, subprotocols=offered) as client:
        answer = client.socket.response.headers
        client.say("CloseStream")
        told = is_kept(client.rest(), **LINEAR)
    assert answer.get_all("Sec-WebSocket-Protocol") == ([echoed] if echoed else [])
    assert answer["dg-request-id"] == told.messages[-1]["request_id"]
    assert box.key not in str(answer)


@pytest.mark.parametrize(
    ("key", "query", "status", "code", "said"),
    [
        (None, {}, 401, "INVALID_AUTH", "Invalid credentials."),
        ("scopeless", {}, 403, "INSUFFICIENT_PERMISSIONS", "listen"),
        ("good", {"language": "de"}, 400, "INVALID_QUERY_PARAMETER", "'de'"),
        ("good", {"language": "\U0001f600"}, 400, "INVALID_QUERY_PARAMETER", "language"),
        ("good", {"encoding": "linear16"}, 400, "INVALID_QUERY_PARAMETER", "sample_rate"),
        ("good", {"encoding": "g729", "sample_rate": "8000"}, 400, "INVALID_QUERY_PARAMETER", "g7"),
        ("good", {"redact": "pci"}, 400, "INVALID_QUERY_PARAMETER", "redact"),
        ("good", {"callback": "http://x"}, 400, "INVALID_QUERY_PARAMETER", "callback"),
        ("good", {"interim_results": "maybe"}, 400, "INVALID_QUERY_PARAMETER", "maybe"),
    ],
)
def test_a_handshake_is_refused_with_its_status_and_why(box, key, query, status, code, said):
    keys = {None: lambda: None, "good": lambda: box.key}
    keys["scopeless"] = lambda: box.new_key("sessions:read")["key"]
    answer = refused(box, keys[key](), {**query, "tag": MARK})
    told = json.loads(answer.body)
    assert (answer.status_code, told["err_code"]) == (status, code)
    assert said in told["err_msg"] and answer.headers["dg-error"]
    assert answer.headers["dg-request-id"] == told["request_id"]


def test_wrong_keys_are_refused_and_after_a_while_slowed_down(box):
    answers = [refused(box, "sb_live_wrong") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [401, 429]
    told = json.loads(answers[1].body)
    assert told["err_code"] == "TOO_MANY_REQUESTS" and int(answers[1].headers["retry-after"]) >= 1
    assert refused(box, None).status_code == 401  # no key at all is no guess
    assert dictate(box.url, box.key).code == 1000


def test_a_stream_too_many_is_refused_until_another_has_ended(box):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(dial(box.url, box.key, LINEAR)) for _ in range(MOST)]
        answer = refused(box, box.key, LINEAR)
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
        assert json.loads(answer.body)["err_code"] == "TOO_MANY_REQUESTS"
        clients[3].say("CloseStream")
        assert clients[3].rest().code == 1000
        wait_until(lambda: comes_in(box, box.key), "a free place")
        for client in clients[:3] + clients[4:]:
            client.say("CloseStream")
            assert client.rest().code == 1000


def comes_in(box, key):
    """Tell whether a key opens a stream at this moment."""
    try:
        with dial(box.url, key, LINEAR):
            return True
    except InvalidStatus:
        return False


def test_a_name_that_is_not_the_boxs_opens_nothing(box):
    answer = httpx.get(
        f"{box.url}/v1/listen",
        headers={
            "Host": "evil.example", "Authorization": f"Token {box.key}",
            "Connection": "Upgrade", "Upgrade": "websocket",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13",
        },
        trust_env=False,
    )  # fmt: skip
    assert answer.status_code == 400 and "allowed_hosts" in answer.json()["detail"]


def test_who_does_not_ask_for_a_socket_is_told_so(box):
    answer = box.call("GET", "/v1/listen")
    assert answer.status_code == 405 and "POST" in answer.headers["allow"]


def test_a_handshake_that_is_too_long_is_answered(box):
    assert refused(box, box.key, {"keyterm": ["word" * 20] * 200}).status_code == 414
    long = {"Authorization": f"Token {box.key}", "X-Long": "x" * 9000}
    assert refused(box, None, additional_headers=long).status_code == 431


# --- what is told


@pytest.mark.long
def test_the_text_is_the_same_however_the_sound_was_cut(box, speech):
    raw, texts = speech.tobytes(), set()
    for pieces in ([raw], cut(raw, 32_000), cut(raw, 640), cut(raw, 641)):
        told = is_kept(dictate(box.url, box.key, *pieces, **EVERYTHING), **EVERYTHING)
        assert told.duration_s == pytest.approx(len(speech) / SAMPLE_RATE, abs=0.001)
        texts.add(told.text().replace(",", ""))
    assert texts == {SENTENCE}


def test_crumbs_of_one_byte_are_sound_too(box, speech):
    told = dictate(box.url, box.key, *cut(speech[:16_000].tobytes(), 1), **EVERYTHING)
    assert is_kept(told, **EVERYTHING).duration_s == 1
    assert told.text().lower().startswith("please send")


def test_nothing_is_told_that_was_not_asked_for(box, speech):
    told = is_kept(dictate(box.url, box.key, speech), **LINEAR)
    assert {message["type"] for message in told.messages} == {"Results", "Metadata"}
    assert told.results == told.finals
    assert told.text() == SENTENCE.lower().removesuffix(".")
    assert all("punctuated_word" not in word for one in told.finals for word in words(one))


def test_without_endpointing_nothing_but_finalize_ends_an_utterance(box, speech):
    query = {**EVERYTHING, "endpointing": "false"}
    with dial(box.url, box.key, query) as client:
        client.send(speech)
        client.say("Finalize")
        client.send(speech)
        client.say("CloseStream")
        told = is_kept(client.rest(), **query)
    assert [one for one in told.finals if one["speech_final"]] == told.flushed
    assert len(told.flushed) == 1


def test_what_the_client_sent_along_comes_back(box, speech):
    query = {**LINEAR, "extra": ["room:12", "floor:3"], "tag": MARK, "model": "nova-3"}
    told = is_kept(dictate(box.url, box.key, speech[:8000], **query), **LINEAR)
    for one in (*told.finals,):
        assert one["metadata"]["extra"] == {"room": "12", "floor": "3"}
        assert one["metadata"]["model_info"]["name"] == "whisper-tiny.en"
    last = told.messages[-1]
    assert last["extra"] == {"room": "12", "floor": "3"}
    assert last["models"] == [*last["model_info"]]


SCENARIOS = {
    "before any sound": ([], ["Finalize"], 1),
    "in the middle of a word": ([50_000], ["Finalize"], 1),
    "three in a row": ([100_000], ["Finalize"] * 3, 3),
    "after the last word": ([164_480], ["Finalize", "KeepAlive", "Finalize"], 2),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_finalize_is_answered_by_one_message(box, speech, scenario):
    lengths, commands, answers = SCENARIOS[scenario]
    at = lengths[0] if lengths else 0
    raw = speech.tobytes()
    with dial(box.url, box.key, EVERYTHING) as client:
        client.send(*cut(raw[:at], 3200))
        for command in commands:
            client.say(command)
        client.send(*cut(raw[at:], 3200))
        client.say("CloseStream")
        told = is_kept(client.rest(), **EVERYTHING)
    assert len(told.flushed) == answers
    first = told.flushed[0]
    assert first["start"] + first["duration"] == pytest.approx(at / 32_000, abs=0.07)
    assert (transcript(first) != "") == bool(0 < at < 164_480)
    assert told.duration_s == pytest.approx(len(speech) / SAMPLE_RATE, abs=0.001)


def test_finalize_is_answered_for_every_channel_or_the_one_it_names(box, speech, another):
    sound = np.stack([speech[: len(another)], another], axis=1).tobytes()
    with dial(box.url, box.key, STEREO) as client:
        client.say("Finalize")
        client.send(*cut(sound[:160_000], 6400))
        client.say("Finalize", channel=1)
        client.send(*cut(sound[160_000:], 6400))
        client.say("Finalize")
        client.say("Finalize", channel=9)
        client.say("CloseStream")
        told = is_kept(client.rest(), **STEREO)
    flushed = [one["channel_index"] for one in told.flushed]
    assert [flushed.count([number, 2]) for number in (0, 1)] == [3, 4]
    assert told.of("Metadata")[0]["channels"] == 2
    is_told(told, "contract finance", 0)
    is_told(told, "morning everyone joining", 1)


def test_configure_is_answered_by_one_message_and_nothing_else_is(box, speech):
    with dial(box.url, box.key, EVERYTHING) as client:
        client.send(speech)
        client.say("Configure", keyterms=["Scribebox", "\ud800"])
        client.say("Configure", keyterms=None)
        client.say("Configure", features={"numerals": True})
        client.say("Configure", keyterms="Scribebox")
        client.say("Configure", keyterms=["a" * 200])
        client.say("Configure", processors={"asr": {}})  # of an older protocol
        client.say("CloseStream")
        told = client.rest()
    answers = told.of("ConfigureSuccess", "ConfigureFailure")
    assert [one["type"][9:] for one in answers] == ["Success"] * 3 + ["Failure"] * 2
    assert answers[0]["keyterms"] == ["Scribebox"]
    assert all(isinstance(one["description"], str) for one in answers[3:])
    numbers = {one["request_id"] for one in answers}
    assert numbers == {told.messages[-1]["request_id"]}
    told.messages = [one for one in told.messages if one not in answers]
    is_kept(told, **EVERYTHING)


def test_text_that_means_nothing_is_passed_over(box, speech):
    nothing = ("", "{", "null", "[]", '{"type":7}', '{"type":"Unheard"}', "[" * 90_000, "\0")
    with dial(box.url, box.key, EVERYTHING) as client:
        for text in nothing:
            client.socket.send(text)
        client.send(speech)
        for text in nothing:
            client.socket.send(text)
        client.send(b'{"type":"KeepAlive"}')
        client.say("CloseStream")
        told = is_kept(client.rest(), **EVERYTHING)
    assert told.text().replace(",", "") == SENTENCE


def test_a_message_of_no_bytes_closes_as_older_clients_do(box, speech):
    told = dictate(box.url, box.key, speech, b"", **EVERYTHING)
    assert is_kept(told, **EVERYTHING).text().replace(",", "") == SENTENCE


@pytest.mark.parametrize(
    "sound",
    [os.urandom(60_000), b"RIFF" + os.urandom(50_000), b"\x1a\x45\xdf\xa3" * 5000, b"hello" * 99],
    ids=["noise", "half a wav", "half a webm", "text"],
)
def test_what_is_no_sound_ends_with_the_code_for_it(box, sound):
    told = dictate_container(box, sound)
    assert told.code == 1008 and told.reason.startswith("DATA-0000")
    assert broken_rules(told, **CONTAINER) == []
    assert len(told.reason.encode()) <= 123


def dictate_container(box, sound, size=4000, **query):
    """Send a container, or whatever the query says, in pieces."""
    with dial(box.url, box.key, {**CONTAINER, **query}) as client:
        with contextlib.suppress(ConnectionError):  # it may be refused before all of it is sent
            client.send(*cut(sound, size))
            client.say("CloseStream")
        return client.rest()


# --- sound in every form


def at_rate(samples, rate):
    """Return sound at another rate."""
    at = np.arange(len(samples) * rate // SAMPLE_RATE) * SAMPLE_RATE / rate
    return np.interp(at, np.arange(len(samples)), samples).astype(np.int16)


def as_file(folder, kind, codec, *channels, rate=SAMPLE_RATE):
    """Return the bytes of a container, or of bare samples."""
    sound = [at_rate(channel, rate) for channel in channels]
    return encode(folder / f"x.{kind}", kind, codec, *sound, rate=rate).read_bytes()


RAW = {
    "linear16 at 8 kHz": (8000, "linear16", lambda s, f: at_rate(s, 8000).tobytes()),
    "linear16 at 44.1 kHz": (44_100, "linear16", lambda s, f: at_rate(s, 44_100).tobytes()),
    "linear16 at 48 kHz": (48_000, "linear16", lambda s, f: at_rate(s, 48_000).tobytes()),
    "linear32": (16_000, "linear32", lambda s, f: (s / 32768).astype("<f4").tobytes()),
    "mulaw": (8000, "mulaw", lambda s, f: as_file(f, "mulaw", "pcm_mulaw", s, rate=8000)),
    "alaw": (8000, "alaw", lambda s, f: as_file(f, "alaw", "pcm_alaw", s, rate=8000)),
    "flac": (16_000, "flac", lambda s, f: as_file(f, "flac", "flac", s)),
    "ogg-opus": (48_000, "ogg-opus", lambda s, f: as_file(f, "ogg", "libopus", s, rate=48_000)),
}
CONTAINERS = {
    "wav": ("wav", "pcm_s16le", 16_000),
    "webm": ("webm", "libopus", 48_000),
    "ogg": ("ogg", "libopus", 48_000),
    "mp3": ("mp3", "mp3", 44_100),
    "flac": ("flac", "flac", 16_000),
}
QUICK = ("mulaw", "webm")


def slow_unless_quick(names):
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in names]


@pytest.mark.parametrize("form", slow_unless_quick(RAW))
def test_bare_sound_is_heard_in_every_encoding(box, tmp_path, speech, form):
    rate, encoding, encoded = RAW[form]
    sound = encoded(speech, tmp_path)
    query = {"encoding": encoding, "sample_rate": str(rate)}
    told = is_kept(dictate_container(box, sound, **query), **CONTAINER, **query)
    is_told(told, "contract finance lunch copy")
    assert told.duration_s == pytest.approx(len(speech) / SAMPLE_RATE, abs=0.1)


@pytest.mark.parametrize("form", slow_unless_quick(CONTAINERS))
def test_a_container_says_itself_what_it_is(box, tmp_path, speech, form):
    kind, codec, rate = CONTAINERS[form]
    told = dictate_container(box, as_file(tmp_path, kind, codec, speech, rate=rate))
    is_told(is_kept(told, **CONTAINER), "contract finance lunch copy")
    assert told.duration_s == pytest.approx(len(speech) / SAMPLE_RATE, abs=0.1)


@pytest.mark.long
def test_packets_of_opus_are_heard_one_by_one(box, tmp_path, speech):
    import av

    path = encode(tmp_path / "x.ogg", "ogg", "libopus", at_rate(speech, 48_000), rate=48_000)
    with av.open(path) as file:
        packets = [bytes(packet) for packet in file.demux(audio=0) if packet.size]
    query = {**CONTAINER, "encoding": "opus", "sample_rate": "48000"}
    with dial(box.url, box.key, query) as client:
        client.send(*packets)
        client.say("CloseStream")
        is_told(is_kept(client.rest(), **query), "contract finance lunch copy")


@pytest.mark.long
@pytest.mark.parametrize("multichannel", ["true", "false"])
def test_channels_are_told_apart_or_mixed_as_asked(box, tmp_path, speech, another, multichannel):
    left = np.concatenate([speech[: len(another)], np.zeros(len(another), np.int16)])
    right = np.concatenate([np.zeros(len(another), np.int16), another])
    path = write_wav(tmp_path / "two.wav", left, right)
    told = dictate_container(box, path.read_bytes(), multichannel=multichannel)
    is_kept(told, **CONTAINER)
    is_told(told, "contract finance", 0)
    is_told(told, "morning everyone joining", 1 if multichannel == "true" else 0)
    assert told.messages[-1]["channels"] == (2 if multichannel == "true" else 1)


@pytest.mark.long
def test_what_is_said_is_shown_while_it_is_said(box, speech):
    pause = threading.Event()
    with dial(box.url, box.key, EVERYTHING) as client:
        for piece in cut(np.concatenate([speech, np.zeros(32_000, np.int16)]).tobytes(), 3200):
            client.send(piece)
            pause.wait(0.1)
        client.say("CloseStream")
        told = is_kept(client.rest(), **EVERYTHING)
    interim = [one for one in told.results if not one["is_final"]]
    assert interim and told.text().replace(",", "") == SENTENCE
    assert transcript(interim[0]).lower().startswith("please")
    assert [one["last_word_end"] for one in told.of("UtteranceEnd")] == [
        words(one)[-1]["end"] for one in told.finals if words(one)
    ][-1:]


@pytest.mark.long
def test_several_languages_are_told_from_each_other(tmp_path, base):
    german = read(fixture("german").path)[: 10 * SAMPLE_RATE]
    query = {**EVERYTHING, "language": "multi"}
    with served(tmp_path, base) as box:
        told = is_kept(dictate(box.url, box.key, german, **query), **query)
        answer = refused(box, box.key, {**LINEAR, "language": "xx"})
    best = [one["channel"]["alternatives"][0] for one in told.finals if words(one)]
    assert best[-1]["languages"] == ["de"] and best[-1]["words"][0]["language"] == "de"
    assert answer.status_code == 400
