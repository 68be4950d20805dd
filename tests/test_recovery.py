"""Every recording without an end gets one; what is not a recording's is left alone."""

import time

import pytest

from appliance.audio_folder import AudioFolder
from appliance.recorder import Recorder, RecorderOptions
from appliance.store import recordings, sessions
from appliance.store.entities import RecordingState, Source
from engine.errors import ModelUnavailable
from engine.worker import Worker
from scheduler.recovery import decide, recover, sweep


def no_model():
    raise ModelUnavailable("there is none")


@pytest.fixture
def recorder(tmp_path, database):
    for name in ("audio", "recordings"):
        (tmp_path / name).mkdir()
    worker = Worker(no_model).start()
    made = Recorder(
        database, worker, AudioFolder(tmp_path / "audio"), tmp_path / "recordings",
        RecorderOptions(),
    )  # fmt: skip
    yield made
    made.close(1)
    worker.stop()


@pytest.fixture
def row(database, account):
    with database.write() as session:
        hidden = sessions.open_one(session, account, Source.MICROPHONE)
        return recordings.add(session, account, hidden.id, device="d", profile="meeting")


def test_what_to_do_goes_by_the_age_of_the_last_sound(recorder, row):
    capturing = recorder.capturing(row)
    now_s = row.started_at.timestamp()
    assert decide(row, capturing, now_s + 599) == "resume"
    assert decide(row, capturing, now_s + 601) == "recover"
    capturing.folder.mkdir()
    (capturing.folder / "audio.pcm").write_bytes(b"\0\0")
    assert decide(row, capturing, time.time() + 599) == "resume"
    assert decide(row, capturing, time.time() + 601) == "recover"
    row.state = RecordingState.FINISHING
    assert decide(row, capturing, now_s) == "finish"


def test_folders_of_unknown_recordings_go_and_what_is_not_one_stays(database, recorder):
    (recorder.folder / "77").mkdir()
    (recorder.folder / ".DS_Store").write_bytes(b"x")
    (recorder.folder / "lost+found").mkdir()
    (recorder.folder / ("9" * 20)).mkdir()  # no number of a row
    sweep(database, recorder)
    left = {path.name for path in recorder.folder.iterdir()}
    assert left == {".DS_Store", "lost+found", "9" * 20}


def test_a_recording_that_never_had_a_sound_fails(database, recorder, row):
    assert recover(database, recorder, now_s=time.time() + 3600) == 1
    deadline = time.monotonic() + 60
    while recorder.status(row.account_id, row.id).state != "failed":
        assert time.monotonic() < deadline
        time.sleep(0.05)
