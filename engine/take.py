"""The thread that writes a take: sound from the audio thread in, the journal out."""

import queue
import threading
import time

from engine.audio import SAMPLE_RATE
from engine.converter import Converter
from engine.journal import SAMPLE_BYTES, JournalWriter
from engine.microphone import Stream
from engine.sample_clock import Missing, SampleClock

IDLE_S = 0.2
SETTLE_S = 0.2  # of a stream's beginning, which comes in bursts: its promptest block tells the time


class Inbox:
    """What the audio thread may touch: it stamps what comes and leaves it here, nothing else."""

    def __init__(self) -> None:
        self.blocks = 0
        self._queue: queue.SimpleQueue[tuple[float, bytes | None]] = queue.SimpleQueue()

    def put(self, block: bytes) -> None:
        """Leave a block of samples that has just come."""
        self.blocks += 1
        self._queue.put((time.monotonic(), block))

    def put_overflow(self) -> None:
        """Leave word that samples were lost before the next block."""
        self._queue.put((time.monotonic(), b""))

    def end(self) -> None:
        """Let the reader end after what is here; what comes later is not for this take."""
        self._queue.put((time.monotonic(), None))

    def get(self, timeout_s: float) -> tuple[float, bytes | None]:
        """Return the next: `b""` is an overflow, None the end; raise queue.Empty if none comes."""
        return self._queue.get(timeout=max(timeout_s, 0))


class Take(threading.Thread):
    """Write one stream to the journal, whose only writer it is until `finish` returns.

    Its beginning is `started` of the journal, or the end of the gap since `last_at`, the moment of
    the last sample by the monotonic clock. A failure to write ends it, see `failure`.
    """

    def __init__(
        self,
        inbox: Inbox,
        writer: JournalWriter,
        stream: Stream,
        last_at: float | None,
        gap_cause: str,
    ) -> None:
        super().__init__(name="take", daemon=True)
        self.last_at, self._gap_cause = last_at, gap_cause
        self.failure: OSError | None = None
        self.blocks = 0
        self._inbox, self._writer, self._stream = inbox, writer, stream
        self._held: list[tuple[float, bytes]] | None = []
        self._held_s = 0.0
        self._converter = Converter(stream.rate, stream.channels)
        self._clock = SampleClock()

    def finish(self) -> None:
        """Write what has come until now, and end."""
        self._inbox.end()
        self.join()

    def run(self) -> None:
        try:
            self._write()
        except OSError as error:
            self.failure = error

    def _write(self) -> None:
        while True:
            try:
                at, block = self._inbox.get(min(self._writer.sync_due_s, IDLE_S))
            except queue.Empty:
                if self._writer.sync_due_s <= 0:
                    self._writer.sync()
                continue
            if block is None:
                break
            if self._held is None:
                self._write_block(at, block)
            else:
                self._held.append((at, block))
                self._held_s += self._seconds(block)
                if self._held_s >= SETTLE_S:
                    self._begin(self._held)
        if self._held:
            self._begin(self._held)
        self._writer.append(self._converter.rest())
        self._tell(self._clock.settle())
        self._writer.sync()

    def _begin(self, held: list[tuple[float, bytes]]) -> None:
        """Write when the stream began, and what was held back of it."""
        self._held = None
        begun_at, seconds = held[0][0], 0.0
        for at, block in held:
            seconds += self._seconds(block)
            begun_at = min(begun_at, at - seconds)
        if self.last_at is None:
            stream = self._stream
            self._writer.note("started", at=wall(begun_at), device=stream.device, rate=stream.rate)
        else:
            gap_s = round(max(begun_at - self.last_at, 0), 3)
            self._writer.note("gap", at=wall(begun_at), seconds=gap_s, cause=self._gap_cause)
        for at, block in held:
            self._write_block(at, block)
        self._writer.sync()  # it has waited already

    def _write_block(self, at: float, block: bytes) -> None:
        sample = self._writer.samples
        if not block:
            self._clock.overflowed(sample)
            return
        self._writer.append(self._converter.convert(block))
        self.blocks += 1
        missing = self._clock.tick(at, self._seconds(block), sample)
        self.last_at = at - self._clock.lateness_s
        self._tell(missing)

    def _seconds(self, block: bytes) -> float:
        return len(block) / SAMPLE_BYTES / self._stream.channels / self._stream.rate

    def _tell(self, missing: Missing | None) -> None:
        if missing is not None:
            seconds_since = (self._writer.samples - missing.sample) / SAMPLE_RATE
            self._writer.note(
                "gap",
                sample=missing.sample,
                at=time.time() - seconds_since,
                seconds=round(missing.seconds, 3),
                cause="overflow",
            )


def wall(at: float) -> float:
    """Return a moment of the monotonic clock in seconds since 1970."""
    return time.time() - (time.monotonic() - at)
