"""A real box with a virtual microphone whose engine is stopped, and a cloud that really hears."""

import contextlib
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
from fake_deepgram import fake_deepgram
from recording_box import SESSIONS, RecordingBox
from running_box import RunningBox
from speech_fixtures import fixture, words_of, words_wrong
from sqlmodel import select
from virtual_microphone import VirtualMicrophone, missing, wait_until

from appliance.store import usage
from appliance.store.database import Database
from appliance.store.entities import UsageEvent
from engine.whisper import Request
from engine.worker import Priority

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
WAIT_S = 120
PROGRAM = Path(__file__).with_name("stoppable_box.py")
MEETING = fixture("meeting")
CLOUD, BOX = "deepgram-nova-3", "whisper-tiny.en"
KEY = "the-key-nobody-may-see"


@pytest.fixture(scope="module")
def microphone():
    with VirtualMicrophone() as plugged:
        yield plugged


@pytest.fixture
def cloud(tiny):
    """Run a cloud that really hears."""

    def hear(samples, language):
        heard = tiny.submit(samples, Request(language or "en"), Priority.SHORT).result(WAIT_S)
        words = [word for segment in heard.segments for word in segment.words]
        return [
            {"word": "".join(words_of(w.text)), "punctuated_word": w.text}
            | {"start": w.start_ms / 1000, "end": w.end_ms / 1000, "confidence": w.probability}
            for w in words
        ], heard.language

    with fake_deepgram() as fake:
        fake.hear = hear
        yield fake


class StoppableBox(RecordingBox):
    """The box, and how to stop its engine."""

    def __init__(self, data, microphone, cloud, **settings):
        self.stop_file = data.parent / "stop"
        reached = {"SCRIBEBOX_DEEPGRAM_URL": cloud.url, "SCRIBEBOX_DEEPGRAM_API_KEY": KEY}
        failover = {"SCRIBEBOX_FAILOVER": "when-down", "NO_PROXY": "127.0.0.1"}
        super().__init__(data, microphone, **{**failover, **reached, **settings})
        self._server = partial(self._running, self._server.args, self._server.keywords)

    @contextlib.contextmanager
    def _running(self, arguments, settings):
        command = (sys.executable, str(PROGRAM))
        box = RunningBox(arguments, command, **settings, STOP=str(self.stop_file))
        with contextlib.closing(box):
            yield box

    def stop_engine(self):
        self.stop_file.touch()

    def start_engine(self):
        self.stop_file.unlink()

    def segments_of(self, number):
        session = self.status(number)["sessionId"]
        answer = self.client.get(f"{SESSIONS}/{session}/segments").raise_for_status()
        return answer.json()

    def heard(self, number):
        """Return how many seconds have text."""
        return self.status(number)["transcribedSeconds"]


def lines_of(box):
    """Return the lines of the ledger for what the cloud heard."""
    database = Database(box.data / "scribebox.db")
    with database.read() as session:
        rows = session.exec(select(UsageEvent).where(UsageEvent.kind == usage.FAILOVER)).all()
    database.close()
    return rows


def assert_whole(text, timed):
    assert words_wrong(MEETING.text, text) <= 2, text
    starts = [word["start"] for segment in timed["segments"] for word in segment["words"]]
    assert starts == sorted(starts)
    assert timed["suppressed"] == []


def test_an_engine_that_is_stopped_amid_a_recording_costs_no_word(tmp_path, microphone, cloud):
    with StoppableBox(tmp_path / "box", microphone, cloud) as box:
        number = box.start(language="en")
        player = box.play(MEETING.path)
        wait_until(lambda: box.heard(number) > 6, "text of the box")
        box.stop_engine()
        wait_until(lambda: box.status(number)["failover"]["cloudSeconds"] > 0, "text of the cloud")
        told = box.status(number)["failover"]
        assert (told["active"], told["reason"]) == (True, "engineFailing")
        health = box.client.get("/health").json()["checks"]["failover"]
        assert health["status"] == "degraded" and "engineFailing" in health["detail"]
        player.wait(WAIT_S)
        box.wait_for_more(number, 2)
        box.stop(number)
        box.wait_for_state(number, "done")
        timed, session = box.segments_of(number), box.session_of(number)
        assert_whole(session["originalTranscript"], timed)
        made = [(one["engine"], one["engineReason"]) for one in timed["segments"]]
        assert made[0] == (BOX, None) and made[-1] == (CLOUD, "engineFailing")
        assert set(made) == {made[0], made[-1]} and made == sorted(made, key=made.index)
        assert "engineFailing" in timed["warning"]
        (state,) = (one for one in box.events_of(number, "state") if one["state"] == "done")
        assert state["sessionId"] == session["id"]
        told = [one["engineReason"] for one in box.events_of(number, "segment")]
        assert told == [reason for _, reason in made]
        seconds = sum(len(sent.samples) for sent in cloud.sent) / 16_000
        assert box.status(number)["failover"]["cloudSeconds"] == pytest.approx(seconds, abs=0.01)
        metrics = box.client.get("/metrics").text
        assert 'scribebox_failover_requests_total{outcome="heard"}' in metrics
        assert KEY not in metrics and KEY not in box.client.get("/health").text
        month = box.client.get("/v1/transcribe/usage").json()["months"][0]
        assert month["estimatedCost"] == pytest.approx(seconds / 60 * 0.0043, abs=0.0002)
        assert month["dictationCount"] == 0
        assert box.kill(signal.SIGTERM) == -signal.SIGTERM
    assert KEY not in "".join(box.outputs)
    lines = lines_of(box)
    assert [line.audio_ms for line in lines] == [len(s.samples) // 16 for s in cloud.sent]


def test_a_kill_amid_a_request_to_the_cloud_leaves_nothing_out_and_nothing_twice(
    tmp_path, microphone, cloud
):
    with StoppableBox(tmp_path / "box", microphone, cloud) as box:
        number = box.start(language="en")
        box.stop_engine()
        player = box.play(MEETING.path)
        wait_until(lambda: box.status(number)["failover"]["cloudSeconds"] > 0, "text of the cloud")
        sent = len(cloud.sent)
        cloud.behave = "nothing"
        wait_until(lambda: len(cloud.sent) > sent, "a request that hangs")
        box.kill()
        cloud.behave = "200"
        player.wait(WAIT_S)
        box.up()
        box.wait_for_more(number, 2)
        box.stop(number)
        box.wait_for_state(number, "done", "recovered")
        timed, session = box.segments_of(number), box.session_of(number)
        assert_whole(session["originalTranscript"], timed)
        assert {one["engine"] for one in timed["segments"]} == {CLOUD}
        sound = box.sound_of(number, tmp_path).tobytes()
        places = [sound.find(one.samples.tobytes()) for one in cloud.sent]
        places = [place for place in places if place >= 0]  # the first is the sample of the box
        assert len(places) == len(set(places)) + 1  # that which hung was sent again
        own = str(session["id"])
        seconds = box.status(number)["failover"]["cloudSeconds"]
        box.kill(signal.SIGTERM)
    lines = [line for line in lines_of(box) if line.reference == own]
    assert len(lines) == len(set(places))
    assert sum(line.audio_ms for line in lines) == pytest.approx(seconds * 1000, abs=1)


def test_a_stop_amid_a_request_that_hangs_ends_in_time(tmp_path, microphone, cloud):
    cloud.behave = "nothing"
    with StoppableBox(tmp_path / "box", microphone, cloud) as box:
        box.box.wait_for("It heard its sample")  # so that what is sent is of the recording
        box.stop_engine()
        number = box.start(language="en")
        box.play(MEETING.path)
        wait_until(lambda: cloud.sent, "a request")
        box.box.process.send_signal(signal.SIGTERM)
        assert box.box.process.wait(10) == -signal.SIGTERM
        box._stack.close()
        cloud.behave = "200"
        box.up()
        box.wait_for_state(number, "done", "recovered")
        assert {one["engine"] for one in box.segments_of(number)["segments"]} == {CLOUD}


def test_with_never_a_stopped_engine_sends_nothing(tmp_path, microphone, cloud):
    with StoppableBox(tmp_path / "box", microphone, cloud, SCRIBEBOX_FAILOVER="never") as box:
        number = box.start(language="en")
        player = box.play(MEETING.path)
        wait_until(lambda: box.heard(number) > 6, "text of the box")
        box.stop_engine()
        player.wait(WAIT_S)
        box.wait_for_more(number, 2)
        box.stop(number)
        box.wait_for_state(number, "done")
        assert box.client.get("/health").json()["checks"]["failover"]["status"] == "ok"
        assert box.status(number)["failover"] == {
            "active": False, "reason": None, "cloudSeconds": 0.0,
        }  # fmt: skip
    assert cloud.requests == []


def test_a_file_sent_to_a_box_without_a_model_comes_back_as_a_session(tmp_path, microphone, cloud):
    settings = {"SCRIBEBOX_MODEL": "absent", "SCRIBEBOX_FAILOVER": "when-behind"}
    with StoppableBox(tmp_path / "box", microphone, cloud, **settings) as box:
        answer = box.client.post(f"{SESSIONS}/?wait=true", content=MEETING.path.read_bytes())
        assert answer.status_code == 201, answer.text
        session = answer.json()
        timed = box.client.get(f"{SESSIONS}/{session['id']}/segments").json()
        assert_whole(session["originalTranscript"], timed)
        assert {one["engineReason"] for one in timed["segments"]} == {"modelMissing"}
        export = box.client.get(f"{SESSIONS}/{session['id']}/export?format=json").json()
        assert export["segments"][0]["engineReason"] == "modelMissing"
