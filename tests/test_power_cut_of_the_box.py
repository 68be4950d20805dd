"""A power cut of the whole box: no session is lost, and at most a second of what was recorded.

A server and its captures are traced from their very first start: a recording becomes a session, the
server ends and starts again, and a second recording is begun, ended and finished. At cut points all
over the second one a real server starts on what the disk is certain to hold; at every other one
also on what it may hold if some of what was not synced has reached it, too.
"""

import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import running_box
from numbered_sound import RATE
from recording_box import SESSIONS, RecordingBox
from speech_fixtures import fixture
from traced_disk import Disk, calls, reason_not_to_trace, tracer
from virtual_microphone import VirtualMicrophone, missing, wait_until

pytestmark = pytest.mark.long
WHILE_RECORDING, WHILE_FINISHING, AT_LAST = 8, 5, 6  # cuts; and one when all is over
RECORDED_S = 8
LOSS_S = 1.0
AT_ONCE = 2  # servers that start beside each other
LONG_AGO_S = 3600  # from then on a recording isn't gone on with
FIRST, SECOND = 1, 2  # recordings; session 1 is the sample's that a new box transcribes
PCM = f"recordings/{SECOND}/audio.pcm"


@dataclass
class Recorded:
    """A box that was traced, and when what happened in it."""

    data: Path
    trace: Path
    environment: dict[str, str]
    begun_at: float = 0.0  # the answer to its begin has come
    sound_at: float = 0.0
    stopped_at: float = 0.0
    done_at: float = 0.0  # the API has said so
    seconds: float = 0.0
    pcm: bytes = field(default=b"", repr=False)  # all that was captured

    def heard(self, at: float) -> float:
        """Return how many seconds of the second recording had sounded by then."""
        return min(max(at - self.sound_at, 0.0), self.seconds)


@dataclass
class Cut:
    """A moment at which the power goes, and what was left in two cases."""

    at: float
    after: str  # which call
    certain: Path
    possible: Path


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Trace a box that makes two recordings."""
    if why := missing() or reason_not_to_trace():
        pytest.skip(why)
    data, trace = tmp_path / "box", tmp_path / "trace"
    with VirtualMicrophone() as microphone, monkeypatch.context() as patch:
        told = Recorded(data, trace, microphone.environment)
        patch.setattr(running_box, "SCRIBEBOX", (*tracer(trace), *running_box.SCRIBEBOX))
        with RecordingBox(data, microphone) as box:
            box.start()
            box.wait_for_seconds(FIRST, 2)
            box.stop(FIRST)
            box.wait_for_state(FIRST, "done")
            welcome = f"{SESSIONS}/1/"
            wait_until(lambda: box.client.get(welcome).status_code == 200, "a sample", 60)
            box.kill(signal.SIGTERM)
            box.up()
            box.start()
            told.begun_at = time.time()
            box.play(fixture("meeting").path)
            box.wait_for_seconds(SECOND, RECORDED_S)
            told.sound_at = box.journal(SECOND).events()[0].at
            told.stopped_at = time.time()
            box.stop(SECOND)
            told.seconds = box.wait_for_state(SECOND, "done")["capturedSeconds"]
            told.done_at = time.time()
            wait_until(lambda: quiet(trace), "end of its writing")
            server = box.box.process.pid
            box.kill()
        ended = re.compile(rf"^{server} +[\d.]+ \+\+\+ killed", re.MULTILINE)
        wait_until(lambda: ended.search(trace.read_text()) is not None, "end of the trace")
    return told


def quiet(trace, seconds=0.5):
    """Tell whether nothing is written for so long."""
    before = trace.stat().st_size
    time.sleep(seconds)
    return trace.stat().st_size == before


def test_no_power_cut_takes_a_session_or_more_than_a_second(recorded, tmp_path):
    cuts = cut_points(recorded, tmp_path)
    tried = [(cut, cut.certain) for cut in cuts] + [(cut, cut.possible) for cut in cuts[::2]]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        outcomes = list(threads.map(lambda both: outcome(recorded, *both), tried))
    for (cut, left), told in zip(tried, outcomes, strict=True):
        print(f"{cut.at - recorded.stopped_at:+8.3f} s, {cut.after}, {left.name}: {told}")
    assert len(cuts) == WHILE_RECORDING + WHILE_FINISHING + AT_LAST + 1
    assert [told for told in outcomes if told.startswith("LOST")] == []


def cut_points(recorded, folder):
    """Replay the trace; write what a power cut would leave while it records, finishes, and ends."""
    chance, text = random.Random(6), recorded.trace.read_text()
    disk = Disk(recorded.data)
    done = [call for call in calls(text) if disk.carry_out(call)]
    check_replay(disk, recorded.data, folder / "replayed")
    begin = next(call.began for call in done if call.name == "mkdir" and PCM[:-10] in call.given)
    recording = [call for call in done if begin <= call.ended < recorded.stopped_at]
    finishing = [call for call in done if call.ended >= recorded.stopped_at]
    steps = [call for call in finishing if is_step(call)][-AT_LAST:]
    chosen = {*chance.sample(recording, WHILE_RECORDING), *steps}
    chosen |= {*chance.sample([call for call in finishing if call not in chosen], WHILE_FINISHING)}
    disk, cuts = Disk(recorded.data), []

    def cut(at, after):
        left = folder / f"cut-{len(cuts):02}"
        cuts.append(Cut(at, after, left / "certain", left / "possible"))
        disk.leave(cuts[-1].certain)
        disk.leave(cuts[-1].possible, chance)

    for call in calls(text):
        disk.carry_out(call)
        if node := disk.node(recorded.data / PCM):
            recorded.pcm = bytes(node.now)
        if call in chosen:
            where = call.given.replace(f"{recorded.data}/", "")
            if "write" in call.name:
                where = where.partition(",")[0]  # what somebody said is not to be printed
            cut(call.ended, f"{call.name} {where}")
    cut(recorded.done_at, "all that there was")
    return cuts


def is_step(call):
    """Tell whether a call is one of those whose order keeps the sound safe at the end."""
    return call.name in ("fsync", "fdatasync", "rename", "rmdir") or "audio.pcm" in call.given


def check_replay(disk, data, folder):
    """Check that the trace tells all: what it leads to is what lies there (but shared memory)."""
    disk.copy(folder)
    for there, here in ((data, folder), (folder, data)):
        for path in (path for path in there.rglob("*") if not path.name.endswith("-shm")):
            same = here / path.relative_to(there)
            assert same.is_dir() if path.is_dir() else same.read_bytes() == path.read_bytes()


def outcome(recorded, cut, left):
    """Start a server on what is left, check what becomes of it, and tell; LOST is for a loss."""
    states, sessions = committed(left)
    if cut.at >= recorded.done_at:
        assert states[SECOND] == "done"  # somebody was told so
    if cut.at >= recorded.begun_at:
        assert SECOND in states
    if states.get(SECOND) == "recording":
        age(left / PCM)
    with RecordingBox(left, recorded) as box:
        assert box.wait_for_state(FIRST, "done")
        state = "never begun"
        if SECOND in states:
            state = box.wait_for_state(SECOND, "done", "recovered", "failed")["state"]
        for session in sessions:  # none that was reported is missing
            box.client.get(f"{SESSIONS}/{session}/").raise_for_status()
        is_there = state in ("done", "recovered")
        heard = box.sound_of(SECOND, left) if is_there else np.zeros(0, np.int16)
        box.kill()
    check_store(left)
    assert heard.tobytes() == recorded.pcm[: 2 * len(heard)]
    if states.get(SECOND) == "done":
        assert len(heard) == len(recorded.pcm) // 2
    lost = recorded.heard(cut.at) - len(heard) / RATE
    return f"{'LOST ' if lost > LOSS_S else ''}{lost:.2f} s missing, {state}"


def committed(left):
    """Return the states of the recordings and the finished sessions, as a server will find them."""
    looked_at = left.with_name(f"{left.name}-looked-at")
    looked_at.mkdir()
    for path in left.glob("scribebox.db*"):  # to look is to recover, and the server's to do
        shutil.copy(path, looked_at)
    with contextlib.closing(sqlite3.connect(looked_at / "scribebox.db")) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        states = dict(store.execute("SELECT id, state FROM recording"))
        sessions = [row[0] for row in store.execute("SELECT id FROM session WHERE state = 'done'")]
    assert {1, 2} <= set(sessions)  # of the sample, and of the first recording
    return states, sessions


def age(pcm):
    """Make a recording one that is too old to be gone on with."""
    pcm.parent.mkdir(parents=True, exist_ok=True)
    pcm.touch()
    long_ago = time.time() - LONG_AGO_S
    os.utime(pcm, (long_ago, long_ago))


def check_store(left):
    """Check that the database is whole, and that every session has the audio its row tells of."""
    with contextlib.closing(sqlite3.connect(left / "scribebox.db")) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = store.execute("SELECT audio_path, audio_sha256 FROM session WHERE state = 'done'")
        audio = dict(rows.fetchall())
    assert len(audio) >= 2
    for path, digest in audio.items():
        assert hashlib.sha256((left / path).read_bytes()).hexdigest() == digest, path
    assert {path.name for path in (left / "audio").iterdir()} == {Path(p).name for p in audio}
