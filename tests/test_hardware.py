import os

import pytest

from engine.hardware import AVX_512, Hardware, use_wide_vectors


@pytest.fixture
def cores(monkeypatch):
    """Give the process as many cores as a test wants."""
    return lambda count: monkeypatch.setattr(
        os, "sched_getaffinity", lambda _: set(range(count)), raising=True
    )


@pytest.mark.parametrize(
    ("count", "workers", "threads"), [(1, 1, 1), (2, 2, 1), (3, 2, 1), (4, 2, 2), (32, 2, 4)]
)
def test_the_cores_are_shared_out_among_two_workers(cores, count, workers, threads):
    cores(count)
    assert Hardware("cpu").resolved() == Hardware("cpu", threads, workers)


def test_what_is_set_stays_and_the_rest_follows_from_it(cores):
    cores(4)
    assert Hardware("cpu", 2, 3).resolved() == Hardware("cpu", 2, 3)
    assert Hardware("cpu", workers=1).resolved() == Hardware("cpu", 4, 1)
    assert Hardware("cpu", threads=4).resolved() == Hardware("cpu", 4, 1)
    assert Hardware("cpu", threads=16).resolved() == Hardware("cpu", 16, 1)


def test_a_gpu_has_one_worker(cores):
    cores(8)
    assert Hardware("cuda").resolved().workers == 1


@pytest.mark.parametrize(
    ("flags", "told", "isa"),
    [
        (AVX_512 | {"fpu", "avx2"}, None, "AVX512"),
        (AVX_512 - {"avx512vl"}, None, None),
        (AVX_512, "AVX2", "AVX2"),
        ((), None, None),
    ],
)
def test_wide_vectors_are_used_where_there_are_all_and_nobody_said_otherwise(
    tmp_path, monkeypatch, flags, told, isa
):
    monkeypatch.setenv("CT2_FORCE_CPU_ISA", told or "")
    if told is None:
        monkeypatch.delenv("CT2_FORCE_CPU_ISA")
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor: 0\nflags\t\t: {' '.join(sorted(flags))}\nbugs: none\n")
    use_wide_vectors(cpuinfo)
    assert os.environ.get("CT2_FORCE_CPU_ISA") == isa


def test_a_system_without_a_list_of_flags_is_left_as_it_is(tmp_path, monkeypatch):
    monkeypatch.delenv("CT2_FORCE_CPU_ISA", raising=False)
    use_wide_vectors(tmp_path / "none")
    assert "CT2_FORCE_CPU_ISA" not in os.environ
