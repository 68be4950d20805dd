import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from engine.process import AVX_512, give_back, keep_buffers, use_avx512

HERE, MIB = Path(__file__).parent, 1 << 20
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def cleared(buffers, each_mib):
    """Return how many pages the kernel clears for so many buffers, one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(buffers):
        bytearray(each_mib * MIB)[:: 1 << 12] = bytes(each_mib << 8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def cleared_in_two_threads():
    """Return the same for two threads that start later, as those of an engine do."""
    pages = []
    threads = [threading.Thread(target=lambda: pages.append(cleared(10, 64))) for _ in range(2)]
    for thread in threads:
        thread.start()
        thread.join()
    return sum(pages)


def resident_mib():
    """Return the resident memory of this process."""
    return psutil.Process().memory_info().rss // MIB


def child(code):
    """Return the number that code prints which is run in a process of its own."""
    code = "from test_process import *\n" + code
    return int(subprocess.check_output([sys.executable, "-c", code], cwd=HERE))


@pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[always]" in HUGE_PAGES.read_text(),
    reason="where pages are huge by themselves, few are cleared",
)
@pytest.mark.parametrize("where", ["cleared(10, 64)", "cleared_in_two_threads()"])
def test_the_pages_of_large_buffers_are_cleared_once_not_each_time(where):
    without, kept = child(f"print({where})"), child(f"keep_buffers(); print({where})")
    assert without > 10 * 16_000 / 2
    assert kept < without / 4


def test_what_is_kept_can_be_given_back():
    code = "keep_buffers(); cleared(1, 64); held = resident_mib(); give_back()"
    assert child(f"{code}; print(held - resident_mib())") > 60


def test_a_c_library_without_such_settings_is_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    keep_buffers()
    give_back()


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Return what CTranslate2 is told for a processor with such flags, of such a vendor."""

    def ask(flags, vendor="AuthenticAMD", before=None):
        monkeypatch.setenv("CT2_FORCE_CPU_ISA", before or "")
        if before is None:
            monkeypatch.delenv("CT2_FORCE_CPU_ISA")
        cpuinfo = tmp_path / "cpuinfo"
        text = f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: {' '.join(sorted(flags))}\n"
        cpuinfo.write_text(text + "bugs\t\t:\n\nprocessor\t: 1\nflags\t\t: fpu\n\n")
        use_avx512(cpuinfo)
        return os.environ.get("CT2_FORCE_CPU_ISA")

    return ask


def test_avx512_is_asked_for_where_an_amd_processor_has_all_of_it(told):
    assert told({*AVX_512, "fpu", "avx2"}) == "AVX512"
    assert told(AVX_512 - {"avx512vl"}) is None
    assert told({"fpu"}) is None


def test_it_is_not_asked_for_on_other_processors_or_against_the_environment(told):
    assert told(AVX_512, vendor="GenuineIntel") is None
    assert told(AVX_512, before="AVX2") == "AVX2"


def test_a_system_that_lists_no_flags_is_left_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    use_avx512(tmp_path / "none")
    assert not os.environ
