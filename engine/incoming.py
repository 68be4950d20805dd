"""The sound of one live stream, decoded to 16 kHz while it comes.

Samples come out in the order in which their bytes went in, none twice and none left out, and how
the bytes were cut into pieces changes nothing: what one feeds piece by piece gives, joined, what
one would get from feeding it whole. Raw sound is decoded here, as numbers; whatever has to be
parsed, in a confined child (`engine.stream_decoding`). For one thread at a time, except `close`.
"""

from typing import Protocol

import numpy as np

from engine.audio import Samples
from engine.converter import Converter
from engine.errors import AudioUnreadable
from engine.stream_decoding import StreamDecoding
from engine.telephone import A_LAW, MU_LAW

RAW = {"linear16": "<i2", "linear32": "<f4", "alaw": "u1", "mulaw": "u1"}  # as numpy reads it
PARSED = {  # what the child is told; a container tells itself what it is
    "flac": "container",
    "opus": "opus",
    "ogg-opus": "container",
    "amr-nb": "amr-nb",
    "amr-wb": "amr-wb",
}
ENCODINGS = (*RAW, *PARSED)
LOWEST_RATE, HIGHEST_RATE = 4000, 192_000  # Hz
MOST_CHANNELS = 8


class Incoming(Protocol):
    """Sound that comes in pieces."""

    channels: int  # how many arrays `feed` returns; 0 until that is known

    def feed(self, data: bytes) -> list[Samples]:
        """Return what `data` brings, one array a channel, all of one length; maybe nothing.

        Blocks a few milliseconds as a rule, some seconds when the machine has no time, never for
        ever. Raises AudioUnreadable when the stream can't be decoded, then and ever after.
        """

    def end(self) -> list[Samples]:
        """Return the rest: no more will come."""

    def close(self) -> None:
        """Give everything up, at any time and from any thread; twice does no harm."""


class Raw:
    """Bare samples, any rate, interleaved channels."""

    def __init__(self, encoding: str, rate: int, channels: int, multichannel: bool) -> None:
        self.channels = channels if multichannel else 1
        self._encoding, self._type, self._interleaved = encoding, np.dtype(RAW[encoding]), channels
        self._converters = [Converter(rate, 1) for _ in range(self.channels)]
        self._held = b""
        self._over = False

    def feed(self, data: bytes) -> list[Samples]:
        """Return what `data` brings; a sample torn apart waits for its other half."""
        if self._over:
            raise AudioUnreadable("live sound: the stream was closed")
        data = self._held + data
        whole = len(data) - len(data) % (self._type.itemsize * self._interleaved)
        data, self._held = data[:whole], data[whole:]
        if not data:
            return [np.zeros(0, np.int16) for _ in self._converters]
        samples = self._decoded(data).reshape(-1, self._interleaved)
        if self.channels < self._interleaved:
            samples = np.rint(samples.mean(axis=1, keepdims=True)).astype(np.int16)
        return [
            np.frombuffer(converter.convert(channel.tobytes()), np.int16)
            for converter, channel in zip(self._converters, samples.T, strict=True)
        ]

    def _decoded(self, data: bytes) -> Samples:
        taken = np.frombuffer(data, self._type)
        if self._encoding == "alaw":
            taken = A_LAW[taken]
        elif self._encoding == "mulaw":
            taken = MU_LAW[taken]
        elif self._encoding == "linear32":
            taken = np.rint(np.nan_to_num(taken).clip(-1, 1) * 32768).clip(-32768, 32767)
        return taken.astype(np.int16, copy=False)

    def end(self) -> list[Samples]:
        """Return what the resamplers held back."""
        if self._over:
            return []
        self._over = True
        return [np.frombuffer(converter.rest(), np.int16) for converter in self._converters]

    def close(self) -> None:
        """Take no more."""
        self._over = True


def incoming(
    encoding: str | None, sample_rate: int | None, channels: int = 1, multichannel: bool = False
) -> Incoming:
    """Return what decodes a stream in `encoding` (None: a container, which tells what it is).

    Only raw sound needs `sample_rate` and `channels`. Without `multichannel` the channels are
    mixed into one. ValueError: such a stream is not taken.
    """
    if not 1 <= channels <= MOST_CHANNELS:
        raise ValueError(f"channels is {channels}; it must be 1 to {MOST_CHANNELS}")
    if encoding is None:
        return StreamDecoding("container", multichannel=multichannel)
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding {encoding!r} is not taken; {', '.join(ENCODINGS)} are")
    if encoding in PARSED:
        if encoding == "opus" and channels > 2:
            raise ValueError(f"channels is {channels}; a packet of opus holds 1 or 2")
        return StreamDecoding(PARSED[encoding], channels, multichannel)
    if sample_rate is None:
        raise ValueError(f"encoding {encoding!r} needs sample_rate")
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise ValueError(
            f"sample_rate is {sample_rate}; it must be {LOWEST_RATE} to {HIGHEST_RATE} Hz"
        )
    return Raw(encoding, sample_rate, channels, multichannel)
