"""The capture process and a microphone that can be unplugged: what comes in is on the disk.

What PulseAudio can't do wrong, a scripted PortAudio does in `test_capture_faults.py`.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from running_capture import WAIT_S, capturing
from speech_fixtures import fixture, hiss, write_wav
from virtual_microphone import VirtualMicrophone, missing, wait_until

from appliance.capturing import END_S
from engine import audio
from engine.capture import BACK_OFF_S
from engine.errors import MicrophoneUnavailable
from engine.journal import EVENTS, PCM, JournalReader, beat, capture_pid
from engine.microphone import devices

RATE = 16_000
LOSS_S = 1.0  # what a fault may take of what was captured before it
APART_S = 0.2  # of what was captured, and told to be missing, and the time it took
UNTOLD_S = 0.03  # of each start anew: what the sample clock takes for a busy machine (UNFLAGGED_S)
pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module")
def plugged():
    with VirtualMicrophone() as microphone:
        yield microphone


@pytest.fixture
def microphone(plugged, monkeypatch):
    """Let processes that this test starts meet the virtual microphone."""
    for name, value in plugged.environment.items():
        monkeypatch.setenv(name, value)
    return plugged


def correlation(played, captured):
    """Return how alike they are where they match best, and at which sample of `captured` that is.

    The place is found to an eighth of a sample: the microphone's clock has steps of its own.
    """
    played, captured = played.astype(float), captured.astype(float)
    size = 1 << (len(played) + len(captured)).bit_length()
    spectrum = np.fft.rfft(captured, size) * np.conj(np.fft.rfft(played, size))
    products = 8 * np.fft.irfft(spectrum, 8 * size)[: 8 * len(captured)]
    place = int(np.argmax(products))
    heard = captured[round(place / 8) :][: len(played)]
    return products[place] / np.linalg.norm(played) / np.linalg.norm(heard), round(place / 8)


def check_accounted(run):
    """Check that the seconds captured and those told to be missing are all there were.

    Each start anew may leave a few hundredths untold: a lag that is below the threshold of the
    clock is no loss to it, and those of one start and the next add up.
    """
    events = run.events
    gaps = [event.seconds for event in events if event.kind == "gap"]
    told, elapsed = len(run.samples()) / RATE + sum(gaps), events[-1].at - events[0].at
    assert told == pytest.approx(elapsed, abs=APART_S + UNTOLD_S * len(gaps))


def test_speech_that_is_played_comes_out_as_it_was_and_on_time(tmp_path, microphone):
    spoken = fixture("dictation")
    launched_at = time.time()
    with capturing(tmp_path, "pulse") as run:
        started = run.wait_for("started")
        microphone.play(spoken.path)
        run.wait_for_seconds(0.5)  # what is still on its way
        status, said = run.end()
    assert (status, said) == (0, "")
    played, captured = audio.read(spoken.path), run.samples()
    elapsed = run.events[-1].at - started.at
    alike, at = correlation(played, captured)
    print(f"first sample {started.at - launched_at:.3f} s after the launch")
    print(f"correlation {alike:.5f}, {len(captured) / RATE:.3f} of {elapsed:.3f} s")
    assert alike >= 0.99
    assert at + len(played) <= len(captured)
    onset = 16 * spoken.utterances[0].start_ms
    assert correlation(played[onset : onset + 8000], captured[at:][: onset + 9000])[0] >= 0.99
    assert len(captured) / RATE == pytest.approx(elapsed, abs=APART_S)
    assert [event.kind for event in run.events] == ["started", "stopped"]
    assert (run.events[0].device, run.events[1].cause) == ("pulse", "asked")
    assert run.events[1].sample == len(captured)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_nothing_is_dropped(tmp_path, microphone, sign):
    with capturing(tmp_path, "pulse") as run:
        run.wait_for("started")
        run.wait_for_seconds(1)
        asked_at = time.time()
        assert run.end(sign) == (0, "")
        assert [event.kind for event in run.events] == ["started", "stopped"]
        assert run.events[1].at - asked_at < END_S  # else the server kills it
        assert len(run.samples()) / RATE >= asked_at - run.events[0].at - 0.1
    assert capture_pid(tmp_path) is None


def killed_at_random(folder, rounds, seed):
    """Kill it again and again, look at what is there, and let it go on; return the losses."""
    moments, losses = random.Random(seed), []
    whole = 0
    for number in range(rounds):
        with capturing(folder, "pulse") as run:
            run.wait_for("gap" if number else "started", max(number, 1))
            run.wait_for_seconds(0.2)
            time.sleep(moments.uniform(0, 0.6))
            seen, killed_at = run.reader.samples, time.time()
            run.process.kill()
            run.ended()
            assert len(run.samples()) >= seen > whole
            last = run.all("gap")[-1] if number else run.all("started")[0]
            captured = (len(run.samples()) - last.sample) / RATE
            losses.append(killed_at - last.at - captured)
            whole = len(run.samples())
    with capturing(folder, "pulse") as run:
        run.wait_for("gap", rounds)
        run.wait_for_seconds(0.2)
        assert run.end() == (0, "")
    assert [event.kind for event in run.events] == ["started", *["gap"] * rounds, "stopped"]
    assert {gap.cause for gap in run.all("gap")} == {"capture killed"}
    check_accounted(run)
    return losses


def test_a_killed_capture_loses_next_to_nothing_and_a_new_one_goes_on(tmp_path, microphone):
    losses = killed_at_random(tmp_path, rounds=2, seed=1)
    print(f"lost by kill -9: at most {max(losses):.3f} s")
    assert max(losses) <= LOSS_S


@pytest.mark.long
def test_a_capture_that_is_killed_twenty_times_is_one_take(tmp_path, microphone):
    losses = killed_at_random(tmp_path, rounds=20, seed=2)
    print(f"lost by kill -9: at most {max(losses):.3f} s")
    assert max(losses) <= LOSS_S


def survives(run, microphone, away_s, break_it, mend_it):
    """Check that the take goes on with the right gap after a fault of so many seconds."""
    sound = np.convolve(hiss(1, level=0.2), np.ones(8) / 8).astype(np.int16)  # no resampler's edge
    played = write_wav(run.folder / "hiss.wav", sound)
    run.wait_for("started")
    run.wait_for_seconds(0.5)
    broken_at = time.time()
    break_it()
    gone_at = time.time()
    lost = run.wait_for("lost")
    noticed_s = time.time() - gone_at
    time.sleep(max(away_s - (time.time() - broken_at), 0))
    mend_it()
    mended_at = time.time()
    gap = run.wait_for("gap")
    back_s = gap.at - mended_at
    microphone.play(played)
    run.wait_for_seconds(0.5)
    assert run.end() == (0, "")
    print(f"noticed after {noticed_s:.2f} s, back after {back_s:.2f} s, gap {gap.seconds:.2f} s")
    assert lost.cause == gap.cause == "device lost"
    assert lost.sample == gap.sample
    assert broken_at - 0.5 <= lost.at <= gone_at + 0.5
    assert gap.seconds == pytest.approx(gap.at - lost.at, abs=0.1)
    check_accounted(run)
    assert [event.kind for event in run.events] == ["started", "lost", "gap", "stopped"]
    assert correlation(sound, run.samples())[0] >= 0.99
    return back_s


@pytest.mark.long
@pytest.mark.parametrize("away_s", [2, 5])
def test_a_microphone_that_is_unplugged_leaves_a_gap_in_the_same_take(tmp_path, microphone, away_s):
    with capturing(tmp_path, "pulse") as run:
        back_s = survives(run, microphone, away_s, microphone.unplug, microphone.plug)
    assert back_s < BACK_OFF_S[-1] + 5  # the longest pause, and the start of a process


@pytest.mark.long
def test_a_sound_server_that_is_killed_leaves_a_gap_in_the_same_take(tmp_path, microphone):
    with capturing(tmp_path, "pulse") as run:
        survives(run, microphone, 1, microphone.kill_server, microphone.restart_server)


def test_without_a_sound_server_there_is_no_microphone(tmp_path, microphone, monkeypatch):
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nobody")
    with capturing(tmp_path / "take", "pulse") as run:
        status, said = run.ended()
    assert status == 1
    assert said.startswith("capture: ") and said.count("\n") == 1
    try:
        assert devices() == []
    except MicrophoneUnavailable as error:
        assert "PortAudio" in str(error)


@pytest.mark.long
def test_a_take_goes_on_when_the_microphone_comes_back_after_a_kill(tmp_path, microphone):
    with capturing(tmp_path, "pulse") as run:
        run.wait_for("started")
        run.wait_for_seconds(0.2)
        microphone.kill_server()
        run.process.kill()
    try:
        with capturing(tmp_path, "pulse", gap_cause="outage") as run:
            run.wait_for("lost")
            microphone.restart_server()
            gap = run.wait_for("gap")
            run.wait_for_seconds(0.2)
            assert run.end() == (0, "")
    finally:
        microphone.kill_server()
        microphone.restart_server()
    assert gap.cause == "outage"
    assert gap.seconds == pytest.approx(gap.at - run.all("lost")[0].at, abs=0.2)
    check_accounted(run)


def test_what_a_kill_left_torn_is_mended(tmp_path, microphone):
    with capturing(tmp_path, "pulse") as run:
        run.wait_for("started")
        run.wait_for_seconds(0.2)
        run.process.kill()
    whole = run.samples()
    with (tmp_path / PCM).open("ab") as pcm, (tmp_path / EVENTS).open("ab") as events:
        pcm.write(b"\x7f")
        events.write(b'{"kind": "ga')
    with capturing(tmp_path, "pulse") as run:
        gap = run.wait_for("gap")
        run.wait_for_seconds(0.2)
        assert run.end() == (0, "")
    assert gap.sample == len(whole)
    assert np.array_equal(run.samples()[: len(whole)], whole)
    assert [event.kind for event in run.events] == ["started", "gap", "stopped"]
    for line in (tmp_path / EVENTS).read_text().splitlines():
        json.loads(line)


def test_a_folder_has_one_capture(tmp_path, microphone):
    with capturing(tmp_path, "pulse") as run:
        run.wait_for("started")
        assert capture_pid(tmp_path) == run.process.pid
        with capturing(tmp_path, "pulse") as second:
            status, said = second.ended()
        assert status == 1
        assert said == f"capture: {tmp_path}: another capture records here\n"
        run.wait_for_seconds(0.2)
        assert run.end() == (0, "")
    assert [event.kind for event in run.events] == ["started", "stopped"]
    assert capture_pid(tmp_path) is None


def test_it_outlives_who_launched_it(tmp_path, microphone):
    launcher = "import sys; from pathlib import Path; from engine.capture import launch;"
    launcher += "print(launch(Path(sys.argv[1]), 'pulse').pid)"
    pid = int(subprocess.check_output([sys.executable, "-W", "ignore", "-c", launcher, tmp_path]))
    try:
        wait_until(lambda: (tmp_path / EVENTS).exists(), "events", WAIT_S)
        wait_until(lambda: b"started" in (tmp_path / EVENTS).read_bytes(), "a start", WAIT_S)
        assert capture_pid(tmp_path) == pid
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: capture_pid(tmp_path) is None, "end", WAIT_S)
    assert b'"asked"' in (tmp_path / EVENTS).read_bytes()


def by_hand(folder, *arguments, **options):
    """Run it as a person would."""
    return subprocess.Popen(
        [sys.executable, "-m", "engine.capture", "--journal", folder, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def ended(process, folder):
    """Wait for its end; return its status, what it said and what it wrote last."""
    _, said = process.communicate(timeout=WAIT_S)
    return process.returncode, said, json.loads((folder / EVENTS).read_text().splitlines()[-1])


def test_it_ends_when_the_heartbeat_stops(tmp_path, microphone):
    beat(tmp_path)
    process = by_hand(tmp_path, "--device", "pulse", "--orphan-seconds", "2")
    reader = JournalReader(tmp_path)
    while reader.samples < 3 * RATE:  # longer than it would live without
        assert process.poll() is None
        beat(tmp_path)
        time.sleep(0.2)
    status, said, last = ended(process, tmp_path)
    assert (status, said, last["kind"], last["cause"]) == (0, "", "stopped", "no server")


def test_it_ends_when_there_is_little_room_left(tmp_path, microphone):
    process = by_hand(tmp_path, "--disk-stop-bytes", str(1 << 60))
    status, said, last = ended(process, tmp_path)
    assert (status, said, last["kind"], last["cause"]) == (0, "", "stopped", "disk")


def test_a_file_that_can_grow_no_more_keeps_what_it_has(tmp_path, microphone):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_001, 50_001))

    process = by_hand(tmp_path, preexec_fn=limit)
    status, said, last = ended(process, tmp_path)
    assert (status, said, last["kind"], last["cause"]) == (0, "", "stopped", "disk")
    assert (tmp_path / PCM).stat().st_size == 50_000


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 60 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_ends_it_and_what_was_written_stays(small_disk, microphone):
    folder = small_disk / "take"
    with capturing(folder, "pulse", disk_stop_bytes=0) as run:
        started = run.wait_for("started")
        assert run.ended() == (0, "")
        ended_at = time.time()
    samples = len(run.samples())
    assert samples / RATE == pytest.approx(ended_at - started.at, abs=LOSS_S)
    assert (folder / PCM).stat().st_size == 2 * samples
