"""The journal: however it grows and whatever ends its writer, whole samples and whole lines."""

import fcntl
import json
import os
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.journal import (
    EVENTS,
    LOCK,
    PCM,
    JournalEvent,
    JournalReader,
    JournalWriter,
    beat,
    capture_pid,
    take_lock,
)

CHUNKS = st.lists(st.binary(max_size=9), max_size=30)


@given(chunks=CHUNKS, sizes=st.lists(st.integers(1, 7), min_size=1, max_size=10))
def test_each_sample_is_read_once_in_order_however_the_file_grows(tmp_path_factory, chunks, sizes):
    folder = tmp_path_factory.mktemp("take")
    reader, got, written = JournalReader(folder), [], b""
    for number, chunk in enumerate(chunks):
        written += chunk
        (folder / PCM).write_bytes(written)
        got.append(reader.read(sizes[number % len(sizes)]))
        assert reader.samples == len(written) // 2
        assert reader.position == sum(map(len, got))
    while len(rest := reader.read(3)):
        got.append(rest)
    assert b"".join(part.tobytes() for part in got) == written[: len(written) // 2 * 2]
    assert all(part.dtype == np.int16 for part in got)


@given(cuts=st.lists(st.integers(0, 400), max_size=20), start=st.integers(0, 3))
def test_each_line_is_told_once_however_it_is_torn(tmp_path_factory, cuts, start):
    folder = tmp_path_factory.mktemp("take")
    whole = b"".join(
        json.dumps({"kind": f"event {n} \u00fc", "sample": n, "at": 1.5 * n}).encode() + b"\n"
        for n in range(6)
    )
    reader, told = JournalReader(folder), []
    for cut in [*sorted(cuts), len(whole)]:
        (folder / EVENTS).write_bytes(whole[:cut])
        told += reader.events()
        assert len(told) == whole[:cut].count(b"\n")
    assert [event.sample for event in told] == list(range(6))
    assert reader.events() == []
    assert JournalReader(folder, start).events() == told


def test_a_reader_starts_where_it_is_told(tmp_path):
    (tmp_path / PCM).write_bytes(np.arange(10, dtype="<i2").tobytes())
    reader = JournalReader(tmp_path, 7)
    assert reader.read(100).tolist() == [7, 8, 9]
    assert reader.read(100).tolist() == []
    assert reader.position == 10


def test_a_journal_that_is_not_there_yet_is_empty(tmp_path):
    reader = JournalReader(tmp_path / "absent")
    assert (reader.samples, reader.events(), len(reader.read(10))) == (0, [], 0)
    assert capture_pid(tmp_path / "absent") is None


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"{", b"[]", b"null", b"\0" * 40, b"\xff\xfe", b"[" * 100_000),
        *(b'{"kind": "gap"}', b'{"kind": 1, "sample": "x", "at": 1}'),
        b'{"kind": "gap", "sample": 1, "at": null}',
    ],
)
def test_a_line_that_makes_no_sense_is_passed_over(tmp_path, line):
    good = b'{"kind": "gap", "sample": 5, "at": 2.5, "seconds": 1, "cause": "outage", "new": 1}'
    (tmp_path / EVENTS).write_bytes(line + b"\n" + good + b"\n")
    assert JournalReader(tmp_path).events() == [JournalEvent("gap", 5, 2.5, 1.0, "outage", None)]


def test_what_is_written_is_what_is_read(tmp_path):
    writer, reader = JournalWriter(tmp_path), JournalReader(tmp_path)
    assert (writer.samples, writer.last_at) == (0, None)
    writer.note("started", device="desk", rate=48_000, at=12.5)
    writer.append(np.arange(5, dtype="<i2").tobytes())
    writer.note("gap", seconds=1.25, cause="overflow", sample=3)
    writer.close()
    started, gap = reader.events()
    assert started == JournalEvent("started", 0, 12.5, None, None, "desk")
    assert (gap.kind, gap.sample, gap.seconds, gap.cause) == ("gap", 3, 1.25, "overflow")
    assert gap.at == pytest.approx(time.time(), abs=60)
    assert reader.read(9).tolist() == [0, 1, 2, 3, 4]
    assert (tmp_path / PCM).stat().st_mode & 0o777 == 0o600


def test_a_writer_goes_on_after_what_is_whole(tmp_path):
    (tmp_path / PCM).write_bytes(b"\1\0\2\0\3")
    (tmp_path / EVENTS).write_bytes(b'{"kind": "started", "sample": 0, "at": 1}\n{"kind": "lo')
    os.utime(tmp_path / PCM, (1_000_000, 1_000_000))
    writer = JournalWriter(tmp_path)
    assert (writer.samples, writer.last_at) == (2, 1_000_000)
    assert JournalReader(tmp_path).read(9).tolist() == [1, 2]
    assert (tmp_path / PCM).stat().st_mtime == 1_000_000  # it may be opened again before it grows
    writer.append(b"\4\0")
    writer.note("gap", seconds=2, cause="capture killed")
    writer.close()
    reader = JournalReader(tmp_path)
    assert reader.read(9).tolist() == [1, 2, 4]
    assert [event.kind for event in reader.events()] == ["started", "gap"]


def test_samples_are_synced_in_time_and_before_an_event(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(
        os, "fdatasync", lambda file: synced.append(os.readlink(f"/proc/self/fd/{file}"))
    )
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    writer = JournalWriter(tmp_path, sync_s=1.0)
    for _ in range(40):  # 3 s, in steps of 75 ms
        writer.append(b"\0\0")
        clock[0] += 0.075
        assert writer.sync_due_s > -0.1
    assert len(synced) >= 3
    synced.clear()
    writer.append(b"\0\0")
    writer.note("lost", cause="device lost")
    assert [os.path.basename(path) for path in synced] == [PCM, EVENTS]
    synced.clear()
    writer.sync()
    assert synced == []
    writer.close()


def test_the_lock_tells_who_holds_it(tmp_path):
    assert capture_pid(tmp_path) is None
    lock = take_lock(tmp_path)
    assert capture_pid(tmp_path) == os.getpid()
    assert take_lock(tmp_path, wait_s=0.05) is None
    os.close(lock)
    assert capture_pid(tmp_path) is None
    assert json.loads((tmp_path / LOCK).read_bytes()) == {"pid": os.getpid()}


def test_a_lock_that_names_a_dead_process_is_not_believed(tmp_path):
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    (tmp_path / LOCK).write_text(json.dumps({"pid": gone}))
    with (tmp_path / LOCK).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError, match="does not say which"):
            capture_pid(tmp_path, wait_s=0.1)


def test_looking_at_the_lock_keeps_nobody_from_taking_it(tmp_path):
    (tmp_path / LOCK).touch()
    with (tmp_path / LOCK).open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert take_lock(tmp_path, wait_s=0.05) is None
    lock = take_lock(tmp_path)
    assert lock is not None
    os.close(lock)


def test_a_beat_is_a_new_time(tmp_path):
    beat(tmp_path)
    os.utime(tmp_path / "heartbeat", (1, 1))
    beat(tmp_path)
    assert (tmp_path / "heartbeat").stat().st_mtime == pytest.approx(time.time(), abs=60)
