"""How a live stream ends: whoever ends it and however, all is told and nothing is left behind."""

import contextlib
import signal
import ssl
import sys
import threading
from unittest import mock

import numpy as np
import psutil
import pytest
import running_box
from certificates import issued, private_key, written
from listen_client import (
    EVERYTHING,
    LINEAR,
    broken_rules,
    cut,
    dial,
    dictate,
    frame,
    opened,
    raw_socket,
    reset,
)
from listen_server import decoders, noise_in, running_in, served
from speech_fixtures import encode, fixture
from virtual_microphone import wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.listen import connection as module
from api.listen.inbox import LIMIT_BYTES
from appliance.listening import Listening
from appliance.store import keys
from engine.audio import SAMPLE_RATE, read
from engine.errors import EngineError
from engine.worker import Worker

IDLE = (
    "Deepgram did not receive audio data or a text message within the timeout window. "
    "See https://dpgr.am/net0001"
)
STOPPING = "the box is stopping"
IDLE_S = 1.5
PROMISED_S = 10.0  # from the signal to the end of the process
BINARY, TEXT = 2, 1
LONG_ANSWERS = {**LINEAR, "extra": [f"{name}:{'x' * 2000}" for name in "abc"]}
STUCK = """
import pathlib, sys, time
from engine import whisper
transcribe = whisper.Whisper.transcribe
def stuck(self, *given, **more):
    while pathlib.Path({flag!r}).exists():
        time.sleep(1)
    return transcribe(self, *given, **more)
whisper.Whisper.transcribe = stuck
from api import cli
sys.exit(cli.main())
"""


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    """Run a box as a process of its own."""
    with running_in(tmp_path_factory.mktemp("process")) as found:
        yield found


@pytest.fixture(scope="module")
def box(tmp_path_factory, tiny):
    """Serve a box in this process."""
    with served(tmp_path_factory.mktemp("box"), tiny) as found:
        yield found


@pytest.fixture(scope="module")
def impatient(tmp_path_factory, tiny):
    """Serve streams that end after a short silence."""
    with served(tmp_path_factory.mktemp("impatient"), tiny, idle_s=IDLE_S) as found:
        yield found


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Check that nothing went wrong inside."""
    yield
    assert noise_in(caplog.get_records("call")) == []


@pytest.fixture(scope="module")
def speech():
    """Return a sentence of 5 s."""
    return read(fixture("dictation").path)


@pytest.fixture(scope="module")
def meeting():
    """Return a minute of speech."""
    return read(fixture("meeting").path)


def ended(told, code, reason, **query):
    """Check a whole stream that was ended like that."""
    assert (told.code, told.reason) == (code, reason)
    assert broken_rules(told, **query) == []
    return told


def refusal_of(served_box, key):
    """Return the status of a handshake that is refused."""
    with pytest.raises(InvalidStatus) as caught, dial(served_box.url, key, LINEAR):
        raise AssertionError("it is open")
    return caught.value.response.status_code


# --- silence


def test_who_says_nothing_for_too_long_is_told_why_it_ends(impatient, speech):
    with dial(impatient.url, impatient.key, EVERYTHING) as client:
        client.send(speech)
        told = ended(client.rest(), 1011, IDLE, **EVERYTHING)
    assert "contract" in told.text() and len(IDLE.encode()) <= 123
    assert told.duration_s == pytest.approx(len(speech) / SAMPLE_RATE, abs=0.001)


def test_who_keeps_the_stream_alive_may_say_nothing(impatient):
    kept_alive_s(impatient, b'{"type":"KeepAlive"}', 1.5 * IDLE_S, IDLE_S / 10)


def kept_alive_s(served_box, message, seconds, every_s):
    """Send nothing but this for so long; the stream is open after that, and its clock at 0."""
    pause = threading.Event()
    with dial(served_box.url, served_box.key, EVERYTHING) as client:
        for _ in range(round(seconds / every_s)):
            client.socket.send(message)
            pause.wait(every_s)
        client.say("Finalize")
        client.say("CloseStream")
        told = ended(client.rest(), 1000, "", **EVERYTHING)
    assert [one["duration"] for one in told.messages] == [0.0, 0.0]


def test_a_stream_that_is_only_kept_alive_ends_after_all(impatient):
    pause = threading.Event()
    with (
        mock.patch.object(module, "NO_AUDIO_S", IDLE_S / 4),
        dial(impatient.url, impatient.key, LINEAR) as client,
    ):
        with contextlib.suppress(ConnectionClosed):
            while not pause.wait(IDLE_S / 20):
                client.say("KeepAlive")
        ended(client.rest(), 1011, module.SILENT, **LINEAR)


@pytest.mark.long
def test_twelve_seconds_of_silence_end_a_stream_and_fifteen_of_keepalive_do_not(process):
    kept = threading.Thread(target=kept_alive_s, args=(process, '{"type":"KeepAlive"}', 15, 3))
    kept.start()
    with dial(process.url, process.key, LINEAR) as client:
        ended(client.rest(), 1011, IDLE, **LINEAR)
    kept.join()


# --- keys and tokens


def test_the_end_of_a_key_is_the_end_of_its_streams(box, speech):
    made = box.new_key("listen")
    with dial(box.url, made["key"], EVERYTHING) as client, dial(box.url, box.key, LINEAR) as other:
        client.send(speech[: 3 * SAMPLE_RATE])
        client.until("SpeechStarted")
        assert box.call("DELETE", f"/api/v1/keys/{made['id']}").status_code == 204
        ended(client.rest(), 1008, "the key was revoked", **EVERYTHING)
        other.say("CloseStream")
        ended(other.rest(), 1000, "", **LINEAR)


def test_an_open_stream_outlives_its_token(box, speech):
    token = box.token(ttl_s=1)
    with dial(box.url, token, EVERYTHING) as client:
        wait_until(lambda: not opens(box, token), "the end of the token")
        client.send(speech)
        client.say("CloseStream")
        assert "contract" in ended(client.rest(), 1000, "", **EVERYTHING).text()


def opens(box, secret):
    """Tell whether a secret opens a stream."""
    try:
        with dial(box.url, secret, LINEAR):
            return True
    except InvalidStatus:
        return False


@pytest.fixture
def loading(tmp_path, tiny):
    """Serve a box whose model is loaded only when the test wants it."""
    go_on = threading.Event()

    def load():
        assert go_on.wait(running_box.WAIT_S)
        return tiny.model()

    worker = Worker(load).start()
    try:
        with served(tmp_path, worker, most=2) as box:
            yield box, go_on
    finally:
        go_on.set()
        worker.stop()


def asking(box, count, **query):
    """Return connections that have asked for a stream, once they have their places."""
    asked = [raw_socket(box.url, box.key, query) for _ in range(count)]
    wait_until(lambda: box.box.listeners._places == count, "their places")
    return asked


def test_a_key_that_ends_while_the_model_is_loaded_opens_nothing(loading):
    box, go_on = loading
    (asked,) = asking(box, 1, **LINEAR)
    with box.box.database.write() as session:
        keys.revoke(session, box.key.split("_")[2])
    go_on.set()
    assert asked.recv(12) == b"HTTP/1.1 401"
    asked.close()


def test_who_waits_for_the_model_has_a_place_and_who_has_left_leaves_nothing(loading):
    box, go_on = loading
    asked = asking(box, 2)
    assert refusal_of(box, box.key) == 429
    for connection in asked:
        reset(connection)
    go_on.set()
    wait_until(lambda: box.box.listeners._places == 0, "the places to be free")
    wait_until(lambda: decoders(psutil.Process()) == [], "the end of their decoders")


# --- what goes wrong inside


@pytest.mark.parametrize(
    ("error", "reason"),
    [(EngineError("lost"), module.NO_ENGINE), (ZeroDivisionError("a bug"), module.BROKEN)],
    ids=["engine", "bug"],
)
def test_what_goes_wrong_inside_is_logged_and_the_client_is_told(
    box, speech, caplog, error, reason
):
    with (
        mock.patch.object(Listening, "hear", side_effect=error),
        dial(box.url, box.key, EVERYTHING) as client,
    ):
        client.send(speech)
        told = client.rest()
    assert (told.code, told.reason) == (1011, reason)
    assert noise_in(caplog.records)
    caplog.clear()
    assert dictate(box.url, box.key, speech, **EVERYTHING).code == 1000


# --- clients that misbehave


def test_a_message_that_is_too_large_ends_with_the_code_for_it_and_nothing_else(box):
    for more in ({"compression": None}, {}):
        with dial(box.url, box.key, EVERYTHING, **more) as client:
            with contextlib.suppress(ConnectionClosed):
                client.send(bytes(64 << 20))
            assert client.rest().code == 1009
    assert box.is_well()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"\xff\xfe", TEXT), 1007),
        (b"\x82\x01x", 1002),  # without a mask
        (frame(b"x", BINARY | 0x40), 1002),  # reserved
        (frame(b"x", 0), 1002),  # goes on with nothing
    ],
    ids=["no text", "no mask", "reserved", "no beginning"],
)
def test_whoever_breaks_the_protocol_learns_so(box, sent, code):
    with opened(raw_socket(box.url, box.key, LINEAR)) as connection:
        connection.sendall(sent + frame(bytes(1 << 20), BINARY))
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while read := connection.recv(1 << 16):
                answer += read
    assert answer[:1] == b"\x88" and int.from_bytes(answer[2:4], "big") == code


def test_clients_that_vanish_in_mid_speech_leave_nothing(box, speech):
    flac = fixture("dictation").path.read_bytes()
    before = box.at_rest()
    for query, sound in ((LINEAR, speech.tobytes()), ({}, flac)):
        for part in (10, 2, 1):
            connection = opened(raw_socket(box.url, box.key, query))
            connection.sendall(frame(sound[: len(sound) // part], BINARY))
            reset(connection)
    wait_until(lambda: box.at_rest() <= before, f"{before} again")


@pytest.mark.long
def test_a_client_that_never_reads_is_cut_off_and_leaves_nothing(process):
    before = process.at_rest()
    with opened(
        raw_socket(process.url, process.key, LONG_ANSWERS, receive_bytes=4096)
    ) as connection:
        for _ in range(3000):
            connection.sendall(frame(b'{"type":"Finalize"}', TEXT))
        wait_until(lambda: process.at_rest() <= before, f"{before} again")
        process.server.wait_for("its client does not read")


@pytest.mark.long
def test_whoever_sends_more_than_may_wait_is_read_no_faster_than_heard(process, meeting):
    sound = np.repeat(meeting, 12 * 2).tobytes() * 4  # 80 MiB
    query = {**EVERYTHING, "sample_rate": "192000", "channels": "2"}
    dictate(process.url, process.key, meeting, **EVERYTHING)  # the engine has what it needs
    server = process.seen
    most_bytes, done = [server.memory_info().rss], threading.Event()

    def watch():
        while not done.wait(0.05):
            most_bytes.append(server.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with dial(process.url, process.key, query, compression=None, ping_interval=0.5) as client:
            client.send(*cut(sound, 64_000))
            client.say("CloseStream")
            with contextlib.suppress(TimeoutError):
                client.until("Metadata", timeout_s=0)
            heard = client.told.finals[-1]["start"]
            told = ended(client.rest(), 1000, "", **query)
    finally:
        done.set()
        watching.join()
    assert told.duration_s == pytest.approx(4 * len(meeting) / SAMPLE_RATE, abs=0.01)
    taken = LIMIT_BYTES + (16 << 20)  # and what waits in the sockets
    assert heard > told.duration_s * (1 - taken / len(sound)) - 10
    assert max(most_bytes) - most_bytes[0] < 3 * LIMIT_BYTES


@pytest.mark.long
def test_others_are_answered_while_streams_come_in_bursts(process, meeting):
    told, errors = [], []

    def burst():
        try:
            told.append(
                dictate(process.url, process.key, *cut(meeting.tobytes(), 640), **EVERYTHING)
            )
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=burst) for _ in range(3)]
    for thread in threads:
        thread.start()
    answered = 0
    while any(thread.is_alive() for thread in threads):
        assert process.is_well()
        answered += 1
    assert errors == [] and answered > 10
    for one in told:
        ended(one, 1000, "", **EVERYTHING)
    assert len({one.text() for one in told}) == 1


# --- the box stops


@pytest.mark.long
def test_a_box_that_stops_tells_everybody_the_last_words(tmp_path, speech, meeting):
    sound = np.repeat(speech, 3)
    webm = encode(tmp_path / "x.webm", "webm", "libopus", sound, rate=48_000).read_bytes()
    with running_in(tmp_path / "box") as box, contextlib.ExitStack() as stack:
        speaking = stack.enter_context(dial(box.url, box.key, EVERYTHING))
        pieces = cut(speech.tobytes(), 3200)
        while not any(not one["is_final"] for one in speaking.told.results):
            speaking.send(next(pieces))
            with contextlib.suppress(TimeoutError):
                speaking.until("Results", timeout_s=0.1)
        container = stack.enter_context(dial(box.url, box.key, {"vad_events": "true"}))
        container.send(webm[: len(webm) // 2])
        container.until("SpeechStarted")
        behind = stack.enter_context(dial(box.url, box.key, LINEAR))
        behind.send(*[meeting] * 5)
        behind.say("CloseStream")
        silent = stack.enter_context(dial(box.url, box.key, LINEAR))
        box.seen.send_signal(signal.SIGTERM)
        heard = ended(speaking.rest(), 1011, STOPPING, **EVERYTHING).text()
        assert heard.lower().startswith("p") or "without its last words" in output(box)
        ended(container.rest(), 1011, STOPPING, vad_events="true")
        for client in (behind, silent):
            ended(client.rest(), 1011, STOPPING, **LINEAR)
        assert box.server.process.wait(PROMISED_S) == -signal.SIGTERM


def output(box):
    """Return what a box has said to its end."""
    box.server.process.wait(running_box.WAIT_S)
    with contextlib.suppress(AssertionError):
        box.server.wait_for("nothing says this")
    return box.server.output


@pytest.mark.long
def test_a_box_whose_engine_is_stuck_stops_in_time_and_says_so(tmp_path, speech, monkeypatch):
    flag = tmp_path / "stuck"
    flag.touch()
    command = (sys.executable, "-c", STUCK.format(flag=str(flag)))
    monkeypatch.setattr(running_box, "SCRIBEBOX", command)
    with (
        running_in(tmp_path / "box") as box,
        dial(box.url, box.key, EVERYTHING) as client,
        dial(box.url, box.key, EVERYTHING) as closing,
    ):
        for one in (client, closing):
            one.send(speech)
            one.until("SpeechStarted")
        closing.say("CloseStream")
        box.seen.send_signal(signal.SIGTERM)
        ended(client.rest(), 1011, STOPPING, **EVERYTHING)
        told = closing.rest()
        assert told.code in (1000, 1011) and broken_rules(told, **EVERYTHING) == []
        assert box.server.process.wait(PROMISED_S) == -signal.SIGTERM
        assert "without its last words" in output(box)


@pytest.mark.long
def test_the_same_through_tls(tmp_path, speech):
    key = private_key()
    certificate = issued(key, common="localhost", names=["localhost"])
    written(tmp_path, certificate, key)
    settings = {
        "SCRIBEBOX_TLS_CERT": str(tmp_path / "cert.pem"),
        "SCRIBEBOX_TLS_KEY": str(tmp_path / "key.pem"),
    }
    trusting = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    with running_in(tmp_path / "box", **settings) as box:
        url = box.url.replace("127.0.0.1", "localhost")
        with dial(url, box.key, EVERYTHING, ssl=trusting) as client:
            client.send(*cut(speech.tobytes(), 3200))
            client.say("CloseStream")
            told = ended(client.rest(), 1000, "", **EVERYTHING)
        assert "contract" in told.text()
        with dial(url, box.key, EVERYTHING, ssl=trusting, compression=None) as client:
            with contextlib.suppress(ConnectionClosed):
                client.send(bytes(64 << 20))
            assert client.rest().code == 1009
