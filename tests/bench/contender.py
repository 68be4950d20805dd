"""One engine in a process of its own: ours, or the public one in one of its ways.

    python tests/bench/contender.py ENGINE MODEL SHELF

Reads one task a line of JSON from standard input, answers with one line of JSON. Engines: `ours`
(`ours-1x2`: one worker of two threads), `default`, `beam1`, `batched`. Both get files by path and
utterances as samples, and 2 threads in all.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.audio import SAMPLE_RATE, Samples, read
from engine.hardware import Hardware
from engine.models import Model, Shelf
from engine.transcription import FileTranscription
from engine.whisper import Request, Whisper
from engine.worker import Priority, Worker

THREADS = 2
WARM_S = 3
WHOSE = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)  # a decoder is a child of ours
Words = list[tuple[str, float, float]]


class Ours:
    """The engine of this project, as the box runs it."""

    def __init__(self, model: Model, workers: int) -> None:
        hardware = Hardware("cpu", THREADS // workers, workers)
        self.worker = Worker(lambda: Whisper(model, hardware), workers=workers).start()
        self.worker.model()

    def file(self, path: str, language: str | None) -> dict[str, Any]:
        """Transcribe a file."""
        heard = FileTranscription(Path(path), self.worker, Request(language)).run()
        held_back = [f"{each.suppressed}: {each.text}" for each in heard.suppressed]
        return {"text": heard.text, "suppressed": held_back}

    def utterance(self, samples: Samples, language: str) -> dict[str, Any]:
        """Transcribe what was just said, as for a recording or a live stream."""
        heard = self.worker.submit(samples, Request(language), Priority.LIVE).result()
        said = [segment for segment in heard.segments if segment.suppressed is None]
        words = [(w.text, w.start_ms / 1e3, w.end_ms / 1e3) for s in said for w in s.words]
        return {"text": " ".join(segment.text for segment in said), "words": words}

    def times(self, samples: Samples, language: str) -> Words:
        """Return the words with their times."""
        words: Words = self.utterance(samples, language)["words"]
        return words


class Theirs:
    """faster-whisper as it comes; without VAD, but in its batched pipeline."""

    def __init__(self, model: Model, way: str) -> None:
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        self.way = way
        self.model = WhisperModel(
            str(model.folder), device="cpu", compute_type="int8", cpu_threads=THREADS,
            local_files_only=True,
        )  # fmt: skip
        self.options: dict[str, Any] = {} if way == "default" else {"beam_size": 1}
        self.transcribe = self.model.transcribe
        if way == "batched":
            self.transcribe = BatchedInferencePipeline(self.model).transcribe
            self.options["batch_size"] = 8

    def file(self, path: str, language: str | None) -> dict[str, Any]:
        """Transcribe a file."""
        segments, _ = self.transcribe(path, language=language, **self.options)
        return {"text": " ".join(segment.text.strip() for segment in segments)}

    def utterance(self, samples: Samples, language: str) -> dict[str, Any]:
        """Transcribe samples."""
        sound = samples.astype(np.float32) / 32768
        segments, _ = self.transcribe(sound, language=language, **self.options)
        return {"text": " ".join(segment.text.strip() for segment in segments)}

    def times(self, samples: Samples, language: str) -> Words:
        """Return the words with their times."""
        sound = samples.astype(np.float32) / 32768
        segments, _ = self.transcribe(
            sound, language=language, word_timestamps=True, **self.options
        )
        return [(w.word.strip(), float(w.start), float(w.end)) for s in segments for w in s.words]


def cpu_s() -> float:
    """Return the processor time of this process and of its children that ended."""
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, WHOSE))


def timed(do: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the answer of a task with the seconds it took."""
    cpu, wall = cpu_s(), time.perf_counter()
    answer = do()
    return {**answer, "wall": time.perf_counter() - wall, "cpu": cpu_s() - cpu}


def carried_out(engine: Ours | Theirs, task: dict[str, Any]) -> Any:
    """Return what a task asks for."""
    language = task.get("language")
    if task["do"] == "file":
        return timed(lambda: engine.file(task["path"], language))
    if task["do"] == "files":
        return [timed(lambda p=path: engine.file(p, language)) for path in task["paths"]]
    sounds = [read(Path(path)) for path in task["paths"]]
    if task["do"] == "times":
        return [engine.times(sound, language or "en") for sound in sounds]
    return [timed(lambda s=sound: engine.utterance(s, language or "en")) for sound in sounds]


def main() -> None:
    """Load the engine, then carry out what is asked."""
    way, name, shelf = sys.argv[1:4]
    model = Shelf(Path(shelf)).find(name)
    workers = 1 if way == "ours-1x2" else THREADS
    engine = Ours(model, workers) if way.startswith("ours") else Theirs(model, way)
    engine.utterance(np.zeros(WARM_S * SAMPLE_RATE, np.int16), "en")
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        answer = carried_out(engine, json.loads(line))
        peak_mib = sum(each.ru_maxrss for each in map(resource.getrusage, WHOSE)) / 1024
        print(json.dumps({"answer": answer, "peakMib": peak_mib}), flush=True)


if __name__ == "__main__":
    main()
