"""What a stream of bytes is, told by how it begins: the demuxer is named, FFmpeg guesses nothing.

FFmpeg's own guess needs 2 KiB at least, which is most of a second of dictation in Opus, and takes
a PCM WAV for S/PDIF until it has seen 64 KiB. Used by the child of `engine.stream_decoder`.
"""

from typing import Protocol

from engine.decoder import Unreadable

OGG, EBML, RIFF = b"OggS", b"\x1aE\xdf\xa3", b"RIFF"
HEAD_BYTES = 12
MAGIC = (  # where, what, FFmpeg's name of the demuxer
    (0, OGG, "ogg"),
    (0, EBML, "matroska"),
    (0, b"fLaC", "flac"),
    (8, b"WAVE", "wav"),
    (0, b"riff.\x91\xcf\x11", "w64"),
    (4, b"ftyp", "mov"),
    (4, b"styp", "mov"),
    (4, b"moov", "mov"),
    (4, b"wide", "mov"),
    (4, b"mdat", "mov"),
    (0, b"#!AMR", "amr"),
    (0, b"FORM", "aiff"),
    (0, b"caff", "caf"),
    (0, b".snd", "au"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "asf"),
    (8, b"AVI ", "avi"),
    (0, b"G", "mpegts"),
)
PCM = {  # the raw demuxer for a WAV's (format tag, bits of a sample)
    (1, 8): "u8",
    (1, 16): "s16le",
    (1, 24): "s24le",
    (1, 32): "s32le",
    (3, 32): "f32le",
    (3, 64): "f64le",
    (6, 8): "alaw",
    (7, 8): "mulaw",
}
EXTENSIBLE = 0xFFFE
MOST_HEAD_BYTES = 4 << 20  # of a WAV or an MP4
MPEG_AUDIO_BYTES = 512
UNKNOWN_SIZES = (0, 0xFFFF_FFFF)  # of a WAV that was begun before its length was known


class Bytes(Protocol):
    """A stream that takes back what was read too early."""

    def exactly(self, count: int) -> bytes:
        """Return `count` bytes, fewer only at the end."""

    def unread(self, read: bytes) -> None:
        """Have `read` read again."""


def kind(source: Bytes) -> str:
    """Return FFmpeg's name for what `source` is; nothing is taken from it but ID3 tags."""
    tagged = False
    while True:
        head = source.exactly(HEAD_BYTES)
        if head[:3] != b"ID3":
            break
        tagged = True
        sizes = zip(head[6:10], (21, 14, 7, 0), strict=False)  # four bytes of seven bits each
        size = sum((byte & 127) << shift for byte, shift in sizes)
        source.unread(head[10:])
        skip(source, size)
    source.unread(head)
    for at, magic, name in MAGIC:
        if head.startswith(magic, at):
            return name
    if is_adts(head):
        return "aac"
    if tagged or is_mpeg_audio(head):
        return "mp3"
    raise Unreadable(
        f"begins with {head[:4].hex(' ') or 'nothing'}, as no container does that this box knows "
        "(wav, ogg, webm, flac, mp3, mp4, ...): a container must come from its beginning, and "
        "raw sound needs encoding and sample_rate"
    )


def gather(name: str, source: Bytes) -> None:
    """Wait for what FFmpeg reads twice, which it can only within one read of a stream."""
    if name == "mov":
        gather_index(source)
    elif name == "mp3":
        source.unread(source.exactly(MPEG_AUDIO_BYTES))


def skip(source: Bytes, count: int) -> None:
    """Pass over `count` bytes, or what there is."""
    while count > 0 and (passed := source.exactly(min(count, 1 << 16))):
        count -= len(passed)


def is_adts(head: bytes) -> bool:
    """Tell whether a frame of AAC begins here."""
    return head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xF6 == 0xF0


def is_mpeg_audio(head: bytes) -> bool:
    """Tell whether a frame of MPEG audio begins here; small negative PCM samples look similar."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer != 0 and 0 < bit_rate < 15 and rate != 3


class Wav:
    """A WAV stream up to its first sample: how to read on, and how much there is (None: unknown).

    PCM is read by FFmpeg's raw demuxer; for anything else `demuxer` is `wav` and the head is given
    back to the source.
    """

    def __init__(self, source: Bytes) -> None:
        head = source.exactly(12)
        self.demuxer, self.options = "wav", dict[str, str]()
        self.size: int | None = None
        while True:
            chunk = source.exactly(8)
            head += chunk
            name, size = chunk[:4], int.from_bytes(chunk[4:], "little")
            if name == b"data":
                self.size = None if size in UNKNOWN_SIZES else size
                break
            if len(chunk) < 8 or len(head) + size > MOST_HEAD_BYTES:
                break
            body = source.exactly(size + size % 2)
            head += body
            if name == b"fmt " and len(body) >= 16:
                self._take_format(body)
        if self.demuxer == "wav":
            self.size = None
            source.unread(head)

    def _take_format(self, body: bytes) -> None:
        tag, channels, rate, _, block, bits = (
            int.from_bytes(body[start:end], "little")
            for start, end in ((0, 2), (2, 4), (4, 8), (8, 12), (12, 14), (14, 16))
        )
        if tag == EXTENSIBLE:
            tag = int.from_bytes(body[24:26], "little")
        if (tag, bits) in PCM and channels and rate and block == channels * bits // 8:
            self.demuxer = PCM[tag, bits]
            layout = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
            self.options = {"sample_rate": str(rate), "ch_layout": layout}


def gather_index(source: Bytes) -> None:
    """Wait for the whole index of an MP4; refuse one that comes after the sound."""
    head, name = b"", b""
    while name != b"moov" and len(head) < MOST_HEAD_BYTES:
        box = source.exactly(8)
        size, name = int.from_bytes(box[:4], "big"), box[4:]
        if name == b"mdat":
            raise Unreadable(
                "is an MP4 with its index at the end, which can't be read while it comes: "
                "send it as a file, or record in fragments (WebM and Ogg always can be read)"
            )
        head += box
        if size < 8:
            break
        head += source.exactly(min(size - 8, MOST_HEAD_BYTES))
    source.unread(head)
