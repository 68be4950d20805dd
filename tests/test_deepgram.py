"""The grant against a fake cloud on a real socket, in each of its moods; the fake itself too."""

import asyncio
import gc
import json
import logging
import socket
import time
import traceback

import pytest
from fake_deepgram import fake_deepgram
from receiver import refusing
from websockets.sync.client import connect

from engine import deepgram
from engine.deepgram import Cloud, Grant
from engine.errors import CloudRefused, CloudUnreachable, EngineError

KEY = "0123456789abcdef-the-key-nobody-may-see"
LEVELS = {name: logging.getLogger(name).level for name in ("httpx", "httpcore")}
PATIENCE_S = deepgram.DEADLINE_S + 5  # what a busy machine adds


@pytest.fixture
def fake():
    with fake_deepgram() as started:
        yield started


@pytest.fixture(autouse=True)
def logs(caplog):
    """Log everything that can be logged, and find the key in none of it."""
    for name in ("", "engine.deepgram", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)
    yield
    assert KEY not in caplog.text
    assert not any(KEY in repr(vars(record)) for record in caplog.records)


def asked(*clouds: Cloud) -> list[Grant | EngineError]:
    """Ask all of the clouds at once; return what each grant or error is, within the deadline."""

    async def ask() -> list[Grant | EngineError]:
        began = time.monotonic()
        ends = await asyncio.gather(*map(deepgram.grant, clouds), return_exceptions=True)
        assert time.monotonic() - began < PATIENCE_S
        return ends

    outcomes = asyncio.run(ask())
    for outcome in outcomes:
        assert isinstance(outcome, Grant | EngineError), type(outcome)
        assert_tells_nothing(outcome)
    return outcomes


def assert_tells_nothing(outcome: Grant | EngineError) -> None:
    shown = str(outcome) + repr(outcome)
    if isinstance(outcome, EngineError):
        assert outcome.__context__ is None and outcome.__cause__ is None
        shown += "".join(traceback.format_exception(outcome)) + repr(vars(outcome))
        assert str(outcome).endswith(".")
    assert KEY not in shown and "Invalid credentials" not in shown


def outcome_of(fake, behave: str):
    fake.behave = behave
    return asked(Cloud(fake.url, KEY))[0]


def test_the_cloud_grants_a_token_for_as_long_as_asked(fake):
    granted = asyncio.run(deepgram.grant(Cloud(fake.url + "/", KEY), ttl_seconds=45))
    assert (granted.token, granted.expires_in_s) == (fake.token, 45.0)
    ((method, path, headers, body),) = fake.requests
    assert (method, path, json.loads(body)) == ("POST", "/v1/auth/grant", {"ttl_seconds": 45})
    assert headers["authorization"] == f"Token {KEY}"
    assert headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "SCRIBEBOX_DEEPGRAM_API_KEY"),
        (401, "SCRIBEBOX_DEEPGRAM_API_KEY"),
        (402, "no credit"),
        (403, "below Member"),
        (404, "SCRIBEBOX_DEEPGRAM_URL"),
        (429, "later"),
    ],
)
def test_a_refusal_is_asked_for_once_and_says_what_to_do(fake, status, advice):
    error = outcome_of(fake, str(status))
    assert isinstance(error, CloudRefused) and error.status == status
    assert str(status) in str(error) and advice in str(error)
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("behave", "said", "requests"),
    [
        ("500", "500", 2),
        ("500 503", "503", 2),
        ("closed", "can't be reached", 2),
        ("closed 500", "500", 2),
        ("garbage", "without a token", 1),
        ("huge", "without a token", 1),
        ("redirect", "307", 1),
    ],
)
def test_a_cloud_in_trouble_is_unreachable(fake, behave, said, requests):
    error = outcome_of(fake, behave)
    assert isinstance(error, CloudUnreachable)
    assert said in str(error) and fake.url.removeprefix("http://") in str(error)
    assert len(fake.requests) == requests
    assert {path for _, path, _, _ in fake.requests} == {"/v1/auth/grant"}  # nothing is followed


@pytest.mark.parametrize(
    "first", ["500", "closed", "nothing", pytest.param("drip", marks=pytest.mark.long)]
)
def test_the_second_try_may_succeed(fake, first):
    assert outcome_of(fake, f"{first} 200").token == fake.token
    assert len(fake.requests) == 2


def test_a_refusal_after_a_failure_is_a_refusal(fake):
    assert outcome_of(fake, "500 401").status == 401
    assert len(fake.requests) == 2


@pytest.mark.long
def test_five_seconds_are_the_end_of_it_wherever_the_time_goes():
    with fake_deepgram() as silent, fake_deepgram() as slow, fake_deepgram() as mute:
        silent.behave, slow.behave = "nothing", "drip"
        tls = mute.url.replace("http:", "https:")  # connects, and never shakes hands
        clouds = [Cloud(silent.url, KEY), Cloud(slow.url, KEY), Cloud(tls, KEY)]
        began = time.monotonic()
        for error in asked(*clouds):
            assert isinstance(error, CloudUnreachable)
            assert "did not answer within 5 s" in str(error)
        assert time.monotonic() - began > deepgram.DEADLINE_S - 0.1
        assert (len(silent.requests), len(slow.requests), len(mute.requests)) == (2, 2, 0)
    gc.collect()  # a socket that was left open would warn, and so fail this


def test_no_connection_is_named_by_its_cause():
    with refusing() as url:
        (error,) = asked(Cloud(url, KEY))
    assert isinstance(error, CloudUnreachable) and "refused the connection" in str(error)
    (error,) = asked(Cloud("https://deepgram.invalid", KEY))
    slow = "did not answer"  # a machine whose name server is out of reach
    assert isinstance(error, CloudUnreachable)
    assert "no address is known" in str(error) or slow in str(error)


def test_a_cloud_that_is_not_who_it_claims_to_be_gets_no_key(fake):
    (error,) = asked(Cloud("ftp://127.0.0.1", KEY))
    assert isinstance(error, CloudUnreachable)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"

        async def plain() -> EngineError:
            async def answer(reader, writer):
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                writer.close()

            async with await asyncio.start_server(answer, sock=listener):
                with pytest.raises(CloudUnreachable) as caught:
                    await deepgram.grant(Cloud(url, KEY))
            return caught.value

        assert "TLS failed" in str(asyncio.run(plain()))


def test_an_address_that_is_no_address_is_unreachable():
    for url in ("http://", "http://127.0.0.1:port", "https://exa mple", "deepgram"):
        (error,) = asked(Cloud(url, KEY))
        assert isinstance(error, CloudUnreachable)


def test_a_proxy_that_can_not_be_used_is_no_crash(fake, monkeypatch):
    for proxy in ("socks5://127.0.0.1:1", "what://127.0.0.1", "http://127.0.0.1:1"):
        monkeypatch.setenv("http_proxy", proxy)
        (error,) = asked(Cloud(fake.url, KEY))
        assert isinstance(error, CloudUnreachable)
    assert fake.requests == []


@pytest.mark.parametrize("key", ["", f"{KEY}\n", f"{KEY} {KEY}", f"{KEY}\r\nX: y", f"é{KEY}"])
def test_a_key_that_can_not_be_sent_is_neither_sent_nor_shown(fake, key):
    (error,) = asked(Cloud(fake.url, key))
    assert isinstance(error, CloudUnreachable) and "SCRIBEBOX_DEEPGRAM_API_KEY" in str(error)
    assert fake.requests == []


@pytest.mark.parametrize(
    ("body", "expires_in_s"),
    [
        (b'{"access_token": "a.b-c_d"}', 30.0),
        (b'{"access_token": "a.b-c_d", "expires_in": null}', 30.0),
        (b'{"access_token": "a.b-c_d", "expires_in": 29.5, "more": [1]}', 29.5),
    ],
)
def test_how_long_the_token_lives_may_be_left_out(fake, body, expires_in_s):
    fake.body = body
    assert outcome_of(fake, "200") == Grant("a.b-c_d", expires_in_s)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'"token"',
        b'["access_token"]',
        b"{}",
        b'{"access_token": 1}',
        b'{"access_token": null}',
        b'{"access_token": ""}',
        b'{"access_token": "two words"}',
        b'{"access_token": "line\\n"}',
        b'{"access_token": "gr\xc3\xbcn"}',
        b'{"access_token": "\\ud800"}',
        b'{"access_token": "\xff"}',
        b'{"access_token": "' + b"x" * 16385 + b'"}',
        b'{"access_token": "x", "expires_in": true}',
        b'{"access_token": "x", "expires_in": "30"}',
        b'{"access_token": "x", "expires_in": 0}',
        b'{"access_token": "x", "expires_in": -1}',
        b'{"access_token": "x", "expires_in": NaN}',
        b'{"access_token": "x", "expires_in": 1e999}',
        b'{"access_token": "x", "expires_in": 1' + b"0" * 400 + b"}",
        b'{"access_token": "x", "expires_in": 1' + b"0" * 5000 + b"}",
        b'{"access_token": "x", "expires_in": []}',
        b'{"access_token": "x", "more": ' + b"[" * 60_000,
        b'{"access_token": "x", "more": "' + b"y" * 65_536 + b'"}',
    ],
    ids=lambda body: repr(body[:48]),
)
def test_an_answer_without_a_usable_token_is_none(fake, body):
    fake.body = body
    assert isinstance(outcome_of(fake, "200"), CloudUnreachable)
    assert len(fake.requests) == 1


def test_a_packed_answer_is_not_unpacked(fake):
    fake.headers = {"Content-Encoding": "gzip"}
    assert isinstance(outcome_of(fake, "200"), CloudUnreachable)
    assert outcome_of(fake, "401").status == 401
    fake.headers = {"Content-Encoding": "identity"}
    assert outcome_of(fake, "200").token == fake.token


def test_neither_the_key_nor_the_token_shows_where_they_are_kept():
    assert KEY not in repr(Cloud("https://api.deepgram.com", KEY))
    assert KEY not in repr(Grant(KEY, 30.0))


@pytest.mark.parametrize(
    ("url", "listen_url"),
    [
        ("https://api.deepgram.com", "wss://api.deepgram.com/v1/listen"),
        ("https://api.deepgram.com/", "wss://api.deepgram.com/v1/listen"),
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/v1/listen"),
        ("HTTP://[::1]:8080", "ws://[::1]:8080/v1/listen"),
        ("https://lan.example/deepgram/", "wss://lan.example/deepgram/v1/listen"),
    ],
)
def test_the_socket_is_at_the_same_place(url, listen_url):
    assert Cloud(url, KEY).listen_url == listen_url


def test_the_libraries_below_log_no_addresses(fake, caplog):
    for name, level in LEVELS.items():
        caplog.set_level(level, logger=name)
    outcome_of(fake, "200")
    assert not any(record.name.startswith("http") for record in caplog.records)


def test_the_fake_listens_as_the_cloud_does(fake):
    fake.transcript, fake.last_words = "Good morning.", "That is all."
    url = f"{Cloud(fake.url, KEY).listen_url}?model=nova-3&keyterm=a&keyterm=b"
    with connect(url, subprotocols=["token", "secret"], proxy=None) as client:
        assert client.subprotocol == "token"
        client.send(json.dumps({"type": "KeepAlive"}))
        client.send([b"\0" * 20_000, b"\0" * 12_000])  # two frames of one message
        client.send(json.dumps({"type": "Finalize"}))
        client.send(b"\0" * 32_000)
        client.send(json.dumps({"type": "CloseStream"}))
        said = [json.loads(message) for message in client]
    assert client.close_code == 1000
    assert [message["type"] for message in said] == ["Results"] * 3 + ["Metadata"]
    texts = [message["channel"]["alternatives"][0]["transcript"] for message in said[:3]]
    assert texts == ["Good morning.", "That is all.", ""]
    assert [message["from_finalize"] for message in said[:3]] == [False, True, False]
    assert said[3]["duration"] == 2.0
    (heard,) = fake.listened
    assert (heard.scheme, heard.token, heard.audio_bytes) == ("token", "secret", 64_000)
    assert heard.query == {"model": ["nova-3"], "keyterm": ["a", "b"]}
    assert heard.commands == ["KeepAlive", "Finalize", "CloseStream"]
