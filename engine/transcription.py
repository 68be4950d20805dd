"""A file becomes a transcript: decode, find the speech, pack it into windows, transcribe them.

Everything streams: at any moment a few blocks of samples and `AHEAD` windows are held, however
long the file is. The worker takes as many of them at once as pays; they come back in order.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.audio import SAMPLE_RATE, DecodeLimits, Decoding, Samples
from engine.errors import AudioUnreadable, Cancelled
from engine.gates import is_dense
from engine.hearer import Hearer, Knowing
from engine.packing import Pack, Packer
from engine.segmenter import DENSE, FILE, Profile, Segmenter, Utterance, pieces_for
from engine.transcript import Segment, Transcript
from engine.vad import CHUNK_SAMPLES, Silero
from engine.whisper import KNOWN_BY_SAMPLES, Request
from engine.worker import Priority, Ticket

AHEAD = 32  # windows queued: two full batches for each of two workers
HELD_FOR_S = 10.0  # of silence, after which a window goes with what it has
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
        profile: Profile | None = None,
        limits: DecodeLimits | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_segments: Callable[[tuple[Segment, ...]], None] | None = None,
    ) -> None:
        self.path, self.worker, self.request = path, worker, request or Request()
        self.priority, self.profile, self.limits = priority, profile, limits  # None: the model's
        self.on_progress, self.on_segments = on_progress, on_segments
        self._cancelled = threading.Event()
        self._decoding: Decoding | None = None
        self._packer = Packer(FILE.soft_max_ms)
        self._queued: deque[tuple[Pack, Ticket]] = deque()
        self._segments: list[Segment] = []
        self._language = self.request.language
        self._guess: str | None = None  # of speech too short to know the language by
        self._shown_samples = 0
        self.media_type: str | None = None  # of the file, known once it is read

    def cancel(self) -> None:
        """Give up: `run` raises Cancelled before the next window, the decoder ends at once."""
        self._cancelled.set()
        if self._decoding is not None:
            self._decoding.close()

    def run(self) -> Transcript:
        """Return the transcript of the whole file."""
        whisper = self._model()
        whisper.check_language(self.request.language)
        profile = self.profile or pieces_for(whisper.model.name, is_dense(self.request.language))
        self._packer = Packer(profile.soft_max_ms)
        try:
            self._decoding = Decoding(self.path, self.limits)
            with self._decoding as decoding:
                self.media_type = decoding.media_type
                self._check()  # cancelled before there was a decoder to end
                for utterance in utterances(decoding, profile, self._go_on):
                    self._queue(self._packer.push(utterance), decoding)
                self._queue(self._packer.flush(), decoding)
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
            language=(self._language or self._guess) if self._segments else None,
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

    def _queue(self, packs: list[Pack], decoding: Decoding) -> None:
        for pack in packs:
            request = replace(self.request, language=self._language)
            self._queued.append((pack, self.worker.submit(pack.samples, request, self.priority)))
            # the language of the first speech is that of the file, so it is waited for
            while self._queued and (len(self._queued) > AHEAD or self._language is None):
                self._collect(decoding)
        while self._queued and self._queued[0][1].done:
            self._collect(decoding)

    def _collect(self, decoding: Decoding) -> None:
        """Wait for the oldest window."""
        pack, ticket = self._queued[0]
        while True:
            self._check()
            try:
                heard = ticket.result(POLL_S)
                break
            except TimeoutError:
                continue
        self._queued.popleft()
        if any(segment.suppressed is None for segment in heard.segments):
            self._learn(heard.language, pack)
        segments = pack.on_file(heard.segments)
        self._segments += segments
        if segments and self.on_segments is not None:
            self.on_segments(segments)
        self._report(decoding, pack.end_sample)

    def _learn(self, language: str, pack: Pack) -> None:
        """Take the language of the first speech for that of the file; a cough has none."""
        self._guess = self._guess or language
        if self._language is None and len(pack.samples) >= KNOWN_BY_SAMPLES:
            self._language = language
            if self.profile is None and is_dense(language):
                self._packer.narrow(DENSE.soft_max_ms)

    def _go_on(self, samples: int) -> None:
        """Show that silence goes by too; speech that is still queued holds the figure back."""
        self._check()
        decoding, held_to = self._decoding, self._packer.end_sample
        assert decoding is not None
        if held_to is not None and samples - held_to > HELD_FOR_S * SAMPLE_RATE:
            self._queue(self._packer.flush(), decoding)
        if not self._queued and self._packer.end_sample is None:
            self._report(decoding, samples)

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
