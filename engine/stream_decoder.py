"""The child process that decodes one live stream: `python -m engine.stream_decoder FORM ...`.

The stream comes as standard input, its samples go to standard output; `engine.stream_pipe` tells
how. FORM is `container`, `opus` (packets, unless they prove to be a container) or a kind of AMR.

It is confined as `engine.decoder` is, but for processor time: each second of sound allows for more,
so that hours can be decoded, and a stream that costs work and gives no sound ends it.
"""

import itertools
import os
import resource
import sys
from collections.abc import Iterator
from typing import Any

from engine import containers, decoder, flac_frames
from engine.decoder import LOWEST_RATE, SAMPLE_RATE, Unreadable
from engine.stream_pipe import (
    CPU_SECONDS,
    LENGTH,
    MOST_PACKET_BYTES,
    READ_BYTES,
    SOUNDLESS_BYTES,
    Source,
    Telling,
)

RAW = {"amr-nb": "amrnb", "amr-wb": "amrwb"}
MOST_CPU_SECONDS = 48 * 3600
MOST_CHANNELS = 8
MOST_CORRUPT_PACKETS = 50  # in a row: one second of Opus
TRAILING_BYTES = 1 << 16  # tags and padding after the last sample
QUICK = {"probesize": "2048", "analyzeduration": "100000"}  # for all that is known by its head
THOROUGH = {"probesize": "65536", "analyzeduration": "500000"}
UNANNOUNCED = ("mpegts", "avi", "asf")  # where FFmpeg must look for the audio stream


class Demuxed:
    """What FFmpeg reads from: bytes without a name, a place or a way back."""

    def __init__(self, source: Source) -> None:
        self.read = source.read


def decode(form: str, channels: int, multichannel: bool, source: Source, telling: Telling) -> None:
    """Tell the sound of `source` until it ends."""
    corrupt = [0]
    if form == "opus" and not begins_container(source):
        frames = opened("opus", packets(source), corrupt, {1: "mono", 2: "stereo"}[channels])
    elif form in RAW:
        frames = demuxed(RAW[form], {}, source, corrupt)
    else:
        frames = contained(source, corrupt)
    first = next(frames, None)
    if first is None:
        if corrupt[0] or not source.ended:
            raise Unreadable("holds no sound that could be decoded: it is damaged, or empty")
        return
    count = first.layout.nb_channels if multichannel else 1
    if count > MOST_CHANNELS:
        raise Unreadable(f"has {count} channels; {MOST_CHANNELS} is the most")
    telling.channels(count)
    layout = first.layout.name if multichannel else "mono"
    for pcm in resampled(itertools.chain([first], frames), layout, corrupt):
        telling.sound(pcm, count)
    ended_after = source.taken
    while not source.ended and not source.soundless:
        source.read(READ_BYTES)
        if source.taken > ended_after + TRAILING_BYTES:
            raise Unreadable(
                f"came to its end after {telling.samples / SAMPLE_RATE:.1f} s (its length says so, "
                "or it is damaged), but more bytes follow: send one container a connection"
            )


def begins_container(source: Source) -> bool:
    """Tell whether what should be packets is a container of packets."""
    head = source.exactly(4)
    source.unread(head)
    return head in (containers.OGG, containers.EBML)


def contained(source: Source, corrupt: list[int]) -> Iterator[Any]:
    """Yield the frames of a container, whichever it is."""
    kind = containers.kind(source)
    if kind == "flac":
        info = flac_frames.stream_info(source)
        return opened("flac", flac_frames.frames(source.chunks()), corrupt, extradata=info)
    if kind == "wav":
        return wavs(source, corrupt)
    containers.gather(kind, source)
    options = THOROUGH if kind in UNANNOUNCED else QUICK
    return demuxed(kind, options, source, corrupt)


def wavs(source: Source, corrupt: list[int]) -> Iterator[Any]:
    """Yield the frames of a WAV and of those that follow: some clients make one of each piece."""
    begins = True
    while begins:
        wav = containers.Wav(source)
        source.left = wav.size
        yield from demuxed(wav.demuxer, wav.options, source, corrupt)
        source.left = None
        head = source.exactly(4)
        source.unread(head)
        begins = head == containers.RIFF


def demuxed(
    name: str, options: dict[str, str], source: Source, corrupt: list[int]
) -> Iterator[Any]:
    """Yield the frames that the demuxer of that name finds."""
    import av

    try:
        container = av.open(
            Demuxed(source),
            mode="r",
            format=name,
            options={"format_whitelist": name, "protocol_whitelist": "none", **QUICK, **options},
            metadata_errors="ignore",
            buffer_size=max(source.waiting, READ_BYTES),
        )
    except av.error.MemoryError:  # an FFmpegError too, but not the stream's fault
        raise
    except av.error.FFmpegError as error:
        raise Unreadable(f"is no {name} this box can read, or its head is damaged") from error
    stream = container.streams.best("audio")
    if stream is None:
        raise Unreadable("holds no audio stream, or a damaged one")
    if stream.codec_context is None:
        raise Unreadable("holds audio in a codec this box can't decode, or is encrypted")
    return decoder.frames(container, stream, corrupt)


def packets(source: Source) -> Iterator[bytes]:
    """Yield the packets of a stream that comes in packets."""
    while len(length := source.exactly(LENGTH.size)) == LENGTH.size:
        yield source.exactly(min(*LENGTH.unpack(length), MOST_PACKET_BYTES))


def opened(
    codec: str,
    packets: Iterator[bytes],
    corrupt: list[int],
    layout: str | None = None,
    extradata: bytes | None = None,
) -> Iterator[Any]:
    """Yield the frames of bare packets; one that can't be decoded is passed over."""
    import av

    context: Any = av.CodecContext.create(codec, "r")
    context.thread_count = 1  # several would hold a frame back each
    if extradata is not None:
        context.extradata = extradata
    if layout is not None:
        context.sample_rate, context.layout = 48_000, layout
    for packet in packets:
        try:
            yield from context.decode(av.Packet(packet))
        except MemoryError:
            raise
        except (av.error.FFmpegError, OSError):
            corrupt[0] += 1
            if corrupt[0] > MOST_CORRUPT_PACKETS:
                raise Unreadable(f"is damaged, or no {codec}: it can't be decoded") from None


def resampled(decoded: Iterator[Any], layout: str, corrupt: list[int]) -> Iterator[bytes]:
    """Yield 16 kHz s16le; a change of rate or layout in mid-stream starts a new resampler."""
    import av

    resampler, shape = None, None
    for frame in decoded:
        corrupt[0] = 0
        if frame.sample_rate < LOWEST_RATE:
            raise Unreadable(
                f"has a sample rate of {frame.sample_rate} Hz; {LOWEST_RATE} is the least"
            )
        frame.pts = None
        now = (frame.sample_rate, frame.layout.name, frame.format.name)
        if now != shape:
            if resampler is not None:
                yield from map(interleaved, resampler.resample(None))
            resampler, shape = av.AudioResampler("s16", layout, SAMPLE_RATE), now
        assert resampler is not None
        yield from map(interleaved, resampler.resample(frame))
    if resampler is not None:
        yield from map(interleaved, resampler.resample(None))


def interleaved(frame: Any) -> bytes:
    """Return the bytes of one packed frame without FFmpeg's padding."""
    return bytes(frame.planes[0])[: frame.samples * frame.layout.nb_channels * 2]


def main() -> int:
    """Decode standard input as the arguments say, and report."""
    import av

    form, channels, multichannel, memory_bytes = sys.argv[1], *map(int, sys.argv[2:])
    decoder.warm_up()
    decoder.confine(memory_bytes, MOST_CPU_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, MOST_CPU_SECONDS))
    telling = Telling(open(1, "wb", buffering=1 << 16), MOST_CPU_SECONDS)  # noqa: SIM115
    source = Source(0, telling)
    try:
        try:
            decode(form, channels, bool(multichannel), source, telling)
            reason = ""
        except Unreadable as error:
            reason = str(error)
        except MemoryError:
            reason = "needs more memory to decode than is allowed"
        except av.error.FFmpegError as error:
            reason = f"can't be decoded ({error.strerror})"
        if source.soundless:
            reason = f"holds no sound in {SOUNDLESS_BYTES >> 20} MiB: it is damaged, or no audio"
        telling.end(reason)
    except BrokenPipeError:  # the parent has had enough
        pass
    return decoder.READABLE


if __name__ == "__main__":
    code = main()
    os._exit(code)  # interpreter shutdown would want descriptors that no longer exist
