"""The model of a disk: what was synced is certain, what was not may be there in part, or not."""

import random
import subprocess
import sys

import pytest
from traced_disk import Disk, calls, reason_not_to_trace, tracer
from virtual_microphone import wait_until

why = reason_not_to_trace()
pytestmark = pytest.mark.skipif(why is not None, reason=str(why))
BEGINNING = "import os, sys; os.chdir(sys.argv[1]); path = os.path.abspath\n"
OPEN = "file = os.open(path('a'), os.O_WRONLY | os.O_CREAT); os.write(file, b'first')\n"
SYNC = "os.fsync(file)\n"
SYNC_NAMES = "folder = os.open(path('.'), os.O_RDONLY); os.fsync(folder)\n"


def after(tmp_path, *steps):
    """Return what is certain, and all that is possible, after a program; and check the replay."""
    folder, trace = tmp_path / "disk", tmp_path / "trace"
    folder.mkdir()
    program = "".join((BEGINNING, *steps, "\nos.write(1, b'the end')"))
    subprocess.run(
        [*tracer(trace), sys.executable, "-c", program, folder], check=True, capture_output=True
    )
    wait_until(lambda: "+++ exited" in trace.read_text(), "trace")
    disk = Disk(folder)
    for call in calls(trace.read_text()):
        disk.carry_out(call)
    disk.copy(tmp_path / "now")
    assert holds(tmp_path / "now") == holds(folder)
    disk.leave(tmp_path / "certain")
    possible = []
    for number in range(100):
        disk.leave(tmp_path / str(number), random.Random(number))
        possible.append(holds(tmp_path / str(number)))
    return holds(tmp_path / "certain"), possible


def holds(folder):
    """Return the files of a folder."""
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_file_without_a_synced_name_is_not_certain(tmp_path):
    certain, possible = after(tmp_path, OPEN, SYNC)
    assert certain == {}
    assert {"a": b"first"} in possible


def test_a_name_is_certain_before_what_is_in_the_file(tmp_path):
    certain, possible = after(tmp_path, OPEN, SYNC_NAMES)
    assert certain == {"a": b""}
    assert {"a": b"fir"} in possible  # torn


def test_what_was_synced_is_certain_and_what_came_after_is_not(tmp_path):
    more = "os.write(file, b' second'); os.lseek(file, 0, 0); os.write(file, b'F')\n"
    certain, possible = after(tmp_path, OPEN, SYNC, SYNC_NAMES, more)
    assert certain == {"a": b"first"}
    assert {"a": b"first second"} in possible
    assert {"a": b"First second"} in possible
    assert {"a": b"First"} not in possible  # in the order in which it was written


def test_a_new_name_and_a_deletion_are_certain_once_the_folder_is_synced(tmp_path):
    rename, unlink = "os.rename(path('a'), path('b'))\n", "os.unlink(path('b'))\n"
    certain, possible = after(tmp_path, OPEN, SYNC, SYNC_NAMES, rename, SYNC_NAMES, unlink)
    assert certain == {"b": b"first"}
    assert {} in possible
    assert {"a": b"first"} not in possible


def test_a_folder_without_a_synced_name_takes_what_is_in_it_along(tmp_path):
    inner = "os.mkdir(path('in')); up = os.getcwd(); os.chdir('in')\n"
    certain, possible = after(tmp_path, inner, OPEN, SYNC, SYNC_NAMES)
    assert certain == {}
    assert {"a": b"first"} in possible


def test_a_cut_off_file_and_bytes_at_a_place_are_as_they_were_when_synced(tmp_path):
    changes = "os.ftruncate(file, 2); os.pwrite(file, b'x\\0\"', 4)\n"
    certain, _ = after(tmp_path, OPEN, changes, SYNC, SYNC_NAMES, "os.ftruncate(file, 0)\n")
    assert certain == {"a": b'fi\0\0x\0"'}
