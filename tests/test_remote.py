"""`POST /v1/listen` fetches a file by its url from hosts of the settings, and from no other."""

import asyncio
import contextlib
import hashlib
import http.server
import ipaddress
import json
import threading

import httpx
import pytest
import receiver
from event_source import ServedBox
from speech_fixtures import fixture, words_wrong

from api.listen import remote
from api.listen.refusals import Refusal
from api.listen.remote import Remote
from appliance.settings import Settings
from engine.errors import EngineError
from scheduler.resolving import Resolver

WAIT_S = 60
SPEECH = fixture("dictation")
SOUND = SPEECH.path.read_bytes()
LIMIT_BYTES = 1 << 20


class Files(http.server.BaseHTTPRequestHandler):
    """A host with one file, which notes who asks for what."""

    asked: list[tuple[str, dict[str, str]]]

    def do_GET(self):
        """Send the file, whatever path is asked for."""
        self.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        self.send_response(200)
        self.send_header("Content-Length", str(len(SOUND)))
        self.end_headers()
        self.wfile.write(SOUND)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def files():
    """Run the host; return its HOST:PORT and the list of requests."""
    kind = type("Files", (Files,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{running.server_port}", kind.asked
        running.shutdown()
        thread.join(WAIT_S)


@pytest.fixture(scope="module")
def there():
    """Run a host of bad manners."""
    with receiver.receiving() as running:
        yield running


def fetcher(*hosts, **more):
    return Remote(hosts, lambda address, port: False, LIMIT_BYTES, **more)


def fetch(by, url):
    """Return the bytes of a url."""

    async def whole():
        where = by.named(json.dumps({"url": url}).encode())
        async with contextlib.aclosing(by.chunks(where)) as chunks:
            return b"".join([chunk async for chunk in chunks])

    return asyncio.run(whole())


def refused(by, url):
    """Return why a url is not fetched."""
    with pytest.raises(Refusal) as caught:
        fetch(by, url)
    return caught.value


def standing_for(*addresses):
    """Return a resolver for which every name stands for these."""
    return Resolver(lambda host, port, **_: [
        (2 if ipaddress.ip_address(one).version == 4 else 10, 1, 6, "", (one, port))
        for one in addresses
    ])  # fmt: skip


def test_a_file_of_a_named_host_arrives_as_it_is(files):
    host, asked = files
    assert fetch(fetcher(host), f"http://{host}/a%20b.flac?x=1") == SOUND
    path, headers = asked[-1]
    assert path == "/a%20b.flac?x=1"
    assert (headers["host"], headers["accept-encoding"]) == (host, "identity")
    assert "authorization" not in headers and "cookie" not in headers


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost", "files.example.com", "127.0.0.1:1"])
def test_of_another_host_or_port_nothing_is_asked(files, host):
    named, asked = files
    before = len(asked)
    port = named.partition(":")[2]
    refusal = refused(fetcher("files.example.org", host), f"http://127.0.0.1:{port}/a")
    assert (refusal.status, refusal.code) == (400, "REMOTE_CONTENT_ERROR")
    assert "127.0.0.1" in refusal.message and len(asked) == before


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "100.64.0.1", "0.0.0.0"]
)
def test_a_name_that_stands_for_a_closed_address_leads_nowhere(files, address):
    host, asked = files
    port, before = host.partition(":")[2], len(asked)
    for answer in ([address], ["93.184.216.34", address]):
        by = fetcher("files.example.org", resolver=standing_for(*answer))
        refusal = refused(by, f"http://files.example.org:{port}/a")
        assert "forbidden destination" in refusal.message
    assert len(asked) == before


def test_an_address_of_the_settings_opens_no_other(files):
    port = files[0].partition(":")[2]
    by = fetcher("127.0.0.1", "files.example.org", resolver=standing_for("127.0.0.2"))
    assert "forbidden" in refused(by, f"http://files.example.org:{port}/a").message
    assert fetch(fetcher("127.0.0.1"), f"http://127.0.0.1:{port}/a") == SOUND


@pytest.mark.parametrize(
    "url",
    ["", "ftp://files/a", "file:///etc/passwd", "http://user@127.0.0.1/a", "//127.0.0.1/a",
     "http://127.0.0.1:99999/", "http://[::1/", "http://127.0.0.1/a b", "http://127.0.0.1\\@x/"],
)  # fmt: skip
def test_what_is_no_url_is_refused_with_a_reason(url):
    refusal = refused(fetcher("127.0.0.1"), url)
    assert (refusal.status, refusal.code) == (400, "REMOTE_CONTENT_ERROR")
    assert "etc/passwd" not in refusal.message


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"url": 1}', b'"http://x"', b"\xff", b"[" * 60_000]
)
def test_json_that_names_nothing_is_no_sound(body):
    with pytest.raises(Refusal) as caught:
        fetcher("127.0.0.1").named(body)
    assert (caught.value.status, caught.value.code) == (400, "Bad Request")


@pytest.mark.parametrize(
    ("mood", "said"),
    [("404", "404"), ("500", "500"), ("204", "204"), ("redirect?to=http://127.0.0.1:1/", "302"),
     ("down", "broke off"), ("reset", "reset"), ("cut", "broke off"), ("garbage", "broke off"),
     ("many-headers", "broke off"), ("never", "in time"), ("drip-headers", "in time"),
     ("huge", "bytes")],
)  # fmt: skip
def test_a_host_of_bad_manners_is_a_refusal_that_says_so(there, monkeypatch, mood, said):
    monkeypatch.setattr(remote, "STALL_S", 1.0)
    refusal = refused(fetcher(f"127.0.0.1:{there.port}"), there.url(f"/{mood}"))
    assert refusal.status == (413 if mood == "huge" else 400)
    assert said in refusal.message


def test_a_file_that_drips_ends_with_its_time(there, monkeypatch):
    monkeypatch.setattr(remote, "DEADLINE_S", 2.5)
    refusal = refused(fetcher(f"127.0.0.1:{there.port}"), there.url("/drip-body"))
    assert "in time" in refusal.message


@pytest.fixture(scope="module")
def served(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("box")
    settings = Settings(
        data_dir=folder, model="tiny.en", port=0, upload_limit_bytes=LIMIT_BYTES,
        listen_url_hosts=f"{files[0]}, files.example.org",
    )  # fmt: skip
    box = ServedBox(settings)
    with contextlib.suppress(EngineError):
        box.application.state.box.worker.model(WAIT_S)
    yield box
    box.stop()


def test_a_client_names_a_file_and_gets_its_text(served, files):
    key = (served.application.state.box.folder.path / "admin.key").read_text().strip()
    answer = httpx.post(
        f"{served.url}/v1/listen",
        json={"url": f"http://{files[0]}/a.flac"},
        headers={"Authorization": f"Token {key}"},
        timeout=WAIT_S,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["metadata"]["sha256"] == hashlib.sha256(SOUND).hexdigest()
    text = told["results"]["channels"][0]["alternatives"][0]["transcript"]
    assert words_wrong(SPEECH.text, text) <= 2
    box = served.application.state.box
    assert list(box.direct.audio.path.iterdir()) == []


@pytest.mark.parametrize("value", ["http://x", "a/b", "a b", "x:0", "x:99999", "::1", "u@x"])
def test_a_setting_that_names_no_host_is_refused(value):
    with pytest.raises(ValueError, match="listen_url_hosts"):
        Settings(listen_url_hosts=value)


@pytest.mark.parametrize("value", ["x", "X.example.org:9000", "[::1]:80", "[fd00::1]", "10.0.0.7"])
def test_names_and_addresses_with_and_without_a_port_are_hosts(value):
    assert Settings(listen_url_hosts=value).listen_url_hosts == (value,)
