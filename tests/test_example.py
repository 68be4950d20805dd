"""The example as a person runs it: the real box, the real SDK, and the fake cloud behind both."""

import importlib.util
import io
import signal
import subprocess
import sys
import wave
from pathlib import Path

import httpx
import pytest
from fake_deepgram import fake_deepgram
from running_box import WAIT_S, clean_environment, running
from speech_fixtures import fixture, words_of, words_wrong

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "dictation.py"
DICTATION = fixture("dictation")
CLOUD_KEY = "0123456789abcdef-the-key-nobody-may-see"
HISTORY = "/v1/transcribe/history"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("deepgram") is None,
    reason="needs the SDK: .venv/bin/pip install deepgram-sdk==7.17.0",
)


MICROPHONE = """
import time

class RawInputStream:
    def __init__(self, rate, block, dtype, channels):
        assert (rate, dtype, channels) == (16_000, "int16", 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read(self, samples):
        time.sleep(samples / 16_000)
        return bytes(range(1, 251)) * (samples * 2 // 250) + bytes(samples * 2 % 250), False
"""


def started(*arguments: str | Path, key: str, **more: str) -> subprocess.Popen[str]:
    """Start the example, with a proxy in the environment that doesn't answer."""
    environment = clean_environment(SCRIBEBOX_KEY=key, **more)
    for name in ("http_proxy", "HTTP_PROXY"):
        environment[name] = "http://127.0.0.1:1"
    for name in ("no_proxy", "NO_PROXY"):
        environment.pop(name, None)
    return subprocess.Popen(
        [sys.executable, "-u", EXAMPLE, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def run(*arguments: str | Path, key: str) -> subprocess.CompletedProcess[str]:
    """Run the example to its end."""
    with started(*arguments, key=key) as process:
        try:
            said, complained = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, said, complained)


@pytest.fixture(scope="module")
def cloud():
    with fake_deepgram() as fake:
        fake.transcript, fake.last_words = "Please send the new contract", "before lunch."
        yield fake


@pytest.fixture(scope="module")
def box(cloud, tmp_path_factory):
    """Return a client of a box that has a cloud and no model, with its admin key."""
    data = tmp_path_factory.mktemp("box")
    settings = {"DEEPGRAM_URL": cloud.url, "DEEPGRAM_API_KEY": CLOUD_KEY, "MODEL": "absent"}
    names = {f"SCRIBEBOX_{name}": value for name, value in settings.items()}
    with running("--port", "0", "--data", str(data), **names) as server:
        url = server.url  # waits: the key is there after that
        headers = {"Authorization": f"Bearer {(data / 'admin.key').read_text().strip()}"}
        with httpx.Client(base_url=url, headers=headers, timeout=WAIT_S, trust_env=False) as client:
            yield client
        server.stop()
        assert CLOUD_KEY not in server.output and cloud.token not in server.output


def key_of(box: httpx.Client) -> str:
    return box.headers["Authorization"].removeprefix("Bearer ")


def newest(box: httpx.Client) -> dict:
    return box.get(HISTORY, params={"limit": 1}).raise_for_status().json()["items"][0]


def audio_of(box: httpx.Client, entry: dict) -> bytes:
    link = box.get(f"{HISTORY}/{entry['id']}/audio").raise_for_status().json()["url"]
    return httpx.get(link, timeout=WAIT_S, trust_env=False).raise_for_status().content


def test_a_file_is_dictated_to_the_cloud_and_kept_on_the_box(cloud, box):
    done = run("--box", box.base_url, DICTATION.path, key=key_of(box))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.splitlines() == ["Please send the new contract", "before lunch."]

    heard = cloud.listened[-1]
    sound = DICTATION.path.read_bytes()
    assert (heard.scheme, heard.token, heard.audio_bytes) == ("bearer", cloud.token, len(sound))
    assert "encoding" not in heard.query and heard.commands == ["CloseStream"]
    assert heard.close_code == 1000

    entry = newest(box)
    text = "Please send the new contract before lunch."
    assert (entry["rawTranscript"], entry["cleanedText"]) == (text, text)
    assert (entry["hasAudio"], entry["requestId"]) == (True, heard.request_id)
    assert entry["confidence"] == pytest.approx(0.98)
    assert entry["model"] == "2-general-nova"
    assert entry["durationMs"] == round(entry["audioDurationSec"] * 1000) > 0

    assert audio_of(box, entry) == sound


@pytest.mark.long
def test_the_microphone_is_dictated_until_ctrl_c_and_kept_as_wav(cloud, box, tmp_path):
    (tmp_path / "sounddevice.py").write_text(MICROPHONE)  # no test machine has a microphone
    arguments = ("--box", box.base_url, "--engine", "cloud")
    with started(*arguments, key=key_of(box), PYTHONPATH=str(tmp_path)) as process:
        try:
            assert process.stdout.readline() == "Please send the new contract\n"
            process.send_signal(signal.SIGINT)
            said, complained = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
    assert (process.returncode, said, complained) == (0, "before lunch.\n", "")
    heard = cloud.listened[-1]
    assert (heard.query["encoding"], heard.query["sample_rate"]) == (["linear16"], ["16000"])
    with wave.open(io.BytesIO(audio_of(box, newest(box)))) as recording:
        assert recording.getparams()[:3] == (1, 2, 16_000)
        assert len(recording.readframes(recording.getnframes())) == heard.audio_bytes > 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no such file.flac"], "No such file"),
        ([Path(__file__).parent], "Is a directory"),
    ],
)
def test_a_file_that_can_not_be_read_is_one_line(box, arguments, said):
    done = run("--box", box.base_url, *arguments, key=key_of(box))
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.long
def test_what_the_box_refuses_is_one_line_without_the_key(box):
    key = "sb_live_aaaaaaaa_" + "b" * 43
    done = run("--box", box.base_url, DICTATION.path, key=key)
    assert (done.returncode, done.stdout) == (1, "")
    assert "401" in done.stderr and len(done.stderr.splitlines()) == 1
    assert key not in done.stderr


@pytest.mark.long
def test_a_box_that_is_not_there_is_one_line(box):
    done = run("--box", "http://127.0.0.1:1", DICTATION.path, key=key_of(box))
    assert done.returncode == 1
    assert "http://127.0.0.1:1" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.long
def test_a_socket_that_is_refused_is_one_line_without_the_token(cloud, box):
    before, cloud.behave = len(cloud.listened), "200 401"
    try:
        done = run("--box", box.base_url, DICTATION.path, key=key_of(box))
    finally:
        cloud.behave = "200"
    assert (done.returncode, done.stdout) == (1, "")
    assert "401" in done.stderr and len(done.stderr.splitlines()) == 1
    assert cloud.token not in done.stderr and len(cloud.listened) == before


@pytest.mark.long
def test_without_a_key_it_says_which_variable_to_set():
    done = run(key="")
    assert done.returncode == 1 and "SCRIBEBOX_KEY" in done.stderr


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """Return a client of a box that has a model and no cloud."""
    data = tmp_path_factory.mktemp("offline")
    with running("--port", "0", "--data", str(data), SCRIBEBOX_MODEL="tiny.en") as server:
        url = server.url
        headers = {"Authorization": f"Bearer {(data / 'admin.key').read_text().strip()}"}
        with httpx.Client(base_url=url, headers=headers, timeout=WAIT_S, trust_env=False) as client:
            yield client
        server.stop()


@pytest.mark.long
def test_without_a_cloud_the_same_file_is_dictated_to_the_box_itself(offline):
    done = run("--box", offline.base_url, DICTATION.path, key=key_of(offline))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    heard = " ".join(done.stdout.split())
    spoken = " ".join(utterance.text for utterance in DICTATION.utterances)
    assert words_wrong(spoken, heard) <= 0.25 * len(words_of(spoken))
    entry = newest(offline)
    assert (entry["rawTranscript"], entry["model"]) == (heard, "whisper-tiny.en")
    assert 0.5 < entry["confidence"] <= 1
    assert audio_of(offline, entry) == DICTATION.path.read_bytes()
