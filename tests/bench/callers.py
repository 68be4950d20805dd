"""Callers who speak at the same time, and how long each of their utterances waits for its text.

A caller speaks for as long as the utterance lasts (with a fixed pace, so that a slow engine is not
spared), then waits. Beside them long files may be transcribed, over and over.
"""

import itertools
import threading
import time
from pathlib import Path

from engine.audio import SAMPLE_RATE, Samples
from engine.errors import Cancelled
from engine.hardware import Hardware
from engine.models import Shelf
from engine.transcription import FileTranscription
from engine.whisper import Request, Whisper
from engine.worker import Priority, Worker

SPEAKS_FOR_S = 3.0  # at most, so that the measurement ends; longer sound is as much work
HARDWARE = Hardware("cpu", 1, 2)
PATIENCE_S = 120


def waits(
    model: str, shelf: Path, sounds: list[Samples], count: int, files: list[str], each: int
) -> list[float]:
    """Return the seconds from the end of each utterance to its text."""
    found = Shelf(shelf).find(model)
    worker = Worker(lambda: Whisper(found, HARDWARE), workers=2).start()
    worker.model(PATIENCE_S)
    ended = threading.Event()
    running: list[FileTranscription] = []
    took: list[float] = []

    def transcribe(path: str) -> None:
        while not ended.is_set():
            one = FileTranscription(Path(path), worker, Request("en"))
            running.append(one)
            try:
                one.run()
            except Cancelled:
                return

    def speak(mine: list[Samples]) -> None:
        for sound in mine:
            worker.expect_speech()
            time.sleep(min(len(sound) / SAMPLE_RATE, SPEAKS_FOR_S))  # it is being said
            at = time.perf_counter()
            worker.submit(sound, Request("en"), Priority.LIVE).result(PATIENCE_S)
            took.append(time.perf_counter() - at)

    turns = itertools.cycle(sounds)
    readers = [threading.Thread(target=transcribe, args=(path,)) for path in files]
    speakers = [
        threading.Thread(target=speak, args=([next(turns) for _ in range(each)],))
        for _ in range(count)
    ]
    for thread in [*readers, *speakers]:
        thread.start()
    for thread in speakers:
        thread.join()
    ended.set()
    for one in running:
        one.cancel()
    for thread in readers:
        thread.join()
    worker.stop()
    return took
