"""What a recording survives: each fault loses at most a second, and is told as a gap.

The sound played numbers itself, so that what is missing is known to the sample. The take is ended
by a stop call where a server runs, otherwise by nobody.
"""

import os
import random
import signal
import subprocess
import time

import pytest
from numbered_sound import RATE, places, sound, steps
from recording_box import RecordingBox
from speech_fixtures import write_wav
from virtual_microphone import VirtualMicrophone, missing, wait_until

pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
PLAYED_S = 240  # longer than twenty starts take on a slow machine
MOST_LOST_S = 1.0
BACK_WITHIN_S = 5.0
JITTER_S = 0.2  # of clocks against each other


@pytest.fixture(scope="module")
def microphone():
    with VirtualMicrophone() as plugged:
        yield plugged


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """Return the sound and its file."""
    played = sound(PLAYED_S)
    path = tmp_path_factory.mktemp("numbered") / "numbered.wav"
    write_wav(path, played)
    return played, path


@pytest.fixture
def box(tmp_path, microphone):
    with RecordingBox(tmp_path / "box", microphone) as running_box:
        yield running_box


def finish(box, number):
    """Stop, and return the recording once its session is there."""
    box.stop(number)
    return box.wait_for_state(number, "done")


def check_whole(box, number, played, tmp_path, tolerance_s=0.01):
    """Check that what was captured is what was played, without a step."""
    captured = box.sound_of(number, tmp_path)
    found = places(captured, played)
    assert len(found) * 0.1 > 0.8 * len(captured) / RATE - 2
    assert [jump for _, jump in steps(found, int(tolerance_s * RATE))] == []


def missing_before_fault(box, number, played, tmp_path):
    """Return the seconds that are missing at each step beyond what the gaps tell."""
    captured = box.sound_of(number, tmp_path)
    jumps = [jump / RATE for _, jump in steps(places(captured, played), RATE // 20)]
    return jumps


@pytest.mark.long
def test_a_server_killed_twenty_times_costs_the_recording_nothing(
    box, microphone, numbered, tmp_path
):
    kill_storm(box, microphone, numbered, tmp_path, kills=20, seed=2)


def kill_storm(box, microphone, numbered, tmp_path, kills, seed):
    played, path = numbered
    chance = random.Random(seed)
    box.load_ahead()
    number = box.start()
    capture = box.capture(number)
    box.play(path)
    for _ in range(kills):
        time.sleep(chance.uniform(0.1, 1.3))
        box.kill()
        time.sleep(chance.uniform(0, 0.5))
        box.up()
        assert box.status(number)["state"] == "recording"
        assert box.capture(number) == capture  # adopted
    box.wait_for_more(number, 1)
    done = finish(box, number)
    assert done["gaps"] == []
    assert abs(done["capturedSeconds"] - done["elapsedSeconds"]) < JITTER_S
    check_whole(box, number, played, tmp_path)


@pytest.mark.long
def test_a_capture_that_is_killed_is_back_and_the_hole_is_told(box, microphone, numbered, tmp_path):
    played, path = numbered
    number = box.start()
    box.play(path)
    box.wait_for_seconds(number, 4)
    box.kill_capture(number)
    box.wait_for_more(number, 2)
    done = finish(box, number)
    assert [gap["cause"] for gap in done["gaps"]] == ["capture killed"]
    assert done["gaps"][0]["seconds"] < BACK_WITHIN_S
    check_gap(box, number, played, tmp_path, done)


def check_gap(box, number, played, tmp_path, done):
    """Check that the one hole is as long as told, and no more than a second longer."""
    lost = missing_before_fault(box, number, played, tmp_path)
    told = [gap["seconds"] for gap in done["gaps"]]
    assert len(lost) == len(told) == 1, (lost, told)
    assert told[0] - JITTER_S <= lost[0] <= told[0] + MOST_LOST_S
    assert abs(done["elapsedSeconds"] - done["capturedSeconds"] - told[0]) < MOST_LOST_S


@pytest.mark.long
def test_server_and_capture_killed_at_once_go_on_after_a_start(box, microphone, numbered, tmp_path):
    played, path = numbered
    number = box.start()
    box.play(path)
    box.wait_for_seconds(number, 4)
    box.kill()
    box.kill_capture(number)
    time.sleep(2)  # an outage
    box.up()
    box.wait_for_more(number, 2)
    done = finish(box, number)
    assert [gap["cause"] for gap in done["gaps"]] == ["outage"]
    check_gap(box, number, played, tmp_path, done)


@pytest.mark.long
def test_what_was_cut_off_long_ago_becomes_a_session_by_itself(box, microphone, numbered, tmp_path):
    played, path = numbered
    number = box.start()
    box.play(path)
    box.wait_for_seconds(number, 4)
    box.kill()
    box.kill_capture(number)
    folder = box.data / "recordings" / str(number)
    with (folder / "audio.pcm").open("ab") as torn:
        torn.write(b"\x01")  # half a sample
    long_ago = time.time() - 3600
    os.utime(folder / "audio.pcm", (long_ago, long_ago))
    box.up()
    done = box.wait_for_state(number, "recovered")
    assert done["capturedSeconds"] >= 4
    check_whole(box, number, played, tmp_path)


@pytest.mark.long
def test_a_microphone_that_is_unplugged_is_a_gap(box, microphone, numbered):
    _, path = numbered
    number = box.start()
    box.play(path)
    box.wait_for_seconds(number, 3)
    away_at = time.monotonic()
    microphone.unplug()
    wait_until(lambda: "deviceLost" in box.status(number)["alarms"], "an alarm")
    time.sleep(max(away_at + 5 - time.monotonic(), 0))
    microphone.plug()
    box.wait_for_more(number, 0.5)
    back_at = time.monotonic()
    box.wait_for_more(number, 1.5)
    done = finish(box, number)
    assert [gap["cause"] for gap in done["gaps"]] == ["device lost"]
    assert 4.5 <= done["gaps"][0]["seconds"] <= back_at - away_at + JITTER_S
    assert done["gaps"][0]["atSeconds"] >= 3 - MOST_LOST_S
    assert abs(
        done["elapsedSeconds"] - done["capturedSeconds"] - done["gaps"][0]["seconds"]
    ) < MOST_LOST_S  # fmt: skip
    alarms = box.events_of(number, "alarm")
    assert {"alarm": "deviceLost", "active": True} in alarms


@pytest.mark.long
def test_a_sound_server_that_dies_is_a_gap(box, microphone, numbered):
    _, path = numbered
    number = box.start()
    box.play(path)
    box.wait_for_seconds(number, 3)
    microphone.kill_server()
    time.sleep(2)
    microphone.restart_server()
    box.wait_for_more(number, 2)
    done = finish(box, number)
    assert [gap["cause"] for gap in done["gaps"]] == ["device lost"]


@pytest.mark.long
def test_a_server_that_is_asked_to_end_ends_its_recordings_and_loses_nothing(
    box, microphone, numbered, tmp_path
):
    played, path = numbered
    number = box.start()
    box.play(path)
    box.wait_for_seconds(number, 4)
    started = time.monotonic()
    box.kill(signal.SIGTERM)
    assert time.monotonic() - started < 12
    assert box.capture(number) is None
    box.up()
    done = box.wait_for_state(number, "done")
    assert done["gaps"] == []
    assert done["capturedSeconds"] >= 4
    check_whole(box, number, played, tmp_path)


@pytest.mark.long
def test_a_stop_during_a_kill_comes_to_its_end(box, microphone, numbered, tmp_path):
    played, path = numbered
    number = box.start()
    box.play(path)
    box.wait_for_seconds(number, 4)
    box.stop(number)
    box.kill()
    box.up()
    done = box.wait_for_state(number, "done")
    assert done["gaps"] == []
    assert box.capture(number) is None
    check_whole(box, number, played, tmp_path)


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_fills_up_ends_the_recording_with_what_there_is(tmp_path, microphone, numbered):
    played, path = numbered
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(small)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.decode()}")
    try:
        with RecordingBox(
            small / "box", microphone,
            SCRIBEBOX_DISK_REFUSE_BYTES="1000000", SCRIBEBOX_DISK_STOP_BYTES="8000000",
        ) as box:  # fmt: skip
            number = box.start()
            box.play(path)
            box.wait_for_seconds(number, 4)
            room = os.statvfs(small)
            filler = room.f_bavail * room.f_frsize - 7_900_000
            (small / "filler").write_bytes(bytes(filler))
            done = box.wait_for_state(number, "done")
            assert [gap["cause"] for gap in done["gaps"]] == ["disk"]
            assert done["capturedSeconds"] >= 4
            captured = box.sound_of(number, tmp_path)
            assert steps(places(captured, played), 200) == []
            assert box.client.get("/health").status_code in (200, 503)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


@pytest.mark.long
def test_a_recording_without_any_sound_is_told_as_failed_and_leaves_nothing(box, microphone):
    number = box.start()
    box.kill()
    box.kill_capture(number)
    folder = box.data / "recordings" / str(number)
    (folder / "audio.pcm").write_bytes(b"")
    (folder / "events.jsonl").write_bytes(b"")
    long_ago = time.time() - 3600
    os.utime(folder / "audio.pcm", (long_ago, long_ago))
    box.up()
    assert box.wait_for_state(number, "failed")["sessionId"] is None
    assert not folder.exists()
    assert box.events_of(number, "segment") == []
