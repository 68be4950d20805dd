import resource
import subprocess
import sys
from pathlib import Path

import psutil

from engine.buffers import give_back, keep_buffers  # noqa: F401 (for the children)

HERE, MIB = Path(__file__).parent, 1 << 20


def faults_of(buffers, each_mib):
    """Return how many pages the kernel had to clear for so many buffers, one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(buffers):
        bytearray(each_mib * MIB)[:: 1 << 12] = bytes(each_mib << 8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_the_pages_of_a_large_buffer_are_cleared_once_not_each_time():
    code = "import test_buffers as t; {}print(t.faults_of(10, 64))"
    without, kept = (
        int(subprocess.check_output([sys.executable, "-c", code.format(first)], cwd=HERE))
        for first in ("", "t.keep_buffers(); ")
    )
    assert without > 10 * 16_000 / 2
    assert kept < without / 5


def resident():
    """Return the resident memory of this process in MiB."""
    return psutil.Process().memory_info().rss // MIB


def test_what_is_kept_can_be_given_back():
    code = (
        "import test_buffers as t; t.keep_buffers(); t.faults_of(1, 64);"
        "a = t.resident(); t.give_back(); print(a - t.resident())"
    )
    given = subprocess.check_output([sys.executable, "-c", code], cwd=HERE)
    assert int(given) > 60
