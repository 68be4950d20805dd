"""The Transcribe API, exchange by exchange, as `exchanges/transcribe.json` has them on record.

Each is a request and the answer a client may rely on. `<uuid>`, `<time>`, `<text>`, `<number>`,
`<jwt>` and `<link>` stand for values that differ each time; `<uuid:name>` keeps one as `{name}`.
All of them run in order against one real server, with a fake of Deepgram beside it.
"""

import json
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from fake_deepgram import fake_deepgram
from running_box import WAIT_S, running
from speech_fixtures import fixture, write_wav

from appliance import secret
from appliance.signatures import DOWNLOAD, UPLOAD, Signatures
from appliance.store import accounts, keys
from appliance.store.database import Database

RECORDED = json.loads((Path(__file__).parent / "exchanges" / "transcribe.json").read_text("utf-8"))
CLOUD_KEY = "cloud-key-that-nobody-may-see"
LIMIT_BYTES = 2_000_000
FORMS = {
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "text": r".+",
    "number": r"\d+",
    "jwt": r"[\w-]+\.[\w-]+\.[\w-]+",
    "link": r"http://127\.0\.0\.1:\d+/v1/transcribe/audio/[0-9a-f]{32}\?signature=[\w.-]+",
}
PLACE = re.compile(r"<(\w+)(?::(\w+))?>")
CALLERS = {
    "all": ("default", ["transcribe:*"]),
    "token": ("default", ["transcribe:token"]),
    "history": ("default", ["transcribe:history"]),
    "usage": ("default", ["transcribe:usage"]),
    "reader": ("default", ["sessions:read"]),
    "listener": ("default", ["listen"]),
    "stranger": ("stranger", ["transcribe:*"]),
    "trial": ("trial", ["transcribe:*"]),
}


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """Replay all exchanges; return what each of them got, and the log of the server."""
    data = tmp_path_factory.mktemp("box")
    with (
        fake_deepgram() as cloud,
        running(
            "--port", "0", "--data", str(data),
            SCRIBEBOX_MODEL="absent",
            SCRIBEBOX_DEEPGRAM_URL=cloud.url,
            SCRIBEBOX_DEEPGRAM_API_KEY=CLOUD_KEY,
            SCRIBEBOX_PLANS="trial=5/8",
            SCRIBEBOX_PRICES="nova-3=0.0077,default=0.0043",
            SCRIBEBOX_UPLOAD_LIMIT_BYTES=str(LIMIT_BYTES),
            SCRIBEBOX_LOG_LEVEL="debug",
            NO_PROXY="127.0.0.1",
        ) as box,
        httpx.Client(base_url=box.url, timeout=WAIT_S, trust_env=False) as client,
    ):  # fmt: skip
        saved = known(data, box.url, cloud.url)
        callers = new_keys(data)
        bodies = bodies_of(tmp_path_factory.mktemp("audio"))
        got = []
        for step in RECORDED:
            cloud.behave = step.get("cloud", "200")
            response = send(client, step, callers, bodies, saved)
            got.append((response, complaints(step, response, bodies, saved)))
        box.stop()
    return got, box.output


def known(data, url, cloud_url):
    """Return what exchanges may name from the start."""
    signatures = Signatures(secret.load(data / "secret").key(secret.SIGNED_URLS))
    path = f"/v1/transcribe/audio/{'0' * 32}"
    now = datetime.now(UTC)
    return {
        "box_listen": f"{url.replace('http', 'ws', 1)}/v1/listen",
        "cloud_listen": f"{cloud_url.replace('http', 'ws', 1)}/v1/listen",
        "expired_upload": f"{path}?signature={signatures.sign(UPLOAD, path, 1, -1)}",
        "expired_download": f"{path}?signature={signatures.sign(DOWNLOAD, path, 1, -1)}",
        "today": f"{now:%Y-%m-%d}",
        "month": f"{now:%Y-%m}",
        "last_month": f"{now.replace(day=1) - timedelta(days=1):%Y-%m}",
    }


def new_keys(data):
    """Return the Authorization of everybody who takes part."""
    with closing(Database(data / "scribebox.db")) as database, database.write() as session:
        accounts.create(session, "stranger")
        accounts.create(session, "trial", "trial", plans=("trial",))
        return {
            who: keys.create(session, accounts.named(session, owner), who, scopes)[1]
            for who, (owner, scopes) in CALLERS.items()
        }


def bodies_of(folder):
    """Return the bytes that exchanges name."""
    return {
        "speech": fixture("dictation").path.read_bytes(),
        "silence": write_wav(folder / "silence.wav", np.zeros(16_000, np.int16)).read_bytes(),
        "too much": bytes(LIMIT_BYTES + 1),
    }


def send(client, step, callers, bodies, saved):
    """Send the request of an exchange."""
    method, _, path = step["send"].partition(" ")
    headers = dict(step.get("headers", {}))
    if step["as"] != "nobody":
        headers["Authorization"] = f"{step.get('scheme', 'Bearer')} {callers[step['as']]}"
    content = None
    if "json" in step:
        content = json.dumps(filled(step["json"], saved)).replace("<long>", "é" * (1 << 19) + "e")
        content, headers["Content-Type"] = content.encode(), "application/json"
    elif "body" in step:
        content = bytes_of(step["body"], bodies)
    return client.request(method, filled(path, saved), headers=headers, content=content)


def bytes_of(name, bodies):
    """Return a body by its name, or the text that stands there."""
    return name.removeprefix("text:").encode() if name.startswith("text:") else bodies[name]


def filled(value, saved):
    """Put what was kept in its places."""
    if isinstance(value, dict):
        return {name: filled(inner, saved) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, saved) for inner in value]
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda m: saved.get(m[1], m[0]), value)
    return value


def complaints(step, response, bodies, saved):
    """Return in what the answer differs from the recorded one, "" if in nothing."""
    if response.status_code != step["status"]:
        return f"{response.status_code}, not {step['status']}: {response.text[:300]}"
    for name, wanted in step.get("answerHeaders", {}).items():
        if not matches(response.headers.get(name, ""), wanted, saved):
            return f"header {name}: {response.headers.get(name)}"
    if "answerBody" in step and response.content != bytes_of(step["answerBody"], bodies):
        return f"another body: {response.content[:100]!r}"
    if "answer" in step and not matches(response.json(), step["answer"], saved):
        return f"another answer: {response.text[:1000]}"
    return ""


def matches(got, wanted, saved):
    """Tell whether a value is the recorded one; keep what has a name."""
    if isinstance(wanted, dict):
        return (
            isinstance(got, dict)
            and got.keys() == wanted.keys()
            and all(matches(got[name], inner, saved) for name, inner in wanted.items())
        )
    if isinstance(wanted, list):
        return (
            isinstance(got, list)
            and len(got) == len(wanted)
            and all(matches(*pair, saved) for pair in zip(got, wanted, strict=True))
        )
    place = PLACE.fullmatch(wanted) if isinstance(wanted, str) else None
    if place is None:
        return (got == filled(wanted, saved) and type(got) is not bool) or got is wanted
    if not re.fullmatch(FORMS[place[1]], str(got), re.DOTALL):
        return False
    if place[2]:
        saved[place[2]] = got
    return True


@pytest.mark.parametrize("number", range(len(RECORDED)), ids=lambda n: RECORDED[n]["says"])
def test_the_answer_is_the_recorded_one(replayed, number):
    _, complaint = replayed[0][number]
    assert complaint == "", RECORDED[number]["send"]


def test_refusals_are_problems_or_in_deepgrams_shape(replayed):
    for step, (response, _) in zip(RECORDED, replayed[0], strict=True):
        if response.status_code >= 400 and "grant" not in step["send"]:
            assert response.headers["content-type"].startswith("application/problem+json"), step


def test_the_cloud_key_is_in_no_answer_and_no_line_of_the_log(replayed):
    answers, log = replayed
    for response, _ in answers:
        assert CLOUD_KEY not in response.text
        assert CLOUD_KEY not in str(response.headers)
    assert CLOUD_KEY not in log
    assert "no token of the cloud" in log  # it did log


def test_the_log_holds_no_text_no_link_and_no_token(replayed):
    answers, log = replayed
    assert "hello there" not in log.lower()
    assert "signature=" not in log
    for response, _ in answers:
        if "token" in response.text and response.status_code == 200:
            told = response.json()
            assert str(told.get("token", told.get("access_token", "-none-"))) not in log
