"""A live stream decoded in a confined child process (`engine.stream_decoder`), piece by piece."""

import contextlib
import os
import select
import subprocess
import sys
import threading
from typing import IO

import numpy as np

from engine import containers
from engine.audio import SAMPLE_RATE, DecodeLimits, Samples, bare_environment, cause
from engine.errors import AudioUnreadable
from engine.stream_pipe import LENGTH, MOST_PACKET_BYTES, RECORD, TAKEN

START_S = 30  # Python and PyAV are loaded meanwhile
ANSWER_S = 10
FAREWELL_S = 5
READ_BYTES = 1 << 18
MOST_RECORD_BYTES = 64 << 20  # more than any codec's frame becomes
MOST_PIECE_BYTES = 3600 * SAMPLE_RATE * 2  # an hour: a few kilobytes can claim years


class StreamDecoding:
    """One stream and its child, which is started at once.

    `feed` returns when the child has used up all it was given, so its samples are exactly those
    of the bytes so far; it and `end` block meanwhile, a few milliseconds as a rule, and give up
    when nothing moves for ANSWER_S. `close` may come from another thread and cuts them short.
    """

    def __init__(
        self,
        form: str,
        channels: int = 1,
        multichannel: bool = False,
        limits: DecodeLimits | None = None,
    ) -> None:
        limits = limits or DecodeLimits()
        self.channels = 0
        self._form = form
        self._in_packets: bool | None = None if form == "opus" else False
        self._given = self._taken = 0
        self._heard, self._pcm = bytearray(), bytearray()
        self._ready = self._told_end = self._silent = False
        self._failure: str | None = None
        self._closed = False
        self._lock = threading.Lock()
        options = map(str, (channels, int(multichannel), limits.memory_bytes))
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.stream_decoder", form, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**bare_environment(), "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is the parent's to answer
        )
        os.set_blocking(self._in.fileno(), False)

    @property
    def pid(self) -> int:
        """Return the child's process id."""
        return self._child.pid

    @property
    def _in(self) -> IO[bytes]:
        assert self._child.stdin is not None
        return self._child.stdin

    @property
    def _out(self) -> IO[bytes]:
        assert self._child.stdout is not None
        return self._child.stdout

    def feed(self, data: bytes) -> list[Samples]:
        """Return the samples that `data` brings; if the form is `opus`, it is one packet."""
        with self._lock:
            self._check()
            if not data:
                return self._samples()
            if self._in_packets is None:
                self._in_packets = not data.startswith((containers.OGG, containers.EBML))
            if self._in_packets:
                if len(data) > MOST_PACKET_BYTES:
                    self._fail(f"a packet of {len(data)} bytes is no Opus")
                    self._check()
                data = LENGTH.pack(len(data)) + data
            self._talk(memoryview(data))
            if not self._pcm:
                self._check()
            return self._samples()

    def end(self) -> list[Samples]:
        """Return the rest, and let the child go."""
        with self._lock:
            if self._closed:
                return []
            self._check()
            if self._given:
                self._in.close()
                self._talk(memoryview(b""), to_the_end=True)
                self._check()
            samples = self._samples()
        self.close()
        return samples

    def close(self) -> None:
        """End the child; a call that waits for it in another thread raises AudioUnreadable."""
        self._closed = True
        self._child.kill()
        with self._lock:
            self._in.close()
            self._out.close()
            self._child.wait()

    def _talk(self, rest: memoryview, to_the_end: bool = False) -> None:
        """Write `rest` and read until the child has used it up, or until it has gone."""
        self._given += len(rest)
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        if rest:
            poll.register(self._in, select.POLLOUT)
        while not self._failure and not self._silent:
            if not rest and not to_the_end and self._taken == self._given:
                return
            patience_s = ANSWER_S if self._ready else START_S
            ready = poll.poll(1000 * patience_s)
            if not ready:
                self._fail(f"the decoder has not answered for {patience_s} s")
            for descriptor, _ in ready:
                if descriptor == self._out.fileno():
                    self._hear()
                    continue
                with contextlib.suppress(BlockingIOError):
                    try:
                        rest = rest[os.write(descriptor, rest[:READ_BYTES]) :]
                    except BrokenPipeError:  # what it says at last tells why
                        rest = rest[:0]
                if not rest:
                    poll.unregister(descriptor)
        if not to_the_end and self._silent:
            self._fail("the decoder gave up on it")

    def _hear(self) -> None:
        """Read what the child says, and how it ended once it is silent."""
        heard = os.read(self._out.fileno(), READ_BYTES)
        self._heard += heard
        at = 0
        while len(self._heard) - at >= RECORD.size:
            letter, size = RECORD.unpack_from(self._heard, at)
            if size > MOST_RECORD_BYTES:
                return self._fail("the decoder broke on it")
            end = at + RECORD.size + size
            if end > len(self._heard):
                break
            self._take(letter, bytes(self._heard[at + RECORD.size : end]))
            at = end
        del self._heard[:at]
        if not heard:
            self._silent = True
            status = self._wait()
            if not self._told_end:
                self._fail(f"the decoder gave up on it ({cause(status)})")
        return None

    def _take(self, letter: bytes, body: bytes) -> None:
        if letter == b"P" and self.channels and len(body) % (2 * self.channels) == 0:
            self._pcm += body
            if len(self._pcm) > MOST_PIECE_BYTES:
                self._fail("a piece holds more than an hour of sound; send it in smaller pieces")
        elif letter == b"W" and len(body) == TAKEN.size:
            self._ready = True
            self._taken = TAKEN.unpack(body)[0]
        elif letter == b"C" and len(body) == 1 and not self.channels:
            self.channels = body[0]
        elif letter == b"E":
            self._told_end = True
            if body:
                self._fail(body.decode(errors="replace"))
        else:
            self._fail("the decoder broke on it")

    def _wait(self) -> int:
        """Return the exit status of a child that has closed its end."""
        try:
            return self._child.wait(FAREWELL_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self._child.wait()

    def _samples(self) -> list[Samples]:
        """Return what has come, one array a channel, and forget it."""
        pcm, self._pcm = self._pcm, bytearray()
        if not self.channels:
            return []
        packed = np.frombuffer(pcm, np.int16).reshape(-1, self.channels)
        return [np.ascontiguousarray(channel) for channel in packed.T]

    def _fail(self, reason: str) -> None:
        self._failure = self._failure or reason
        self._child.kill()

    def _check(self) -> None:
        if self._closed:
            raise AudioUnreadable("live sound: the stream was closed")
        if self._failure:
            raise AudioUnreadable(f"live sound: {self._failure}")
