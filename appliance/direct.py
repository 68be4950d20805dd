"""A file transcribed at once for a caller who waits: it has no row, no session and no trace after.

Guarantee: at most `most` callers have a place at a time, and one who finds none is told so at once,
before the file is sent. A file lies in a folder of its own only while its caller waits; what a
crash left there is removed at the next start. Nothing here is synced to the disk.
"""

import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.audio_folder import AudioFolder, Incoming, out_of_room
from appliance.errors import Busy
from engine.audio import DecodeLimits, Decoding
from engine.errors import AudioUnreadable, Cancelled
from engine.models import Model
from engine.transcript import Segment, Transcript
from engine.transcription import FileTranscription, Progress
from engine.whisper import Request, Whisper, check_translation
from engine.worker import Priority, Worker

log = logging.getLogger(__name__)
MOST_CHANNELS = 16
SHORT_S = 60.0  # of audio; a file that is longer waits behind those that are not
RETRY_S = 10.0  # about what a short file needs when four others are at it
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class DirectResult:
    """What was heard in a file: one transcript for each channel that was asked for."""

    transcripts: tuple[Transcript, ...]
    model: Model

    @property
    def transcript(self) -> Transcript:
        """Return the transcript of the file, or of its first channel."""
        return self.transcripts[0]


class Passing(Incoming):
    """A file being received that outlives neither its request nor a power cut."""

    def lead(self, head: bytes) -> None:
        """Put bytes before those that come; they are neither counted nor hashed."""
        with out_of_room():
            self._file.write(head)

    def close(self) -> None:
        """Have everything in the file, for whoever reads it by its path."""
        with out_of_room():
            self._file.close()


class PassingFolder(AudioFolder):
    """The folder of such files; it is empty when nobody waits."""

    def receive(self) -> Passing:
        """Open a new file."""
        with out_of_room():
            return Passing(self)


class Direct:
    """Give out places, receive files, transcribe them. For any thread."""

    def __init__(
        self,
        worker: Worker,
        folder: Path,
        upload_limit_bytes: int,
        refuse_bytes: int,
        language: str | None = None,
        most: int = 4,
    ) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        self.audio = PassingFolder(folder, upload_limit_bytes, refuse_bytes)
        self.language, self.most = language, most
        self._worker = worker
        self._places = threading.BoundedSemaphore(most)
        self._closing = threading.Event()

    def close(self) -> None:
        """Give everything up; whoever waits gets Cancelled."""
        self._closing.set()

    @contextlib.contextmanager
    def enter(self) -> Iterator[None]:
        """Hold a place, from before the file is received until its text is sent."""
        if not self._places.acquire(blocking=False):
            raise Busy(
                f"{self.most} files are being transcribed already; try again in a moment", RETRY_S
            )
        try:
            yield
        finally:
            self._places.release()

    def check(self, language: str | None, *, translate: bool = False) -> None:
        """Refuse what the model can't do, as far as that is known: it may still be loading."""
        with contextlib.suppress(TimeoutError):
            check(self._worker.model(0), language, translate)

    def transcribe(
        self,
        path: Path,
        *,
        language: str | None,
        hotwords: tuple[str, ...] = (),
        translate: bool = False,
        detect: bool = False,
        among: tuple[str, ...] = (),
        multichannel: bool = False,
        on_segments: Callable[[tuple[Segment, ...]], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> DirectResult:
        """Return the text of a file; the model may still be loading, that is waited for.

        No language: that of the settings, else (and with `detect`) the one that is spoken, or
        sounds most like it of those that are named.
        `multichannel`: one transcript for each channel. Setting `cancelled` ends it: Cancelled.
        """
        if language is None and not detect:
            language = self.language
        request = Request(language=language, among=among, hotwords=hotwords, translate=translate)
        ends = (self._closing, cancelled or threading.Event())
        model = self._model(ends)
        check(model, language, translate)
        transcripts = []
        began = time.monotonic()
        with without_path(path):
            for limits in channels_of(path) if multichannel else [DecodeLimits()]:
                transcription = Waited(
                    path,
                    self._worker,
                    request,
                    priority=Priority.SHORT,
                    limits=limits,
                    on_segments=on_segments,
                )
                with given_up_by(transcription, ends):
                    transcripts.append(transcription.run())
        log.info(
            "a file of %.1f s was transcribed in %.1f s",
            transcripts[0].duration_ms / 1e3,
            time.monotonic() - began,
        )
        return DirectResult(tuple(transcripts), model.model)

    def _model(self, ends: Sequence[threading.Event]) -> Whisper:
        while True:
            if any(end.is_set() for end in ends):
                raise Cancelled("the file was given up before the model was loaded")
            with contextlib.suppress(TimeoutError):
                return self._worker.model(LOOK_S)


class Waited(FileTranscription):
    """A transcription that steps back once its file turns out to be long."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, on_progress=self._step_back, **more)

    def _step_back(self, progress: Progress) -> None:
        if max(progress.done_seconds, progress.total_seconds or 0) > SHORT_S:
            self.priority = Priority.LONG


def check(model: Whisper, language: str | None, translate: bool) -> None:
    """Raise LanguageUnsupported unless the model can do it."""
    model.check_language(language)
    if translate:
        check_translation(model.model)


def channels_of(path: Path) -> list[DecodeLimits]:
    """Return what makes a decode bring one channel alone, for each that the file has."""
    with Decoding(path) as decoding:
        channels = decoding.channels
    if channels > MOST_CHANNELS:
        raise AudioUnreadable(
            f"{path}: has {channels} channels; {MOST_CHANNELS} is the most that can be told apart"
        )
    return [DecodeLimits(channel=channel) for channel in range(channels)]


@contextlib.contextmanager
def without_path(path: Path) -> Iterator[None]:
    """Say why a file can't be read, but not where it lies: that is nobody's business."""
    try:
        yield
    except AudioUnreadable as error:
        raise AudioUnreadable(str(error).removeprefix(f"{path}: ")) from None


@contextlib.contextmanager
def given_up_by(
    transcription: FileTranscription, ends: Sequence[threading.Event]
) -> Iterator[None]:
    """Cancel a transcription as soon as one of the events is set."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            if any(end.is_set() for end in ends):
                transcription.cancel()
                return

    watching = threading.Thread(target=look, name="direct", daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
