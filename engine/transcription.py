"""A file becomes a transcript: decode, find the speech, transcribe it window by window.

Everything streams: at any moment a few blocks of samples and `AHEAD` windows are held, however
long the file is.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.audio import SAMPLE_RATE, DecodeLimits, Decoding, Samples
from engine.errors import AudioUnreadable, Cancelled
from engine.hearer import Hearer, Knowing
from engine.segmenter import FILE, Profile, Segmenter, Utterance
from engine.transcript import Segment, Transcript
from engine.vad import CHUNK_SAMPLES, Silero
from engine.whisper import Request
from engine.worker import Priority, Ticket

AHEAD = 2  # windows queued while one is being transcribed
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a file is: seconds of audio done, and in all if the file says so."""

    done_seconds: float
    total_seconds: float | None

    @property
    def share(self) -> float:
        """Return 0..1; 0 while the length is unknown."""
        if not self.total_seconds:
            return 0.0
        return min(self.done_seconds / self.total_seconds, 1.0)


class FileTranscription:
    """One file on its way; `run` it in a thread that may wait, `cancel` it from any other."""

    def __init__(
        self,
        path: Path,
        worker: Hearer,
        request: Request | None = None,
        *,
        priority: Priority = Priority.LONG,
        profile: Profile = FILE,
        limits: DecodeLimits | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_segments: Callable[[tuple[Segment, ...]], None] | None = None,
    ) -> None:
        self.path, self.worker, self.request = path, worker, request or Request()
        self.priority, self.profile, self.limits = priority, profile, limits
        self.on_progress, self.on_segments = on_progress, on_segments
        self._cancelled = threading.Event()
        self._decoding: Decoding | None = None
        self._queued: deque[tuple[Utterance, Ticket]] = deque()
        self._segments: list[Segment] = []
        self._language = self.request.language
        self._shown_samples = 0
        self.media_type: str | None = None  # of the file, known once it is read

    def cancel(self) -> None:
        """Give up: `run` raises Cancelled before the next window, the decoder ends at once."""
        self._cancelled.set()
        if self._decoding is not None:
            self._decoding.close()

    def run(self) -> Transcript:
        """Return the transcript of the whole file."""
        self._model().check_language(self.request.language)
        try:
            self._decoding = Decoding(self.path, self.limits)
            with self._decoding as decoding:
                self.media_type = decoding.media_type
                self._check()  # cancelled before there was a decoder to end
                for utterance in utterances(decoding, self.profile, self._report_silence):
                    self._queue(utterance, decoding)
                while self._queued:
                    self._collect(decoding)
        except (ValueError, OSError, AudioUnreadable):  # a decoder that `cancel` has ended
            self._check()
            raise
        finally:
            for _, ticket in self._queued:
                ticket.cancel()
        self._check()
        self._report(decoding, decoding.samples)
        return Transcript(
            segments=tuple(self._segments),
            model=self.worker.model().model.name,
            language=self._language if self._segments else None,
            duration_ms=decoding.samples * 1000 // SAMPLE_RATE,
            warning=decoding.warning,
        )

    def _model(self) -> Knowing:
        """Wait for the model, which may take a while to load."""
        while True:
            self._check()
            try:
                return self.worker.model(POLL_S)
            except TimeoutError:
                continue

    def _queue(self, utterance: Utterance, decoding: Decoding) -> None:
        request = replace(self.request, language=self._language)
        ticket = self.worker.submit(utterance.samples, request, self.priority)
        self._queued.append((utterance, ticket))
        # the language of the first speech is that of the file, so it is waited for
        while self._queued and (len(self._queued) > AHEAD or self._language is None):
            self._collect(decoding)

    def _collect(self, decoding: Decoding) -> None:
        """Wait for the oldest window."""
        utterance, ticket = self._queued[0]
        while True:
            self._check()
            try:
                heard = ticket.result(POLL_S)
                break
            except TimeoutError:
                continue
        self._queued.popleft()
        if any(segment.suppressed is None for segment in heard.segments):
            self._language = self._language or heard.language
        offset_ms = utterance.start_sample * 1000 // SAMPLE_RATE
        segments = tuple(segment.moved(offset_ms) for segment in heard.segments)
        self._segments += segments
        if segments and self.on_segments is not None:
            self.on_segments(segments)
        self._report(decoding, utterance.end_sample)

    def _report_silence(self, samples: int) -> None:
        """Show that silence goes by too; speech that is still queued holds the figure back."""
        self._check()
        if not self._queued and self._decoding is not None:
            self._report(self._decoding, samples)

    def _report(self, decoding: Decoding, samples: int) -> None:
        self._shown_samples = max(self._shown_samples, samples)  # speech ends before its silence
        if self.on_progress is not None:
            self.on_progress(Progress(self._shown_samples / SAMPLE_RATE, decoding.seconds))

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled(f"{self.path}: cancelled")


def utterances(
    blocks: Decoding, profile: Profile, on_block: Callable[[int], None]
) -> Iterator[Utterance]:
    """Yield the utterances of a file as its blocks come; `on_block` learns of the samples seen."""
    silero, segmenter = Silero(), Segmenter(profile)
    rest: Samples = np.zeros(0, np.int16)
    seen = 0
    for block in blocks:
        samples = np.concatenate([rest, block])
        whole = len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES
        rest = samples[whole:]
        yield from segmenter.push(samples[:whole], silero.probabilities(samples[:whole]))
        seen += whole
        on_block(seen)
    yield from segmenter.flush(rest)
