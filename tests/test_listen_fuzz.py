"""Whatever a client sends to `WS /v1/listen`, it is told how it ended, and the box goes on."""

import contextlib
import os
import random
import struct

import pytest
from listen_client import (
    CONTAINER,
    EVERYTHING,
    broken_rules,
    dial,
    dictate,
    frame,
    opened,
    raw_socket,
    reset,
)
from listen_server import noise_in, running_in, served
from speech_fixtures import fixture
from virtual_microphone import wait_until
from websockets.exceptions import ConnectionClosed

from engine.audio import SAMPLE_RATE, read

QUICK, MANY = range(10), range(10, 80)
BARE = {"linear16", "linear32", "mulaw"}  # of which any bytes are sound
COMMANDS = (
    '{"type":"KeepAlive"}', '{"type":"Finalize"}', '{"type":"Finalize","channel":1}',
    '{"type":"Finalize","channel":-1}', '{"type":"Finalize","channel":[0]}',
    '{"type":"Configure"}', '{"type":"Configure","keyterms":["a","b"]}',
    '{"type":"Configure","keyterms":{}}', '{"type":"Configure","processors":{}}',
)  # fmt: skip
TORN = (
    "", "{", '{"type":', '{"type":"Final', "null", "[]", "[" * 5000, '{"type":{}}', '{"type":""}',
    '{"type":"CloseStream"', "\0", "{}", '{"type":"Results","is_final":true}', "NaN", '"x"',
)  # fmt: skip
QUERIES = (
    EVERYTHING,
    {**EVERYTHING, "channels": "2", "multichannel": "true"},
    {**EVERYTHING, "encoding": "mulaw", "sample_rate": "8000", "endpointing": "false"},
    {**EVERYTHING, "encoding": "linear32", "sample_rate": "44100"},
    {**EVERYTHING, "encoding": "opus", "sample_rate": "48000"},
    {**EVERYTHING, "encoding": "flac", "sample_rate": "16000"},
    CONTAINER,
    {**CONTAINER, "multichannel": "true"},
)  # fmt: skip


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


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Check that nothing went wrong inside."""
    yield
    assert noise_in(caplog.get_records("call")) == []


@pytest.fixture(scope="module")
def sounds():
    """Return speech, bare and in a container."""
    return read(fixture("dictation").path).tobytes(), fixture("dictation").path.read_bytes()


def messages(chance, sounds):
    """Yield what a client without sense sends."""
    for _ in range(chance.randrange(1, 30)):
        sound = chance.choice(sounds)
        at = chance.randrange(len(sound))
        yield chance.choice(
            (
                lambda: chance.choice(COMMANDS),
                lambda: chance.choice(TORN),
                lambda: chance.choice(COMMANDS + TORN).encode(),
                lambda: chance.randbytes(chance.choice((1, 2, 7, 300, 5000))),
                lambda sound=sound, at=at: sound[at : at + chance.randrange(60_000)],
                lambda sound=sound: sound[: chance.randrange(1, 60_000)],
                lambda sound=sound: [sound[n : n + 1] for n in range(chance.randrange(1, 50))],
                lambda: bytes(chance.randrange(1, 90_000)),
            )
        )()


def play(box, sounds, seed):
    """Send what comes of a seed, and end it in one of the ways; return what was told, and asked."""
    chance = random.Random(seed)
    query = chance.choice(QUERIES)
    goodbye = chance.choice(('{"type":"CloseStream"}', b"", b'{"type":"CloseStream"}', None))
    with dial(box.url, box.key, query) as client:
        with contextlib.suppress(ConnectionClosed):
            for message in messages(chance, sounds):
                client.socket.send(message)
                if chance.random() < 0.1:
                    client.socket.ping()
            if goodbye is None:
                return None, query  # vanishes
            client.socket.send(goodbye)
            for message in messages(chance, sounds):  # too late
                client.socket.send(message)
        return client.rest(), query


def ends_well(box, sounds, seed):
    """Play a seed and check how it ended."""
    told, query = play(box, sounds, seed)
    if told is None:
        return
    codes = {1000} if query.get("encoding") in BARE else {1000, 1008}
    assert told.code in codes, (seed, told.code, told.reason)
    told.messages = [m for m in told.messages if not m["type"].startswith("Configure")]
    counts = {tuple(m["channel_index"])[1] for m in told.results}
    if len(counts) == 1:  # else a container had more channels than a Finalize before it knew
        assert broken_rules(told, **query) == [], seed


@pytest.mark.parametrize("seed", QUICK)
def test_nonsense_of_all_kinds_ends_with_the_code_for_it(box, sounds, seed):
    ends_well(box, sounds, seed)
    assert box.is_well()


@pytest.mark.long
def test_after_much_nonsense_nothing_is_left_behind(process, sounds):
    before = process.at_rest()
    bother(process, sounds[0], 300)
    for seed in MANY:
        ends_well(process, sounds, seed)
    wait_until(lambda: process.at_rest() <= before, f"{before} again")
    told = dictate(process.url, process.key, sounds[0], **EVERYTHING)
    assert "contract" in told.text() and told.code == 1000


def wire_nonsense(chance, sound):
    """Return bytes that are hardly a WebSocket any more."""
    valid = frame(sound[: chance.randrange(1, 40_000)], 2)
    return chance.choice(
        (
            lambda: chance.randbytes(chance.randrange(1, 4000)),
            lambda: valid + chance.randbytes(9),
            lambda: valid[: chance.randrange(len(valid))],
            lambda: frame(b"", 2, size=2**63 - 1),
            lambda: frame(b"", 2, size=64 << 20) + bytes(1 << 20),
            lambda: frame(struct.pack(">H", chance.randrange(5000)), 8),
            lambda: frame(b"x" * 126, 9),
            lambda: frame(b"\xc3\x28", 1),
            lambda: b"".join(frame(bytes(n % 3), n % 16) for n in range(20)),
            lambda: b"\x01\x80" + bytes(4) + b"\x00\x80\0\0\0\0" * 3000,
        )
    )()


def bother(box, sound, count):
    """Send wire nonsense on so many connections, and vanish in the midst of it."""
    chance = random.Random(count)
    for _ in range(count):
        connection = raw_socket(box.url, box.key, chance.choice(QUERIES))
        if chance.random() < 0.9:
            opened(connection)
        with contextlib.suppress(ConnectionError, TimeoutError):
            connection.sendall(wire_nonsense(chance, sound))
            if chance.random() < 0.5:
                connection.settimeout(0.05)
                connection.recv(1 << 16)
        chance.choice((reset, lambda one: one.close()))(connection)


def test_bytes_that_are_no_frames_harm_nobody(box, sounds):
    bother(box, sounds[0], 25)
    assert box.is_well()
    wait_until(lambda: box.at_rest() == (0, 0), "the end of the streams")


@pytest.mark.parametrize(
    "line",
    [
        b"GET /v1/listen?x=\xff HTTP/1.1", b"GET /v1/listen%00 HTTP/1.1", b"\x16\x03\x01\x02\x00",
        b"GET /v1/listen?" + b"x=1&" * 5000 + b" HTTP/1.1", b"POST /v1/listen HTTP/1.1",
        b"GET /v1/listen HTTP/3", b"GET /v1/listen HTTP/1.1\r\nContent-Length: -1",
        b"GET /v1/listen HTTP/1.1\r\nSec-WebSocket-Protocol: token, " + b"\xff" * 50,
    ],
)  # fmt: skip
def test_a_handshake_that_is_none_is_refused(box, line):
    connection = raw_socket(box.url, box.key, line=line)
    answer = connection.recv(12)
    connection.close()
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer
    assert box.is_well()


@pytest.mark.long
def test_a_stream_of_noise_ends_as_any_other(box):
    noise = os.urandom(20 * SAMPLE_RATE)
    for query in QUERIES[:4]:
        told = dictate(box.url, box.key, noise, **query)
        assert told.code == 1000 and broken_rules(told, **query) == []
