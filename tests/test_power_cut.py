"""A power cut at any moment of a capture: at most a second of what was captured is missing.

The system calls of a real capture are traced. What a disk must have kept at a moment follows from
them: what was synced by then, in a folder whose names were synced too. A disk may have kept more,
whole or torn; both are tried. The whole box is in test_power_cut_of_the_box.py.
"""

import random
import re
import subprocess
import sys

import pytest
from running_capture import WAIT_S
from traced_disk import Disk, calls, reason_not_to_trace, tracer
from virtual_microphone import VirtualMicrophone, missing, wait_until

from engine.journal import PCM, JournalReader, JournalWriter

CUTS = 20
RECORDED_S = 6
LOSS_S = 1.0
RATE = 16_000


@pytest.mark.long
def test_a_power_cut_takes_at_most_a_second(tmp_path, monkeypatch):
    if why := missing() or reason_not_to_trace():
        pytest.skip(why)
    folder, trace = tmp_path / "take", tmp_path / "trace"
    folder.mkdir()
    with VirtualMicrophone() as microphone:
        for name, value in microphone.environment.items():
            monkeypatch.setenv(name, value)
        record(folder, trace, microphone)
    events = JournalReader(folder).events()
    begin, end = events[0].at + 0.1, events[-1].at
    chance = random.Random(6)
    moments = sorted(chance.uniform(begin, end) for _ in range(CUTS))
    whole, disk, lost = (folder / PCM).read_bytes(), Disk(folder), []
    for call in calls(trace.read_text()):
        while len(lost) < CUTS and call.ended > moments[len(lost)]:
            left = tmp_path / f"cut-{len(lost)}"
            disk.leave(left / "possible", chance)
            recovered(left / "possible", whole)
            disk.leave(left / "certain")
            assert all(
                event.sample <= JournalReader(left / "certain").samples
                for event in JournalReader(left / "certain").events()
            )
            seconds = recovered(left / "certain", whole)
            lost.append(captured_seconds(events, moments[len(lost)]) - seconds)
        disk.carry_out(call)
    print(f"{CUTS} power cuts: at most {max(lost):.2f} s of what was captured is missing")
    assert len(lost) == CUTS
    assert max(lost) <= LOSS_S


def record(folder, trace, microphone):
    """Trace a capture whose microphone is away for a moment."""
    command = (*tracer(trace), sys.executable, "-m", "engine.capture", "--journal", folder)
    process = subprocess.Popen(command, start_new_session=True)
    try:
        reader = JournalReader(folder)
        wait_until(lambda: reader.samples > RATE, "sound", WAIT_S)
        microphone.unplug()
        microphone.plug()
        wait_until(lambda: reader.samples > RECORDED_S * RATE, "sound", WAIT_S)
        process.terminate()
        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()
        process.wait(WAIT_S)
    ended = re.compile(rf"^{process.pid} +[\d.]+ \+\+\+ exited", re.MULTILINE)
    wait_until(lambda: ended.search(trace.read_text()) is not None, "end of the trace")


def captured_seconds(events, at):
    """Return how many seconds of sound had come until then, by what the events tell."""
    begins = [event.at for event in events if event.kind in ("started", "gap")]
    ends = [event.at for event in events if event.kind in ("lost", "stopped")]
    return sum(max(min(at, end) - begin, 0) for begin, end in zip(begins, ends, strict=True))


def recovered(left, whole):
    """Return how many seconds can be read of what is left, and gone on with."""
    sound = JournalReader(left).read(1 << 30)
    assert sound.tobytes() == whole[: 2 * len(sound)]
    JournalWriter(left).close()
    assert JournalReader(left).samples == len(sound)
    return len(sound) / RATE
