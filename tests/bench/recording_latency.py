"""How soon what was said is text: from the end of an utterance to its `segment` event.

    python tests/bench/recording_latency.py [CORPUS]

CLIPS clips of speech (those of the project, over and over, or of CORPUS, a folder with
manifest.json and audio/) with PAUSE_S between them are played into the virtual microphone, with
`base`: once alone, and once while an upload is being transcribed. A listener of the recording's
events notes when each segment reaches it. The journal's clock says when a sample was captured; the
utterances are found again in the FLAC by the detector and the segmenter that the box has. From
when the time is counted:

- last voiced: the end of the last 32 ms with speech. This is the end of the utterance for the bar;
- last word: the end of the last word, as the engine dates it;
- utterance's end: where the segmenter cuts, a hangover after the last voiced;
- decided: when the sound had come by which the segmenter knew (1 s of silence after the last
  voiced, a later pause in a long one); what is left is the work of box and engine.

Ends with 1 if p95 alone is over 2.0 s, if with an upload an utterance is later than alone by more
than the longest window of that upload takes by itself, if the text's word error rate and that of
the same sound uploaded differ by more than 2 points, or the FLAC correlates with what was played
by less than 0.99. Others at work on the machine count in full: their share is printed.
"""

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
from whisper_normalizer.english import EnglishTextNormalizer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from background import LATER_S, Others, Row, Uploading, client_of, play, table, upload_rows
from long_file import lengthened
from recording_box import RECORDINGS, SESSIONS, RecordingBox
from running_box import WAIT_S
from speech_fixtures import write_wav
from utterances import CLIPS, PAUSE_S, Ended, aligned, spoken, utterances, window_seconds
from virtual_microphone import VirtualMicrophone, missing

from engine.audio import SAMPLE_RATE, Samples
from engine.models import Shelf
from engine.whisper import Whisper

MODEL, UPLOAD_HOURS = "base", 5 / 60
SAME_S = 0.5  # two utterances that begin so near each other are the same one
ALLOWED_P95_S, ALLOWED_WER, ALLOWED_LIKENESS = 2.0, 2.0, 0.99
NORMALISE = EnglishTextNormalizer()


@contextmanager
def listening(box: RecordingBox, number: int) -> Iterator[list[tuple[float, dict]]]:
    """Note the wall clock of each segment while the block runs, and until the recording is over."""
    heard: list[tuple[float, dict]] = []
    key = (box.data / "admin.key").read_text().strip()

    def listen() -> None:
        kind = ""
        with (
            client_of(box.box.url, key) as client,
            client.stream("GET", f"{RECORDINGS}/{number}/events") as stream,
        ):
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: ") and kind == "segment":
                    heard.append((time.time(), json.loads(line.removeprefix("data: "))))

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield heard
    thread.join(WAIT_S)
    assert not thread.is_alive(), "the events don't end"


@dataclass(frozen=True, slots=True)
class Text:
    """The text of one utterance: when it came, and when what it says was captured."""

    began_s: float  # on the clock of what was played
    ended_by: str
    late_s: dict[str, float]  # by from when it is counted


@dataclass(frozen=True, slots=True)
class TakeSeen:
    """What one take gave."""

    texts: list[Text]
    utterances: int
    text: str
    likeness: float
    captured_s: float
    elapsed_s: float
    others: float


def take(box: RecordingBox, folder: Path, wav: Path, played: Samples) -> TakeSeen:
    """Record what is played, and listen meanwhile."""
    others = Others()
    number = box.start(title="Latency")
    started_at = next(e.at for e in box.journal(number).events() if e.kind == "started")
    with listening(box, number) as heard:
        play(box.microphone.environment, wav, len(played) / SAMPLE_RATE)
        time.sleep(PAUSE_S)  # the last one ends by its silence, like the others
        box.stop(number)
        done = box.wait_for_state(number, "done")
    cores = others.cores()
    captured = box.sound_of(number, folder)
    offset, likeness = aligned(captured, played)
    found = utterances(captured)
    return TakeSeen(
        texts_of(found, heard, started_at, offset),
        len(found),
        box.session_of(number)["originalTranscript"],
        likeness,
        done["capturedSeconds"],
        done["elapsedSeconds"],
        cores,
    )


def texts_of(
    found: list[Ended], heard: list[tuple[float, dict]], started_at: float, offset: int
) -> list[Text]:
    """Return when the text of each utterance was whole, counted from its ends."""
    whole: dict[int, tuple[float, float]] = {}
    begins = np.array([each.utterance.start_sample for each in found])
    for at, segment in heard:
        which = int(np.searchsorted(begins, segment["start"] * SAMPLE_RATE + 160, "right")) - 1
        whole[max(which, 0)] = at, segment["end"]
    texts = []
    for which, (at, last_word_s) in whole.items():
        ended, said = found[which], found[which].utterance
        moments = {
            "last voiced": ended.voiced_to / SAMPLE_RATE,
            "last word": last_word_s,
            "utterance's end": said.end_sample / SAMPLE_RATE,
            "decided": ended.decided_at / SAMPLE_RATE,
        }
        late_s = {name: at - started_at - moment for name, moment in moments.items()}
        texts.append(Text((said.start_sample - offset) / SAMPLE_RATE, said.ended_by, late_s))
    return texts


def wer(reference: str, text: str) -> float:
    """Return the word error rate in per cent."""
    return 100 * jiwer.wer(NORMALISE(reference), NORMALISE(text))


def wer_row(reference: str, text: str, uploaded: str) -> Row:
    """Return how the words of the recording compare with those of the same sound as a file."""
    wers = wer(reference, text), wer(reference, uploaded)
    figures = f"{wers[0]:.2f}, {wers[1]:.2f} %"
    good = abs(wers[0] - wers[1]) <= ALLOWED_WER
    return Row("WER of the recording, of the upload", figures, f"within {ALLOWED_WER:g}", good)


def the_same_uploaded(box: RecordingBox, path: Path) -> str:
    """Return the text of a file."""
    with path.open("rb") as file:
        sent = box.client.post(f"{SESSIONS}/?wait=true", content=file, timeout=LATER_S)
    return str(sent.raise_for_status().json()["originalTranscript"])


def late_rows(name: str, seen: TakeSeen, barred: str | None = None) -> list[Row]:
    """Return how late the text of a take was; `barred` is from when the bar counts."""
    rows = [
        Row(f"{name}: p50, p95, max after", f"{len(seen.texts)} of {seen.utterances} with text")
    ]
    cut = sum(text.ended_by != "silence" for text in seen.texts)
    for moment in seen.texts[0].late_s:
        late = [text.late_s[moment] for text in seen.texts]
        p50, p95 = np.percentile(late, [50, 95])
        bar = f"p95 <= {ALLOWED_P95_S} s" if moment == barred else ""
        good = bool(p95 <= ALLOWED_P95_S) if bar else None
        rows.append(Row(f"  {moment}", f"{p50:.2f}, {p95:.2f}, {max(late):.2f} s", bar, good))
    rows.append(Row("  cut within speech", f"{cut}"))
    rows.append(Row("  captured, elapsed", f"{seen.captured_s:.3f}, {seen.elapsed_s:.3f} s",
                    "within 0.2 s", abs(seen.captured_s - seen.elapsed_s) <= 0.2))  # fmt: skip
    rows.append(Row("  likeness of the FLAC", f"{seen.likeness:.4f}", f">= {ALLOWED_LIKENESS}",
                    seen.likeness >= ALLOWED_LIKENESS))  # fmt: skip
    return [*rows, Row("  cores that others kept busy", f"{seen.others:.2f}")]


def delay_rows(alone: TakeSeen, beside: TakeSeen, window_s: float) -> list[Row]:
    """Return by how much the same utterances are later with an upload."""
    delays = []
    for text in beside.texts:
        same = min(alone.texts, key=lambda other: abs(other.began_s - text.began_s))
        if abs(same.began_s - text.began_s) <= SAME_S:
            delays.append(text.late_s["decided"] - same.late_s["decided"])
    p50, p95 = np.percentile(delays, [50, 95])
    return [
        Row("the longest window of the upload, by itself", f"{window_s:.2f} s"),
        Row("later with an upload: p50, p95, max", f"{p50:.2f}, {p95:.2f}, {max(delays):.2f} s",
            f"<= {window_s:.2f} s", max(delays) <= window_s),
    ]  # fmt: skip


def main() -> int:
    """Play, listen, print the figures."""
    if (reason := missing()) is not None:
        sys.exit(reason)
    played, reference = spoken(sys.argv[1] if len(sys.argv) > 1 else "")
    with tempfile.TemporaryDirectory() as name, VirtualMicrophone() as microphone:
        folder = Path(name)
        wav = write_wav(folder / "played.wav", played)
        upload = lengthened(folder / "upload.flac", UPLOAD_HOURS)
        window_s = window_seconds(Whisper(Shelf(folder / "models").find(MODEL)), upload)
        print(f"{len(played) / SAMPLE_RATE:.0f} s of speech, {CLIPS} clips, {MODEL}, "
              f"{len(os.sched_getaffinity(0))} cores", flush=True)  # fmt: skip
        with RecordingBox(folder / "box", microphone, SCRIBEBOX_MODEL=MODEL) as box:
            box.box.wait_for(r"It heard its sample")
            key = (box.data / "admin.key").read_text().strip()
            alone = take(box, folder, wav, played)
            good = table(late_rows("alone", alone, "last voiced"))
            good &= table([wer_row(reference, alone.text, the_same_uploaded(box, wav))])
            with Uploading(box.box.url, key, upload, 1) as uploads:
                beside = take(box, folder, wav, played)
        good &= table(late_rows("beside an upload", beside))
        good &= table(upload_rows(uploads))
        good &= table(delay_rows(alone, beside, window_s))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
