"""What the child of `engine.stream_decoder` and its parent say to each other, and the child's ends.

Down go the bytes of the stream as they are, or packets, each after its length in four bytes. Up go
records, a letter and a length before each: `C` how many channels come, `P` their samples (16 kHz
s16le, interleaved), `W` how many bytes were taken when all was used up and more is wanted, `E`
that it is over and, if it went wrong, why.
"""

import os
import resource
import select
import struct
import time
from collections.abc import Iterator
from typing import BinaryIO

from engine.decoder import SAMPLE_RATE

RECORD = struct.Struct("<cI")
LENGTH = struct.Struct("<I")
TAKEN = struct.Struct("<Q")
READ_BYTES = 1 << 15
MOST_PACKET_BYTES = 1 << 16  # of Opus: 120 ms at its highest rate
CPU_SECONDS = 60  # without 10 s of sound in return
SOUNDLESS_BYTES = 2 << 20  # a head with a long index or a picture may have so much


class Telling:
    """What goes to the parent."""

    def __init__(self, out: BinaryIO, cpu_most: int | None = None) -> None:
        self._out, self._cpu_most = out, cpu_most
        self._allowed_to = 0
        self.samples = 0

    def channels(self, count: int) -> None:
        """Tell it before the first samples."""
        self._put(b"C", bytes([count]))

    def sound(self, pcm: bytes, channels: int) -> None:
        """Hand out samples and, for every 10 s of them, allow for more work."""
        self._put(b"P", pcm)
        self.samples += len(pcm) // 2 // channels
        if self._cpu_most and self.samples >= self._allowed_to:
            self._allowed_to = self.samples + 10 * SAMPLE_RATE
            soft = min(int(time.process_time()) + CPU_SECONDS, self._cpu_most)
            resource.setrlimit(resource.RLIMIT_CPU, (soft, self._cpu_most))

    def wants(self, taken: int) -> None:
        """Say that all is used up, and mean it: nothing waits in a buffer."""
        self._put(b"W", TAKEN.pack(taken))
        self._out.flush()

    def end(self, reason: str) -> None:
        """Say that it is over, and why it went wrong if it did."""
        self._put(b"E", reason.encode())
        self._out.flush()

    def _put(self, letter: bytes, body: bytes) -> None:
        self._out.write(RECORD.pack(letter, len(body)) + body)


class Source:
    """The stream as FFmpeg reads it; says each time that it must wait for more."""

    def __init__(self, descriptor: int, telling: Telling) -> None:
        self._descriptor, self._telling = descriptor, telling
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._again = b""
        self._sounded = (0, 0)  # samples told, and bytes taken until then
        self.taken = 0
        self.ended = False
        self.soundless = False  # nothing but noise comes: no more is read
        self.left: int | None = None  # bytes until the sound ends, where a head told it

    def read(self, count: int) -> bytes:
        """Return what there is, at least one byte; nothing at the end."""
        if self.left is not None:
            count = min(count, self.left)
        if self._again:
            read, self._again = self._again[:count], self._again[count:]
        elif count == 0 or self._is_soundless():
            read = b""
        else:
            read = self.next(min(count, READ_BYTES))
            self.taken += len(read)
            self.ended = not read
        if self.left is not None:
            self.left -= len(read)
        return read

    def next(self, count: int) -> bytes:
        """Return what the parent gives next."""
        if not self._poll.poll(0):
            self._telling.wants(self.taken)
        return os.read(self._descriptor, count)

    @property
    def waiting(self) -> int:
        """Return how many bytes will be read again."""
        return len(self._again)

    def exactly(self, count: int) -> bytes:
        """Return `count` bytes, fewer only at the end."""
        parts = []
        while count and (part := self.read(count)):
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _is_soundless(self) -> bool:
        samples, taken = self._sounded
        if self._telling.samples > samples:
            self._sounded = self._telling.samples, self.taken
        elif self.taken > taken + SOUNDLESS_BYTES:
            self.soundless = True
        return self.soundless

    def unread(self, read: bytes) -> None:
        """Have `read` read again."""
        self._again = read + self._again

    def chunks(self) -> Iterator[bytes]:
        """Yield all that comes."""
        while chunk := self.read(READ_BYTES):
            yield chunk
