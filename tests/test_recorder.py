"""From the microphone to the session, with a real server, a real sound server and real weights."""

import signal
import time

import pytest
from numbered_sound import sound
from recording_box import RECORDINGS, SESSIONS, RecordingBox
from speech_fixtures import fixture, words_wrong
from virtual_microphone import VirtualMicrophone, missing, wait_until

from appliance.audio_folder import AudioFolder
from appliance.finishing import Finishing
from engine.worker import Worker

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
PLAYING_S = 120


@pytest.fixture(scope="module")
def microphone():
    with VirtualMicrophone() as plugged:
        yield plugged


@pytest.fixture
def box(tmp_path, microphone):
    with RecordingBox(tmp_path / "box", microphone) as running_box:
        yield running_box


def hear(box, number, spoken):
    """Let a recording hear all of a file, also what is on its way through the sound server."""
    assert box.play(spoken.path).wait(PLAYING_S) == 0
    box.wait_for_more(number, 0.5)


def test_what_is_said_becomes_a_session(box, microphone, tmp_path):
    spoken = fixture("dictation")
    number = box.start(title="Standup", tags="a,b")
    hear(box, number, spoken)
    running = box.status(number)
    assert running["state"] == "recording"
    box.stop(number)
    done = box.wait_for_state(number, "done")
    assert abs(done["capturedSeconds"] - done["elapsedSeconds"]) < 0.2
    assert done["gaps"] == []
    session = box.session_of(number)
    assert (session["title"], session["tags"]) == ("Standup", "a,b")
    assert words_wrong(spoken.text, session["originalTranscript"]) <= 1
    assert len(box.sound_of(number, tmp_path)) / 16_000 == pytest.approx(
        done["capturedSeconds"], abs=0.001
    )
    assert not (box.data / "recordings" / str(number)).exists()
    segments = box.events_of(number, "segment")
    assert " ".join(segment["text"] for segment in segments) == session["originalTranscript"]


@pytest.mark.long
def test_without_a_model_it_records_and_the_text_comes_once_there_is_one(tmp_path, microphone):
    spoken = fixture("dictation")
    with RecordingBox(tmp_path / "box", microphone, SCRIBEBOX_MODEL="absent") as box:
        number = box.start()
        hear(box, number, spoken)
        box.stop(number)
        wait_until(lambda: box.capture(number) is None, "the end of the capture")
        assert box.status(number)["state"] == "finishing"
        box.kill(signal.SIGTERM)
        assert "Traceback" not in box.outputs[-1]
    with RecordingBox(tmp_path / "box", microphone) as box:
        box.wait_for_state(number, "done")
        assert words_wrong(spoken.text, box.session_of(number)["originalTranscript"]) <= 1


def test_a_microphone_records_one_thing_at_a_time(box):
    number = box.start()
    second = box.client.post(RECORDINGS, json={})
    assert second.status_code == 409
    assert f"recording {number}" in second.json()["detail"]
    box.stop(number)
    again = box.start()  # at once
    assert box.client.post(f"{RECORDINGS}/{again}/discard").status_code == 204


def test_what_is_discarded_is_gone(box):
    number = box.start(title="secret")
    box.wait_for_seconds(number, 1)
    assert box.client.post(f"{RECORDINGS}/{number}/discard").status_code == 204
    assert box.client.get(f"{RECORDINGS}/{number}").status_code == 404
    assert not (box.data / "recordings" / str(number)).exists()
    assert box.capture(number) is None
    titles = [one["title"] for one in box.client.get(f"{SESSIONS}/").json()]
    assert "secret" not in titles
    assert box.client.post(f"{RECORDINGS}/{number}/stop").status_code == 404


def test_a_recording_ends_by_itself_after_its_time(box):
    number = box.start(maxSeconds=2)
    done = box.wait_for_state(number, "done")
    assert 2 <= done["capturedSeconds"] < 10  # a busy machine notices later
    assert box.session_of(number)["title"].startswith("Recording of 20")
    assert box.session_of(number)["note"] == ""


@pytest.mark.long
def test_silence_raises_an_alarm(box):
    number = box.start()
    wait_until(lambda: box.status(number)["alarms"] == ["silent"], "an alarm")
    assert box.status(number)["level"] < -70
    box.stop(number)
    box.wait_for_state(number, "done")
    assert {"alarm": "silent", "active": True} in box.events_of(number, "alarm")


@pytest.mark.long
def test_an_upload_meanwhile_delays_no_text(box, microphone):
    spoken = fixture("dictation")
    upload = box.client.post(f"{SESSIONS}/", content=fixture("meeting").path.read_bytes())
    assert upload.status_code == 202
    number = box.start()
    hear(box, number, spoken)
    box.stop(number)
    box.wait_for_state(number, "done")
    assert words_wrong(spoken.text, box.session_of(number)["originalTranscript"]) <= 1


@pytest.mark.long
def test_a_microphone_that_is_away_to_the_end_is_a_gap_too(tmp_path):
    with VirtualMicrophone() as own, RecordingBox(tmp_path / "box", own) as box:
        number = box.start()
        box.wait_for_seconds(number, 2)
        own.unplug()
        wait_until(lambda: "deviceLost" in box.status(number)["alarms"], "an alarm")
        time.sleep(1)
        box.stop(number)
        done = box.wait_for_state(number, "done")
    (gap,) = done["gaps"]
    assert gap["cause"] == "device lost"
    assert gap["seconds"] >= 1
    lost = done["elapsedSeconds"] - done["capturedSeconds"]
    assert lost == pytest.approx(gap["seconds"], abs=0.3)


def test_without_room_for_a_flac_the_journal_stays_the_audio(tmp_path, database, account):
    folder = tmp_path / "recordings" / "1"
    (tmp_path / "audio").mkdir()
    folder.mkdir(parents=True)
    (folder / "audio.pcm").write_bytes(sound(1).tobytes())
    broken = AudioFolder(tmp_path / "not there")
    kept = Finishing(database, Worker(lambda: None), broken).keep(folder, "recording-1")
    assert (kept.path, kept.bytes) == ("recordings/1/audio.pcm", 32_000)
    whole = Finishing(database, Worker(lambda: None), AudioFolder(tmp_path / "audio"))
    assert whole.keep(folder, "recording-1").media_type == "audio/flac"
