"""What PulseAudio can't do wrong, a scripted PortAudio does to the capture process."""

import time

import numpy as np
import pytest
from running_capture import WAIT_S, capturing, scripted_portaudio
from virtual_microphone import wait_until

from appliance.capturing import END_S

CYCLE = 20_000
ENDLESS = {"sound": 600}


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Put a device that does what the test says in the place of PortAudio."""
    return scripted_portaudio(tmp_path / "portaudio", monkeypatch)


def breaks(samples):
    """Return where the device's numbering jumps, and over how many samples."""
    steps = (np.diff(samples.astype(int)) - 1) % CYCLE
    return [(int(at) + 1, int(steps[at])) for at in np.flatnonzero(steps)]


@pytest.mark.long
def test_an_overflow_is_a_gap_of_what_is_missing_at_its_place(tmp_path, script):
    script([{"sound": 1.5}, {"lose": 0.5}, {"sound": 0.5}, {"lose": 0.3}, ENDLESS])
    with capturing(tmp_path / "take") as run:
        run.wait_for("gap", 2)
        status, said = run.end()
        gaps = run.all("gap")
        lost = breaks(run.samples())
        elapsed = run.all("stopped")[0].at - run.all("started")[0].at
    assert (status, said) == (0, "")
    assert [gap.cause for gap in gaps] == ["overflow", "overflow"]
    assert [gap.sample for gap in gaps] == [at for at, _ in lost] == [24_000, 32_000]
    assert [gap.seconds for gap in gaps] == pytest.approx([n / 16_000 for _, n in lost], abs=0.05)
    captured = len(run.samples()) / 16_000 + sum(gap.seconds for gap in gaps)
    assert captured == pytest.approx(elapsed, abs=0.2)


@pytest.mark.long
def test_an_overflow_just_before_the_end_is_told_too(tmp_path, script):
    script([{"sound": 1.5}, {"lose": 0.5}, ENDLESS])
    with capturing(tmp_path / "take") as run:
        run.wait_for_seconds(1.7)
        assert run.end() == (0, "")
        (gap,) = run.all("gap")
    assert (gap.cause, gap.sample) == ("overflow", 24_000)
    assert gap.seconds == pytest.approx(0.5, abs=0.05)


@pytest.mark.long
def test_sound_that_comes_late_is_not_missing(tmp_path, script):
    script([{"sound": 0.9}, {"late": 0.7}, ENDLESS])
    with capturing(tmp_path / "take") as run:
        run.wait_for_seconds(3)
        assert run.end() == (0, "")
        assert [event.kind for event in run.events] == ["started", "stopped"]
    assert breaks(run.samples()) == []


@pytest.mark.parametrize("fault", ["stick", pytest.param("finish", marks=pytest.mark.long)])
def test_a_device_that_dies_is_opened_again_and_the_time_without_it_is_a_gap(
    tmp_path, script, fault
):
    refusals = [[{"refuse": "busy"}]] if fault == "stick" else []
    script([{"sound": 1}, {fault: True}], *refusals, [ENDLESS])
    with capturing(tmp_path / "take", "desk (hw:1,0)") as run:
        lost, gap = run.wait_for("lost"), run.wait_for("gap")
        pid = run.process.pid
        run.wait_for_seconds(0.5)
        assert run.end() == (0, "")
        assert run.process.pid == pid
        kinds = [event.kind for event in run.events]
        stopped = run.all("stopped")[0]
    assert kinds == ["started", "lost", "gap", "stopped"]
    assert (lost.cause, gap.cause, stopped.cause) == ("device lost", "device lost", "asked")
    assert (lost.sample, gap.sample) == (16_000, 16_000)
    assert gap.seconds == pytest.approx(gap.at - lost.at, abs=0.1)
    back_off_s = 0.5 + len(refusals)
    assert back_off_s < gap.seconds < back_off_s + 10  # what it takes to notice, and to start
    assert breaks(run.samples()) == [(16_000, CYCLE - 16_000)]  # its numbers begin anew


def test_a_stop_while_the_device_is_gone_ends_it(tmp_path, script):
    script([{"sound": 0.5}, {"finish": True}], [{"refuse": "gone"}])
    with capturing(tmp_path / "take") as run:
        run.wait_for("lost")
        openings = tmp_path / "portaudio" / "openings"
        wait_until(lambda: openings.read_text() == "2", "an attempt", WAIT_S)
        asked_at = time.time()
        assert run.end() == (0, "")
        (stopped,) = run.all("stopped")
        assert stopped.cause == "asked"
        assert stopped.at - asked_at < END_S  # else the server kills it
        assert len(run.all("lost")) == 1


def test_a_device_with_a_rate_of_its_own_is_resampled_and_mixed(tmp_path, script):
    script([{"sound": 2}, {"finish": True}], [{"refuse": "gone"}], takes_16k=False)
    with capturing(tmp_path / "take") as run:
        run.wait_for("lost")
        assert run.end() == (0, "")
    samples = run.samples().astype(int)
    assert len(samples) == 32_000  # 2 s: no sample more, none less
    rising = samples[100:6000]  # both channels rise by 3 a sample here, 1000 apart: the mean
    assert np.abs(rising - (500 + 3 * np.arange(100, 6000))).max() < 20


def test_a_device_is_found_again_under_another_number(tmp_path, script):
    script([ENDLESS], device="desk (hw:2,0)")
    with capturing(tmp_path / "take", "desk (hw:1,0)") as run:
        assert run.wait_for("started").device == "desk (hw:2,0)"


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ({"missing": "PortAudio library not found"}, "sudo apt install libportaudio2"),
        ({"broken": "Error initializing PortAudio"}, "PortAudio does not start"),
        ({"channels": 0}, "there is no input device: plug in"),
        ({"device": "another"}, "there is no input device 'desk (hw:1,0)'; there are: 'another'"),
        ({"openings": [[{"refuse": "Device unavailable"}]]}, "can't be opened: Device unavailable"),
        ({"openings": [[{"stick": True}]]}, "gives no sound in 3 s"),
    ],
)
def test_without_a_microphone_it_ends_with_one_line_that_says_what_to_do(
    tmp_path, script, device, says
):
    script([ENDLESS], **device)
    with capturing(tmp_path / "take", "desk (hw:1,0)") as run:
        status, said = run.ended()
    assert status == 1
    assert says in said
    assert said.startswith("capture: ") and said.count("\n") == 1
    assert run.all("started") == []
