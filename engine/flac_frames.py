"""FLAC cut into frames as it comes, each given out as soon as the next one begins.

FFmpeg's parser holds ten frames back, to be sure of their borders: 2.6 s of a 16 kHz stream from
libFLAC. Here a border is where a header with a right checksum carries the number that is due.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.containers import Bytes, skip
from engine.decoder import Unreadable

STREAMINFO_BYTES = 34
MOST_FRAME_BYTES = 4 << 20
MOST_LOST = 16  # frames whose headers may be damaged in a row
BLOCK_SIZES = (0, 192, 576, 1152, 2304, 4608, 0, 0, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


def crc_table(polynomial: int, bits: int) -> tuple[int, ...]:
    """Return what each byte does to a checksum of 8 or 16 bits."""
    top, mask = 1 << bits - 1, (1 << bits) - 1
    table = []
    for value in range(256):
        value <<= bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        table.append(value)
    return tuple(table)


CRC8, CRC16 = crc_table(0x07, 8), crc_table(0x8005, 16)


def crc8(data: bytes) -> int:
    """Return the checksum of a header."""
    value = 0
    for byte in data:
        value = CRC8[value ^ byte]
    return value


def crc16(data: bytes) -> int:
    """Return the checksum of a frame; 0 over one that is whole, its own checksum included."""
    value = 0
    for byte in data:
        value = (value << 8 & 0xFF00) ^ CRC16[value >> 8 ^ byte]
    return value


@dataclass(frozen=True, slots=True)
class Header:
    """The head of a frame: which one it is, and what number the next one must have."""

    number: int
    step: int  # from this number to the next: 1, or the frame's samples


class Incomplete(Exception):
    """More bytes are needed to tell whether a header is here."""


def header(data: bytes) -> Header | None:
    """Return the header that `data` begins with, None if it does not; 16 bytes always tell."""
    if len(data) < 5:
        raise Incomplete
    block_code, rate_code = data[2] >> 4, data[2] & 15
    sync = data[0] == 0xFF and data[1] & 0xFE == 0xF8
    reserved = block_code == 0 or rate_code == 15 or data[3] >> 4 > 10 or data[3] & 1
    lead = data[4]
    ones = 8 - (lead ^ 0xFF).bit_length()
    if not sync or reserved or ones in (1, 8):
        return None
    more = max(ones - 1, 0)
    blocks_at = 5 + more
    rates_at = blocks_at + {6: 1, 7: 2}.get(block_code, 0)
    end = rates_at + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if len(data) <= end:
        raise Incomplete
    if crc8(data[:end]) != data[end]:
        return None
    number = lead & (0x7F >> ones if ones else 0x7F)
    for byte in data[5:blocks_at]:
        number = number << 6 | byte & 0x3F
    samples = BLOCK_SIZES[block_code] or int.from_bytes(data[blocks_at:rates_at], "big") + 1
    return Header(number, samples if data[1] & 1 else 1)


def stream_info(source: Bytes) -> bytes:
    """Read the metadata up to the first frame; return STREAMINFO, which the decoder wants."""
    source.exactly(4)  # fLaC
    info, last = b"", False
    while not last:
        head = source.exactly(4)
        if len(head) < 4:
            raise Unreadable("ends within the head of its FLAC")
        last, size = head[0] >= 0x80, int.from_bytes(head[1:], "big")
        if head[0] & 0x7F == 0:
            info = source.exactly(size)
        else:
            skip(source, size)
    if len(info) != STREAMINFO_BYTES:
        raise Unreadable("has a damaged head (its FLAC lacks STREAMINFO)")
    return info


def frames(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield every frame as a packet; bytes between frames go with the one before them."""
    held, searched = bytearray(), 0
    now: Header | None = None
    for chunk in chunks:
        held += chunk
        while (at := held.find(b"\xff", searched)) >= 0:
            searched = at
            try:
                found = header(bytes(held[at : at + 16]))
            except Incomplete:
                break
            searched = at + 1
            if found is None:
                continue
            if now is None or follows(found, now) or crc16(bytes(held[:at])) == 0:
                if now is not None:
                    yield bytes(held[:at])
                del held[:at]
                now, searched = found, 1
        else:
            searched = len(held)
        if len(held) > MOST_FRAME_BYTES:
            raise Unreadable("is damaged: its FLAC frames have no end")
    if now is not None and held:
        yield bytes(held)


def follows(found: Header, now: Header) -> bool:
    """Tell whether `found` is the next frame or, where headers were damaged, one soon after."""
    return now.number + now.step <= found.number <= now.number + now.step * MOST_LOST
