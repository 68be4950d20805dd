"""SIGTERM: the box ends within 10 s whatever it is at, and the next start has everything."""

import contextlib
import signal
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

import httpx
import pytest
import receiver
import running_box
from numbered_sound import RATE, places, sound, steps
from recording_box import RECORDINGS, SESSIONS, RecordingBox
from speech_fixtures import SPEECH, fixture, write_wav
from virtual_microphone import VirtualMicrophone, missing, wait_until

from engine.audio import read

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
PROMISED_S = 10.0
LISTENERS = 5
ALLOWED = {"SCRIBEBOX_WEBHOOK_ALLOW": "127.0.0.0/8"}
TIMES = 60  # that the meeting is in the file that is being transcribed: not over before the stop
SLOW = """
import pathlib, sys, time
from engine import whisper
transcribe = whisper.Whisper.transcribe
def slow(self, *given, **more):
    if pathlib.Path({flag!r}).exists():
        time.sleep(600)
    return transcribe(self, *given, **more)
whisper.Whisper.transcribe = slow
from api import cli
sys.exit(cli.main())
"""


@pytest.fixture(scope="module")
def microphone():
    with VirtualMicrophone() as plugged:
        yield plugged


@pytest.fixture
def there():
    """Run a receiver of webhooks."""
    with receiver.receiving() as running_receiver:
        yield running_receiver


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """Return a sound that numbers itself, and its file."""
    played = sound(60)
    path = tmp_path_factory.mktemp("numbered") / "numbered.wav"
    write_wav(path, played)
    return played, path


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    """Return a file whose transcription takes longer than a stop may."""
    import numpy as np

    said = read(SPEECH / "meeting.flac")
    return write_wav(tmp_path_factory.mktemp("long") / "long.wav", np.tile(said, TIMES))


class Listener:
    """Somebody who follows a recording."""

    def __init__(self, box, number):
        self.kinds, self.error, self.ended = [], None, threading.Event()
        self._client = httpx.Client(
            base_url=box.client.base_url, headers=box.client.headers, timeout=60, trust_env=False
        )
        self._path = f"{RECORDINGS}/{number}/events"
        self.heard = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        try:
            with self._client, self._client.stream("GET", self._path) as answer:
                for line in answer.iter_lines():
                    if line.startswith("event:"):
                        self.kinds.append(line.partition(" ")[2])
                        self.heard.set()
        except httpx.TransportError as error:
            self.error = error
        finally:
            self.ended.set()


def half_sent(box, stack):
    """Begin an upload that never ends; return its connection."""
    address = urlsplit(str(box.client.base_url))
    connection = socket.create_connection((address.hostname, address.port), 30)
    stack.callback(connection.close)
    key = box.client.headers["Authorization"]
    connection.sendall(
        f"POST {SESSIONS}/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: {key}\r\n"
        "Content-Length: 5000000\r\n\r\n".encode()
        + bytes(2_000_000)
    )
    return connection


def delivering(box, there):
    """Let a delivery be on its way to somebody who takes it and never answers."""
    url = there.url("/never")
    assert box.client.post("/api/v1/webhooks", json={"url": url}).status_code == 201
    sample = (SPEECH / "dictation.flac").read_bytes()
    assert box.client.post(f"{SESSIONS}/?wait=true", content=sample).status_code == 201
    there.wait_for(1)


def busy(box, played, long_file, stack):
    """Let a box be at everything at once; return what to look at afterwards."""
    number = box.start(title="the meeting")
    box.play(played)
    listeners = [Listener(box, number) for _ in range(LISTENERS)]
    answer = box.client.post(f"{SESSIONS}/?title=long", content=long_file.read_bytes())
    assert answer.status_code == 202
    job = answer.json()["job"]
    short = (SPEECH / "dictation.flac").read_bytes()
    waiting = box.client.post(f"{SESSIONS}/?title=waiting", content=short)
    half_sent(box, stack)
    box.wait_for_seconds(number, 5)
    for listener in listeners:
        assert listener.heard.wait(60)
    return number, job, waiting.json()["job"], listeners


def wait_for_progress(box, job):
    """Wait until a job is in the middle of its file."""
    wait_until(lambda: box.client.get(f"/api/v1/jobs/{job}").json()["progress"] > 0, "progress", 60)
    assert box.client.get(f"/api/v1/jobs/{job}").json()["state"] == "running"


def stop(box):
    """Send the signal; return how long it took."""
    began = time.monotonic()
    assert box.kill(signal.SIGTERM) == -signal.SIGTERM
    took_s = time.monotonic() - began
    said = box.outputs[-1]
    assert "Traceback" not in said, said
    return took_s


def check_streams(listeners):
    """Check that every stream came to an orderly end."""
    for listener in listeners:
        assert listener.ended.wait(60)
        assert listener.error is None
        assert "state" in listener.kinds


def check_recording(box, number, played, folder):
    """Check that the recording is a session, with all of its sound."""
    done = box.wait_for_state(number, "done")
    assert done["gaps"] == [] and done["capturedSeconds"] >= 5
    assert abs(done["elapsedSeconds"] - done["capturedSeconds"]) < 0.5
    captured = box.sound_of(number, folder)
    assert [jump for _, jump in steps(places(captured, played), RATE // 100)] == []


def test_a_box_that_is_at_everything_ends_in_time_and_loses_nothing(
    tmp_path, microphone, numbered, long_file, there
):
    with (
        contextlib.ExitStack() as stack,
        RecordingBox(tmp_path / "box", microphone, **ALLOWED) as box,
    ):
        delivering(box, there)
        number, job, waiting, listeners = busy(box, numbered[1], long_file, stack)
        wait_for_progress(box, job)
        took_s = stop(box)
        print(f"ended {took_s:.1f} s after the signal")
        assert took_s < PROMISED_S
        check_streams(listeners)
        assert box.capture(number) is None
        box.up()
        check_delivery(there)
        check_recording(box, number, numbered[0], tmp_path)
        words = TIMES * len(fixture("meeting").text.split()), len(fixture("dictation").text.split())
        for one, wanted in zip((job, waiting), words, strict=True):
            wait_until(
                lambda one=one: box.client.get(f"/api/v1/jobs/{one}").json()["state"] == "done",
                "a session of an upload", 300,
            )  # fmt: skip
            made = box.client.get(f"/api/v1/jobs/{one}").json()["sessionId"]
            text = box.client.get(f"{SESSIONS}/{made}/").json()["originalTranscript"]
            assert abs(len(text.split()) - wanted) <= wanted // 12, text
        titles = [each["title"] for each in box.client.get(f"{SESSIONS}/").json()]
        assert sorted(titles)[-3:] == ["long", "the meeting", "waiting"] and len(titles) == 5
        kept = {path.name for path in (box.data / "audio").iterdir()}
        assert not [name for name in kept if name.endswith(".part")]


def test_an_engine_that_does_not_come_back_delays_nothing_beyond_the_promise(
    tmp_path, microphone, long_file, there, monkeypatch
):
    flag = tmp_path / "slow"
    slow = (sys.executable, "-c", SLOW.format(flag=str(flag)))
    monkeypatch.setattr(running_box, "SCRIBEBOX", slow)
    with (
        contextlib.ExitStack() as stack,
        RecordingBox(tmp_path / "box", microphone, **ALLOWED) as box,
    ):
        wait_until(lambda: "heard its sample" in output(box), "the sample", 60)
        delivering(box, there)
        flag.touch()
        number, job, _, listeners = busy(box, SPEECH / "meeting.flac", long_file, stack)
        wait_until(lambda: box.status(number)["capturedSeconds"] > 8, "something said", 60)
        took_s = stop(box)
        print(f"ended {took_s:.1f} s after the signal")
        assert took_s < PROMISED_S
        check_streams(listeners)
        assert box.capture(number) is None
        flag.unlink()
        box.up()
        check_delivery(there)
        assert box.wait_for_state(number, "done")["gaps"] == []
        assert "morning" in box.session_of(number)["originalTranscript"].lower()
        assert box.client.get(f"/api/v1/jobs/{job}").json()["state"] in ("queued", "running")


def check_delivery(there):
    """Check that the delivery that was cut off comes again, as the same one."""
    there.set("/never", "ok")
    there.wait_for(2, timeout_s=60)
    first, second, *_ = there.received()
    assert second.headers["webhook-id"] == first.headers["webhook-id"]
    assert second.body == first.body


def output(box):
    """Return what a box has said so far."""
    with contextlib.suppress(AssertionError):
        box.box.wait_for("nothing says this", 0.01)
    return box.box.output
