"""A power cut at any moment of a recording: at most a second of what was captured is missing.

The system calls of a real capture are traced. What a disk must have kept at a moment follows from
them: the bytes that were written before a sync that had ended by then, in a folder whose names
were synced too. A disk may have kept more, whole or torn; both are tried.
"""

import random
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from running_capture import WAIT_S
from virtual_microphone import VirtualMicrophone, missing, wait_until

from engine.journal import EVENTS, PCM, JournalReader, JournalWriter

CUTS = 20
RECORDED_S = 6
LOSS_S = 1.0
RATE = 16_000
CALLS = "trace=write,pwrite64,writev,fdatasync,fsync,ftruncate,rename,renameat,unlink,unlinkat"
CALL = re.compile(
    r"^(?P<thread>\d+) +(?P<at>[\d.]+) (?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<name>\w+)\()"
    r"(?P<rest>.*)$"
)
FILE = re.compile(r"^\d+<(?P<path>[^>]*)>")


def reason_not_to() -> str | None:
    """Return why it can't be traced here."""
    if why := missing():
        return why
    if shutil.which("strace") is None:
        return "strace is missing: apt install strace"
    tried = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], check=False)
    return "strace may not trace here" if tried.returncode else None


@dataclass
class Disk:
    """What files hold, and how much of them has been synced, by when."""

    folder: Path
    written: dict[str, int] = field(default_factory=dict)
    names_synced_at: float = float("inf")
    syncs: list[tuple[float, str, int]] = field(default_factory=list)  # ended at, file, bytes
    writes: list[tuple[float, str, int]] = field(default_factory=list)

    def follow(self, trace: str) -> None:
        """Replay the calls of a trace, in the order in which they ended."""
        begun: dict[str, tuple[str, str, int]] = {}
        for line in trace.splitlines():
            call = CALL.match(line)
            if call is None:
                continue  # a signal, or an exit
            at, rest = float(call["at"]), call["rest"]
            if call["name"]:
                name, target = call["name"], FILE.match(rest)
                path = target["path"] if target else ""
                before = self.written.get(path, 0)
            else:
                name, path, before = begun.pop(call["thread"])  # `at` is when it ended
                rest = re.sub(r"<[\d.]+>$", "<0>", rest)
            if rest.endswith("<unfinished ...>"):
                begun[call["thread"]] = (name, path, before)
            elif Path(path).parent == self.folder or path == str(self.folder):
                self._end(at, name, path, before, rest)

    def _end(self, at: float, name: str, path: str, before: int, rest: str) -> None:
        taken = re.search(r"= (\d+)(?: <(?P<seconds>[\d.]+)>)?$", rest)
        assert taken, rest
        if name in ("write", "writev"):
            self.written[path] = self.written.get(path, 0) + int(taken[1])
            self.writes.append((at, path, self.written[path]))
        elif name in ("fsync", "fdatasync"):
            ended_at = at + float(taken["seconds"] or 0)
            if path == str(self.folder):
                self.names_synced_at = min(self.names_synced_at, ended_at)
            else:
                self.syncs.append((ended_at, path, before))
        elif Path(path).name in (PCM, EVENTS):
            raise AssertionError(f"{name} of {path}, which is only ever appended to")

    def durable(self, name: str, at: float) -> int:
        """Return how many bytes of a file a power cut at that moment leaves for certain."""
        assert self.names_synced_at < at
        path = str(self.folder / name)
        return max(
            (size for ended, file, size in self.syncs if file == path and ended <= at), default=0
        )

    def possible(self, name: str, at: float) -> int:
        """Return how many bytes it may leave at most."""
        path = str(self.folder / name)
        return max(
            (size for begun, file, size in self.writes if file == path and begun <= at), default=0
        )


@pytest.mark.long
def test_a_power_cut_takes_at_most_a_second(tmp_path, monkeypatch):
    if why := reason_not_to():
        pytest.skip(why)
    folder, trace = tmp_path / "take", tmp_path / "trace"
    folder.mkdir()
    with VirtualMicrophone() as microphone:
        for name, value in microphone.environment.items():
            monkeypatch.setenv(name, value)
        tracer = subprocess.Popen(
            [
                *("strace", "-f", "-y", "-ttt", "-T", "-s", "0", "-e", CALLS, "-o", trace),
                *(sys.executable, "-m", "engine.capture", "--journal", folder),
            ],
            start_new_session=True,
        )
        reader = JournalReader(folder)
        wait_until(lambda: reader.samples > RATE, "sound", WAIT_S)
        microphone.unplug()
        microphone.plug()
        wait_until(lambda: reader.samples > RECORDED_S * RATE, "sound", WAIT_S)
        children = Path(f"/proc/{tracer.pid}/task/{tracer.pid}/children").read_text().split()
        subprocess.run(["kill", "-TERM", *children], check=True)
        assert tracer.wait(WAIT_S) == 0
    disk = Disk(folder)
    disk.follow(trace.read_text())
    whole = {name: (folder / name).read_bytes() for name in (PCM, EVENTS)}
    assert disk.written[str(folder / PCM)] == len(whole[PCM])
    events = JournalReader(folder).events()
    begin, end = events[0].at + 0.1, events[-1].at
    moments = random.Random(6)
    worst = 0.0
    for cut in range(CUTS):
        at = moments.uniform(begin, end)
        seconds = recovered(disk, whole, at, moments, tmp_path / f"cut-{cut}")
        heard = captured_seconds(events, at)
        worst = max(worst, heard - seconds)
        assert heard - seconds <= LOSS_S, f"cut at {at - begin:.2f} s"
    print(f"{CUTS} power cuts: at most {worst:.2f} s of what was captured is missing")


def captured_seconds(events, at):
    """Return how many seconds of sound had come until then, by what the events tell."""
    begins = [event.at for event in events if event.kind in ("started", "gap")]
    ends = [event.at for event in events if event.kind in ("lost", "stopped")]
    return sum(max(min(at, end) - begin, 0) for begin, end in zip(begins, ends, strict=True))


def recovered(disk, whole, at, moments, folder):
    """Rebuild what a cut at that moment leaves, and return how many seconds of it can be read."""
    for torn in (True, False):
        left = folder / str(torn)
        left.mkdir(parents=True)
        for name, content in whole.items():
            least, most = disk.durable(name, at), disk.possible(name, at)
            assert least <= most
            (left / name).write_bytes(content[: moments.randint(least, most) if torn else least])
        reader = JournalReader(left)
        sound, events = reader.read(1 << 30), reader.events()
        assert sound.tobytes() == whole[PCM][: 2 * len(sound)]
        assert torn or all(event.sample <= len(sound) for event in events)
        JournalWriter(left).close()  # a take that can be gone on with
        assert JournalReader(left).samples == len(sound)
    return len(sound) / RATE
