"""The child process that reads other people's files: `python -m engine.decoder LIMITS <FILE`.

The file comes as standard input; on standard output goes one line of JSON (what it is) and then
16 kHz PCM (s16le) of all channels mixed or of one; on standard error one line of JSON at the end:
how it went.

FFmpeg is a large parser fed by strangers, so this process can do next to nothing: its memory and
processor time are limited, it has no path to the file, and once the file is open it may open no
other descriptor at all. A playlist (HLS, ffconcat) that names another file on the disk is refused
by the demuxer whitelist first and by that limit second.
"""

import functools
import importlib
import io
import json
import os
import pkgutil
import resource
import struct
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

SAMPLE_RATE = 16_000
DEMUXERS = (
    "wav,w64,flac,mp3,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac,amr,aiff,asf,caf,au,mpegts,avi"
)
READABLE, REFUSED = 0, 3
MAX_CORRUPT_PACKETS = 1000
LOWEST_RATE = 4000  # Hz, half of a telephone's


class Unreadable(Exception):
    """The file can't be decoded; the message is for the person who sent it."""


class Source:
    """The file as FFmpeg sees it: bytes without a name, so that only the content speaks."""

    def __init__(self, raw: BinaryIO) -> None:
        self.read, self.seek, self.tell, self.seekable = raw.read, raw.seek, raw.tell, raw.seekable


def decode(source: Any, out: BinaryIO, channel: int | None = None) -> dict[str, Any]:
    """Write the samples of `source` to `out`; return how much there was and how it ended.

    `channel` is the one to write, counted from 0; None: all of them mixed.
    """
    import av

    av.logging.set_level(None)
    try:
        container = av.open(
            source,
            mode="r",
            options={"format_whitelist": DEMUXERS, "protocol_whitelist": "none"},
            metadata_errors="ignore",
        )
    except av.error.MemoryError:  # an FFmpegError too, but not the file's fault
        raise
    except av.error.FFmpegError as error:
        raise Unreadable(
            "not an audio file this box can read, or too damaged (its head or its index is missing)"
        ) from error
    stream = container.streams.best("audio")
    if stream is None:
        raise Unreadable("holds no audio stream" + (", only video" if container.streams else ""))
    declared = stream.duration * stream.time_base if stream.duration else None
    if declared is None and container.duration:
        declared = container.duration / av.time_base
    if container.format.name == "wav":
        declared = wav_seconds(source) or declared
    if guesses_length(container.format.name, source):
        declared = None
    context = stream.codec_context
    header = {
        "seconds": float(declared) if declared else None,
        "format": container.format.name,
        "codec": context.name if context else None,
        "channels": context.channels if context else 0,
    }
    out.write(json.dumps(header).encode() + b"\n")
    if context is None:
        raise Unreadable("holds audio in a codec this box can't decode, or is encrypted")
    if context.sample_rate < LOWEST_RATE:
        raise Unreadable(
            f"has a sample rate of {context.sample_rate} Hz; {LOWEST_RATE} is the least"
        )
    samples = 0
    corrupt = [0]
    for block in resampled(frames(container, stream, corrupt), channel):
        out.write(block)
        samples += len(block) // 2
    out.flush()
    return {"samples": samples, "corrupt": corrupt[0]}


def wav_seconds(source: Any) -> float | None:
    """Return the length a WAV header claims; FFmpeg tells only what the file still holds."""
    here = source.tell()
    source.seek(0)
    head = source.read(4096)
    source.seek(here)
    byte_rate, at = 0, 12
    while at + 8 <= len(head):
        name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"fmt ":
            byte_rate = int.from_bytes(head[at + 16 : at + 20], "little")
        if (
            name == b"data"
        ):  # 0 and the largest number mean "not known yet": a file cut while written
            known = byte_rate and 0 < size < 0x7FFF_0000
            return size / byte_rate if known else None
        at += 8 + size + size % 2
    return None


def guesses_length(demuxer: str, source: Any) -> bool:
    """Tell whether FFmpeg makes up the length from the file's size and its first frames."""
    if demuxer != "mp3":
        return demuxer in ("aac", "amr")
    here = source.tell()
    source.seek(0)
    head = source.read(10)
    if head[:3] == b"ID3":  # four bytes of seven bits each
        sizes = zip(head[6:], (21, 14, 7, 0), strict=False)
        source.seek(10 + sum(byte << shift for byte, shift in sizes))
        head = b""
    first_frame = head + source.read(256)
    source.seek(here)
    return not any(mark in first_frame for mark in (b"Xing", b"Info", b"VBRI"))


def frames(container: Any, stream: Any, corrupt: list[int]) -> Iterator[Any]:
    """Yield decoded frames; damaged packets are counted in `corrupt[0]` and passed over."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except MemoryError:
            raise
        except (av.error.FFmpegError, OSError):  # cut short in the middle of a packet
            corrupt[0] += 1
            return
        if packet.has_sidedata("encryption_info"):
            raise Unreadable("is encrypted (DRM); export it without protection")
        try:
            yield from packet.decode()
        except MemoryError:
            raise
        except (av.error.FFmpegError, OSError):
            corrupt[0] += 1
            if corrupt[0] > MAX_CORRUPT_PACKETS:
                raise Unreadable("is damaged: its packets can't be decoded") from None


def resampled(decoded: Iterator[Any], channel: int | None = None) -> Iterator[bytes]:
    """Yield 16 kHz mono s16le; a change of rate or layout in mid-stream starts a new resampler."""
    import av

    pcm = functools.partial(plane, channel=channel or 0)
    resampler, shape = None, None
    for frame in decoded:
        frame.pts = None
        now = (frame.sample_rate, frame.layout.name, frame.format.name)
        if now != shape:
            if resampler is not None:
                yield from map(pcm, resampler.resample(None))
            layout = "mono" if channel is None else frame.layout
            resampler, shape = av.AudioResampler("s16p", layout, SAMPLE_RATE), now
        assert resampler is not None
        yield from map(pcm, resampler.resample(frame))
    if resampler is not None:
        yield from map(pcm, resampler.resample(None))


def plane(frame: Any, channel: int) -> bytes:
    """Return the bytes of one channel without FFmpeg's padding; silence where there is none."""
    if channel >= len(frame.planes):
        return bytes(frame.samples * 2)
    return bytes(frame.planes[channel])[: frame.samples * 2]


def confine(memory_bytes: int, cpu_seconds: int) -> None:
    """Take from this process what decoding does not need."""
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))  # 0, 1 and 2 are all there will ever be


def warm_up() -> None:
    """Import all of PyAV that decoding can touch: after `confine` no module can be read."""
    import av

    for _, name, _ in pkgutil.walk_packages(av.__path__, "av."):
        if not name.endswith("__main__"):
            importlib.import_module(name)
    silence = struct.pack(
        "<4sI8sIHHIIHH4sI", b"RIFF", 36, b"WAVEfmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 0
    )
    decode(io.BytesIO(silence), io.BytesIO())


def main() -> int:
    """Decode standard input and report in one line of JSON; the last argument is the channel."""
    channel = int(sys.argv[3]) if sys.argv[3:] else None
    warm_up()
    confine(memory_bytes=int(sys.argv[1]), cpu_seconds=int(sys.argv[2]))
    try:
        with open(0, "rb", buffering=0) as source, open(1, "wb", buffering=1 << 16) as out:
            report = decode(Source(source), out, channel)
        status = READABLE
    except Unreadable as error:
        report, status = {"error": str(error)}, REFUSED
    except MemoryError:
        report, status = {"error": "needs more memory to decode than is allowed"}, REFUSED
    except BrokenPipeError:  # the parent has had enough
        return READABLE
    sys.stderr.write(json.dumps(report) + "\n")
    return status


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # interpreter shutdown would want descriptors that no longer exist
