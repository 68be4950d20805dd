"""What only long files show. Minutes each, so `.ci/run` runs them, after the quick tests."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from running_box import SCRIBEBOX, WAIT_S, clean_environment, scribebox
from speech_fixtures import quiet_flac
from virtual_microphone import wait_until

sys.path.insert(0, str(Path(__file__).parent / "bench"))
from long_file import lengthened

pytestmark = pytest.mark.long
TINY = ("--model", "tiny.en", "--json")
MIB = 1 << 20


def test_ten_hours_of_silence_are_an_empty_transcript(tmp_path):
    path = quiet_flac(tmp_path / "silence.flac", 600)
    done = scribebox("transcribe", *TINY, path, "--data", tmp_path, timeout_s=600)
    (entry,) = json.loads(done.stdout)["files"]
    assert (done.returncode, entry["text"], entry["durationSeconds"]) == (0, "", 36_000.0)


def test_the_memory_of_a_long_file_is_that_of_a_short_one(tmp_path):
    peaks = []
    for minutes in (12, 25):  # both have windows enough for full batches and the queue
        path = lengthened(tmp_path / f"{minutes}.flac", minutes / 60)
        process = subprocess.Popen(
            [*SCRIBEBOX, "transcribe", *TINY, str(path), "--data", str(tmp_path)],
            stdout=subprocess.DEVNULL, env=clean_environment(),
        )  # fmt: skip
        watched, peak = psutil.Process(process.pid), 0
        while process.poll() is None:
            with watched.oneshot():
                peak = max(peak, watched.memory_info().rss)
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode == 0
        peaks.append(peak)
    # which windows two workers are at together moves the peak by more than 100 MiB either way
    assert peaks[1] - peaks[0] < 300 * MIB


def test_ctrl_c_in_the_middle_of_speech_ends_with_130_and_no_child(tmp_path):
    path = lengthened(tmp_path / "speech.flac", 0.5)
    process = subprocess.Popen(
        [*SCRIBEBOX, "transcribe", *TINY, str(path), "--data", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment(),
    )  # fmt: skip
    watched = psutil.Process(process.pid)
    wait_until(lambda: watched.children(), "decoder")
    loaded_s = watched.cpu_times().user
    wait_until(lambda: watched.cpu_times().user > loaded_s + 5, "decoding of speech")
    children = watched.children(recursive=True)
    assert children
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=WAIT_S)
    _, alive = psutil.wait_procs(children, timeout=WAIT_S)  # init may be slow to collect them
    assert (process.returncode, alive) == (130, [])
    assert "Traceback" not in said
