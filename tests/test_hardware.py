import os

import pytest

from engine.hardware import Hardware


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
