"""A recording at real speed under load: nothing lost, and memory that stays flat.

    python tests/bench/recording_soak.py [MINUTES=30]

A sound that numbers itself, with speech over it so that the engine has its work, is played into the
virtual microphone for the whole take, while two uploads are with the box at all times and another
process asks it 20 times a second. Ends with 1 if a bar is missed:

- every tenth of a second of what was played is in the FLAC, each where the one before leads to
  (TOLERANCE samples of 1/16 ms: resampling to 48 kHz and back may move one by a sample);
- captured = elapsed within 0.2 s, no gaps;
- resident memory of the server, and of the capture, after SETTLED_S (of a take shorter than three
  times that, after its first third) at most 30 MiB above the most of the minute before.
"""

import os
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from background import (
    ALLOWED_RISE_MIB,
    MIB,
    Footprint,
    Others,
    Row,
    Uploading,
    footprint,
    mappings,
    memory_rows,
    play,
    table,
    upload_rows,
    visited,
)
from long_file import lengthened
from numbered_sound import BLOCK, RATE, Place, places, sound, steps
from recording_box import RecordingBox
from running_box import WAIT_S
from speech_fixtures import fixture, write_wav
from virtual_microphone import VirtualMicrophone, missing

from engine.audio import Samples, read
from engine.packaged import PACKAGED, missing_packages

UPLOADS, UPLOAD_HOURS = 2, 5 / 60
SETTLED_S, ALLOWED_S, TOLERANCE = 300, 0.2, 3
NOISE = 0.05  # amplitude of what numbers; the speech is about 12 dB louder
LATER_S = 600
PACE = "GETs"
LARGEST = 6


def best_model() -> str:
    """Return `base` if it is installed, else the small one."""
    return "base" if "base" in PACKAGED and not missing_packages("base") else "tiny.en"


def numbered_speech(seconds: int) -> Samples:
    """Return the sound to play, made a minute at a time: no need of all its spectrum at once."""
    minutes = [sound(min(60, seconds - at), seed=at + 1, amplitude=NOISE)
               for at in range(0, seconds, 60)]  # fmt: skip
    made = np.concatenate(minutes)
    spoken = read(fixture("meeting").path)
    for at in range(0, len(made), len(spoken)):
        part = made[at : at + len(spoken)]
        mixed = part.astype(np.int32) + spoken[: len(part)]
        part[:] = mixed.clip(-32768, 32767)
    return made


@dataclass
class Watch:
    """What was seen each second of a take."""

    server: int
    box: RecordingBox
    number: int
    memory: dict[str, list[Footprint]] = field(default_factory=dict)
    behind_s: list[float] = field(default_factory=list)  # the journal, behind the clock
    text_behind_s: list[float] = field(default_factory=list)
    settled: dict[str, int] = field(default_factory=dict)  # what the server's memory was of then
    highest: dict[str, int] = field(default_factory=dict)  # and when there was the most of it
    highest_bytes: int = 0
    failure: str | None = None


@contextmanager
def watching(box: RecordingBox, number: int, settled_s: float):
    """Look each second while the block runs."""
    watch, over = Watch(box.box.process.pid, box, number), threading.Event()
    thread = threading.Thread(target=look, args=(watch, over, settled_s))
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join(WAIT_S)


def look(watch: Watch, over: threading.Event, settled_s: float) -> None:
    """Take notes until it is over."""
    journal, began = watch.box.journal(watch.number), time.monotonic()
    started_at = next(event.at for event in journal.events() if event.kind == "started")
    capture = watch.box.capture(watch.number)
    processes = {"server": watch.server, "capture": capture}
    try:
        while not over.wait(1.0):
            for name, process_id in processes.items():
                watch.memory.setdefault(name, []).append(footprint(process_id))
            watch.behind_s.append(time.time() - started_at - journal.samples / RATE)
            status = watch.box.status(watch.number)
            watch.text_behind_s.append(status["capturedSeconds"] - status["transcribedSeconds"])
            if time.monotonic() - began >= settled_s:
                now = watch.memory["server"][-1].bytes
                watch.settled = watch.settled or mappings(watch.server)
                if now > watch.highest_bytes + MIB:
                    watch.highest_bytes, watch.highest = now, mappings(watch.server)
    except Exception as error:
        watch.failure = f"{type(error).__name__}: {error}"


def sound_rows(captured: Samples, played: Samples) -> list[Row]:
    """Return what the FLAC says of what was played."""
    edge = sound(1, seed=0, amplitude=NOISE)  # so that a tenth half outside has its place, too
    found = places(captured, np.concatenate([edge, played, edge]))
    if not found:
        return [Row("what was played", "not found in the FLAC", "all of it", False)]
    stepped = steps(found, TOLERANCE)
    first, last = found[0], found[-1]
    between = (last.captured - first.captured) // BLOCK + 1
    before, after = first.played - RATE, RATE + len(played) - last.played - BLOCK
    drift = shift(last) - shift(first)
    alike = min(place.likeness for place in found)
    told = ", ".join(f"{at / RATE:.1f} s: {count}" for at, count in stepped[:5])
    return [
        Row("samples missing (+) or doubled (-)", told or "none", "none", not stepped),
        Row("tenths of a second recognised", f"{len(found)} of {between}", "all",
            len(found) == between),
        Row("not recognised before, after them", f"{before}, {after} samples", f"< {2 * BLOCK}",
            max(before, after) < 2 * BLOCK),
        Row("from the first to the last they move by", f"{drift} samples", f"<= {TOLERANCE}",
            abs(drift) <= TOLERANCE),
        Row("least likeness of a tenth", f"{alike:.3f}"),
    ]  # fmt: skip


def shift(place: Place) -> int:
    """Return by how many samples its place in what was played is after that in the FLAC."""
    return place.played - place.captured


def load_rows(uploads: Uploading, told: dict, watch: Watch, others: float) -> list[Row]:
    """Return whether the load was there, and how it was borne."""
    refused = "; ".join(f"{what} x {count}" for what, count in told["refused"].items())
    fast = f"{told['p50']:.0f}, {told['p95']:.0f}, {told['longest']:.0f} ms"
    return [
        *upload_rows(uploads),
        Row(PACE, f"{told['asked']}, {told['perSecond']:.1f}/s", "20/s",
            told["perSecond"] >= 19),
        Row("  refused", refused or "none", "none", not refused),
        Row("  p50, p95, longest", fast),
        Row("journal behind the clock, mean, most",
            f"{np.mean(watch.behind_s):.2f}, {max(watch.behind_s):.2f} s"),
        Row("text behind the sound, p50, most",
            f"{np.median(watch.text_behind_s):.1f}, {max(watch.text_behind_s):.1f} s"),
        Row("cores that others on this machine kept busy", f"{others:.2f}"),
    ]  # fmt: skip


def soak(folder: Path, minutes: float, rise_mib: float = ALLOWED_RISE_MIB) -> list[Row]:
    """Record for so long; return the figures. Memory may rise by so much."""
    seconds = round(minutes * 60)
    settled_s = min(SETTLED_S, seconds / 3)
    played, model = numbered_speech(seconds), best_model()
    wav = write_wav(folder / "played.wav", played)
    upload = lengthened(folder / "upload.flac", UPLOAD_HOURS)
    print(f"{minutes:g} minutes, {model}, {len(os.sched_getaffinity(0))} cores", flush=True)
    with (
        VirtualMicrophone() as microphone,
        RecordingBox(folder / "box", microphone, SCRIBEBOX_MODEL=model) as box,
    ):
        box.box.wait_for(r"It heard its sample")
        key, others = (box.data / "admin.key").read_text().strip(), Others()
        with Uploading(box.box.url, key, upload, UPLOADS) as uploads:
            number = box.start(title="Soak")
            with visited(box.box.url, key, number) as told:
                with watching(box, number, settled_s) as watch:
                    play(microphone.environment, wav, seconds)
                    time.sleep(1)  # what is on its way through the sound server
                box.stop(number)
                done = box.wait_for_state(number, "done", "recovered", "failed", timeout_s=LATER_S)
            busy = others.cores()
        captured = box.sound_of(number, folder)
        words = len(box.session_of(number)["originalTranscript"].split())
    captured_s, elapsed_s = done["capturedSeconds"], done["elapsedSeconds"]
    rows = [
        *sound_rows(captured, played),
        Row("captured, elapsed", f"{captured_s:.3f}, {elapsed_s:.3f} s", f"within {ALLOWED_S} s",
            abs(captured_s - elapsed_s) <= ALLOWED_S),
        Row("gaps", str(done["gaps"] or "none"), "none", not done["gaps"]),
        Row("words of the recording's text", str(words), "some", words > 0),
    ]  # fmt: skip
    for name, seen in watch.memory.items():
        rows += memory_rows(name, seen, settled_s, rise_mib)
    if any(row.good is False and row.what.startswith("  rise") for row in rows):
        grown = {k: v - watch.settled.get(k, 0) for k, v in watch.highest.items()}
        largest = sorted(grown.items(), key=lambda pair: -pair[1])[:LARGEST]
        rows += [Row(f"  grew: {name}", f"{count / MIB:+.1f} MiB") for name, count in largest]
    if watch.failure:
        rows.append(Row("the watch broke off", watch.failure, "", False))
    return rows + load_rows(uploads, told[0], watch, busy)


def main() -> int:
    """Record, print the figures."""
    if (reason := missing()) is not None:
        sys.exit(reason)
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30
    with tempfile.TemporaryDirectory() as name:
        return 0 if table(soak(Path(name), minutes)) else 1


if __name__ == "__main__":
    sys.exit(main())
