"""What a box says of itself in trouble: enough to mend it, and nothing that is anybody's."""

import contextlib
import re
import sqlite3
import wave

import httpx
import pytest
import receiver
from running_box import WAIT_S, running
from speech_fixtures import SPEECH, fixture, words_of
from virtual_microphone import wait_until

from engine.models import Shelf

pytestmark = pytest.mark.long
SESSIONS, KEYS = "/api/v1/audioscribe/sessions", "/api/v1/keys"
CLOUD_KEY = "dg_secret_key_of_the_cloud_4711"
SECRETS = (
    CLOUD_KEY, "secretpath", "secretquery", "secrettitle", "secrettag", "secretnote", "secretfile",
    "secrethost", "secretword", "secretbody", "secretkey", "secretbox", "secretaccount",
)  # fmt: skip
NO_KEY = "sb_live_secretkey_0123456789abcdef0123456789abcdef0123456789abc_000000"


class Trouble:
    """A box at work, and somebody who makes trouble; what must not be told is collected."""

    def __init__(self, box, data):
        self.box, self.data, url = box, data, box.url
        self.key = (data / "admin.key").read_text().strip()
        self.secrets = set(SECRETS) | {self.key, self.key[-40:], NO_KEY}
        self.client = httpx.Client(
            base_url=url, timeout=WAIT_S, trust_env=False,
            headers={"Authorization": f"Bearer {self.key}"},
        )  # fmt: skip

    def ask(self, method, path, status, **more):
        """Send a request whose answer must be so."""
        answer = self.client.request(method, path, **more)
        wanted = status if isinstance(status, tuple) else (status,)
        assert answer.status_code in wanted, (path, answer.status_code, answer.text)
        return answer

    def log(self):
        """Return all it has said so far."""
        with contextlib.suppress(AssertionError):
            self.box.wait_for("nothing says this", 0.01)
        return self.box.output


def wrong_keys(trouble):
    stranger = {"Authorization": f"Bearer {NO_KEY}"}
    for _ in range(8):  # the log tells of too many
        trouble.ask("GET", f"{SESSIONS}/?q=secretquery", (401, 429), headers=stranger)
    trouble.ask("GET", f"/health?token={NO_KEY}&secretquery=1", (200, 503))
    trouble.ask("GET", "/no/secretpath?secretquery=1", (404, 401))
    trouble.ask("GET", "/health", 400, headers={"Host": "secrethost.example"})
    with contextlib.suppress(httpx.TransportError):
        trouble.ask("GET", f"/v1/transcribe/audio/secretpath?signature={NO_KEY}", (400, 401, 403))


def bad_uploads(trouble, tmp_path):
    silent = tmp_path / "silent.wav"
    with wave.open(str(silent), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(16_000)
        file.writeframes(b"")
    for content in (
        b"secretbody" * 1000,
        b"ffconcat version 1.0\nfile secretpath",
        silent.read_bytes(),
    ):
        part = {"file": ("secretfile.wav", content)}
        form = {"title": "secrettitle", "tags": "secrettag"}
        trouble.ask("POST", f"{SESSIONS}/?wait=true", 422, files=part, data=form)
    trouble.ask("POST", f"{SESSIONS}/?title=secrettitle", 400, content=b"")
    trouble.ask("POST", f"{SESSIONS}/?language=secretquery", 400, content=b"x")
    trouble.ask("PUT", "/api/v1/vocabulary", 400, content=b'{"hotwords": ["secretword"')
    trouble.ask("PUT", "/api/v1/vocabulary", 200, json={"hotwords": ["secretword"]})


def good_upload(trouble):
    """Return a session; its words belong to nobody's log."""
    sample = (SPEECH / "dictation.flac").read_bytes()
    made = trouble.ask("POST", f"{SESSIONS}/?wait=true&title=secrettitle", 201, content=sample)
    number = made.json()["id"]
    trouble.ask("PATCH", f"{SESSIONS}/{number}/", 200, json={"note": "secretnote"})
    trouble.ask("GET", f"{SESSIONS}/?q=secretnote&tag=secrettag", 200)
    return number


def broken_database(trouble, number):
    """Let the database refuse what is written: requests fail inside, jobs fail with their text."""
    with contextlib.closing(sqlite3.connect(trouble.data / "scribebox.db")) as other:
        for name, when in (("one", "UPDATE ON session"), ("two", "INSERT ON segment")):
            other.execute(
                f"CREATE TRIGGER {name} BEFORE {when} BEGIN SELECT RAISE(ABORT, 'broken'); END"
            )
        other.commit()
        change = {"title": "secrettitle 2", "note": "secretnote 2"}
        trouble.ask("PATCH", f"{SESSIONS}/{number}/", (500, 503), json=change)
        sample = (SPEECH / "dictation.flac").read_bytes()
        trouble.ask("POST", f"{SESSIONS}/?title=secrettitle", (202, 500), content=sample)
        wait_until(lambda: "unexpectedly" in trouble.log() or "stumbled" in trouble.log(), "a job")
        other.execute("DROP TRIGGER one")
        other.execute("DROP TRIGGER two")
        other.commit()


def dead_cloud(trouble):
    answer = trouble.ask("GET", "/v1/transcribe/token", 200)
    assert answer.json()["reason"] == "cloudUnreachable"
    trouble.secrets |= {answer.json()["token"]}
    trouble.ask("GET", "/v1/transcribe/token?engine=cloud", 503)


def signed_links(trouble):
    link = trouble.ask("POST", "/v1/transcribe/history/audio/upload-url", 200).json()["uploadUrl"]
    path = link.removeprefix(str(trouble.client.base_url).rstrip("/"))
    trouble.secrets |= {path.rpartition("/")[2].partition("?")[0], path.rpartition("=")[2]}
    trouble.ask("PUT", path, 415, content=b"secretbody")
    trouble.ask("PUT", path + "x", (400, 403), content=b"secretbody")


def new_keys(trouble):
    wishes = {"name": "secretbox", "scopes": ["sessions:read"]}
    made = trouble.ask("POST", KEYS, 201, json=wishes).json()
    trouble.secrets |= {made["key"]}
    trouble.ask("POST", KEYS, 400, json={**wishes, "scopes": ["secretword"]})
    trouble.ask("DELETE", f"{KEYS}/{made['id']}", (200, 204))


def failing_webhooks(trouble, there):
    for mood in ("500", "down", "garbage", "redirect"):
        url = f"{there.url(f'/{mood}/secretpath')}?secretquery={mood}&to=http://secrethost/"
        made = trouble.ask("POST", "/api/v1/webhooks", 201, json={"url": url}).json()
        trouble.secrets |= {made["secret"], made["secret"].removeprefix("whsec_")}
        trouble.ask("POST", f"/api/v1/webhooks/{made['id']}/test", 200)
    for url in ("http://169.254.169.254/secretpath", "http://u:secretword@x/", "ftp://secrethost"):
        trouble.ask("POST", "/api/v1/webhooks", 400, json={"url": url})
    good_upload(trouble)
    there.wait_for(4, timeout_s=WAIT_S)


def check_log(said, secrets):
    """Check that a log tells no secret, no address, and nothing that was said."""
    told = [line for line in said.splitlines() if "It heard its sample as" not in line]
    for secret in secrets:
        found = [line for line in told if secret.lower() in line.lower()]
        assert found == [], secret
    for line in told:
        of_nobody = line.startswith(("Scribebox is at", "  curl", "(Background on this error at:"))
        if not of_nobody:
            assert not re.search(r"https?://|\?[a-z]+=", line), line
    spoken = [word for word in words_of(fixture("dictation").text) if len(word) > 5]
    for word in spoken:
        assert not [line for line in told if word in line.lower()], word


def test_the_log_of_a_box_in_trouble_tells_no_secret_no_address_and_no_word(tmp_path):
    data = tmp_path / "box"
    more = {
        "SCRIBEBOX_MODEL": "tiny.en",
        "SCRIBEBOX_LOG_LEVEL": "debug",
        "SCRIBEBOX_DEEPGRAM_API_KEY": CLOUD_KEY,
        "SCRIBEBOX_DEEPGRAM_URL": "http://127.0.0.1:1/secretpath",
        "SCRIBEBOX_WEBHOOK_ALLOW": "127.0.0.0/8",
    }
    with receiver.receiving() as there, running("--port", "0", "--data", str(data), **more) as box:
        trouble = Trouble(box, data)
        with trouble.client:
            bad_uploads(trouble, tmp_path)
            number = good_upload(trouble)
            dead_cloud(trouble)
            signed_links(trouble)
            new_keys(trouble)
            failing_webhooks(trouble, there)
            broken_database(trouble, number)
            wrong_keys(trouble)
        assert box.process.poll() is None
        box.stop()
        assert re.search(r"WARNING api.auth: too many wrong keys", box.output)
        assert re.search(r"ERROR api.problems: error \w+", box.output)
        check_log(box.output, trouble.secrets)


def test_the_log_of_a_box_with_a_broken_model_says_what_is_wrong_and_no_more(tmp_path):
    data = tmp_path / "box"
    broken = data / "models" / "broken"
    broken.mkdir(parents=True)
    found = Shelf(data / "models").find("tiny.en")
    for path in found.folder.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "model.bin").write_bytes(b"secretbody" * 1000)
    with running("--port", "0", "--data", str(data), SCRIBEBOX_MODEL="broken") as box:
        trouble = Trouble(box, data)
        box.wait_for("nothing can be transcribed")
        with trouble.client:
            sample = (SPEECH / "dictation.flac").read_bytes()
            path = f"{SESSIONS}/?title=secrettitle&wait=true"
            trouble.ask("POST", path, (202, 503), content=sample)
            assert trouble.client.get("/health").json()["status"] == "degraded"
        box.stop()
        check_log(box.output, trouble.secrets)
