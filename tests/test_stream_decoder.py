import io
import struct
import subprocess
import sys

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from speech_fixtures import hiss, tone

from engine import containers, flac_frames
from engine.audio import bare_environment
from engine.decoder import Unreadable
from engine.stream_pipe import RECORD, SOUNDLESS_BYTES, Source, Telling


class Given(Source):
    """A source that is given its bytes beforehand, `most` of them at a time."""

    def __init__(self, data, most=1 << 20):
        super().__init__(0, Telling(io.BytesIO()))
        self._file, self._most = io.BytesIO(data), most

    def next(self, count):
        return self._file.read(min(count, self._most))


def flac(sound, rate=16_000, block=4096):
    """Return a FLAC stream in blocks of so many samples."""
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as container:
        options = {"frame_size": str(block)}
        stream = container.add_stream("flac", rate=rate, layout="mono", options=options)
        frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def frames_of(data, most):
    source = Given(data, most)
    flac_frames.stream_info(source)
    return list(flac_frames.frames(source.chunks()))


def records(said):
    """Return what a child said: pairs of a letter and a body."""
    at, found = 0, []
    while at < len(said):
        letter, size = RECORD.unpack_from(said, at)
        at += RECORD.size + size
        found.append((letter, said[at - size : at]))
    return found


def run(*arguments, given=b""):
    """Run the decoder by hand; return what it said."""
    child = subprocess.run(
        [sys.executable, "-P", "-m", "engine.stream_decoder", *arguments, str(2 << 30)],
        input=given,
        capture_output=True,
        timeout=60,
        check=True,
        env=bare_environment(),
    )
    assert child.stderr == b""
    return records(child.stdout)


def test_a_decoder_run_by_hand_tells_its_channels_its_sound_and_its_end():
    sound = tone(1)
    said = run("container", "1", "0", given=flac(sound))
    assert said.index((b"C", b"\x01")) < [letter for letter, _ in said].index(b"P")
    assert b"".join(body for letter, body in said if letter == b"P") == sound.tobytes()
    assert said[-1] == (b"E", b"")


def test_a_decoder_tells_why_it_can_not_go_on():
    *_, (letter, reason) = run("container", "1", "0", given=b"no sound at all")
    assert letter == b"E"
    assert reason.startswith(b"begins with 6e 6f 20 73")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"OggS\0\2", "ogg"),
        (b"\x1aE\xdf\xa3", "matroska"),
        (b"fLaC", "flac"),
        (b"RIFF\0\0\0\0WAVE", "wav"),
        (b"RF64\xff\xff\xff\xffWAVE", "wav"),
        (b"RIFF\0\0\0\0AVI ", "avi"),
        (b"\0\0\0\x20ftypM4A ", "mov"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
        (b"ID3\4\0\0\0\0\0\3...fLaC", "flac"),
        (b"ID3\4\0\0\0\0\0\3...\xff\xfb\x90\x64", "mp3"),
        (b"#!AMR-WB\n", "amr"),
    ],
)
def test_a_container_is_known_by_how_it_begins(head, kind):
    source = Given(head, most=1)
    assert containers.kind(source) == kind
    if not head.startswith(b"ID3"):
        assert source.exactly(100) == head


@pytest.mark.parametrize("samples", [(0, 0), (-1, -1), (-1, 0), (3, -5), (-2, 100)])
def test_quiet_pcm_is_no_container(samples):
    with pytest.raises(Unreadable, match="raw sound needs encoding"):
        containers.kind(Given(struct.pack("<2h", *samples) * 20))


@given(st.binary(max_size=200), st.sampled_from([b"", b"RIFF....WAVE", b"fLaC", b"ID3", b"\0\0\0"]))
def test_any_head_is_known_or_refused(noise, head):
    source = Given(head + noise)
    try:
        kind = containers.kind(source)
        containers.gather(kind, source)
        if kind == "wav":
            containers.Wav(source)
        elif kind == "flac":
            flac_frames.stream_info(source)
    except Unreadable:
        pass


@pytest.mark.parametrize("most", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize(("rate", "block"), [(16_000, 4096), (44_100, 1152), (8000, 100)])
def test_frames_of_flac_are_those_that_ffmpeg_finds(rate, block, most):
    data = flac(hiss(2, rate), rate, block)
    with av.open(io.BytesIO(data)) as container:
        truth = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    assert frames_of(data, most) == truth


def test_silence_in_flac_is_cut_into_its_frames():
    data = flac(np.zeros(160_000, np.int16), block=4096)
    assert len(frames_of(data, 5)) == 40


def test_a_frame_of_flac_is_given_out_as_soon_as_the_next_begins():
    data = flac(hiss(4), block=4096)
    whole = frames_of(data, 1 << 20)
    head = len(data) - sum(map(len, whole))
    three = head + sum(map(len, whole[:3]))
    source = Given(data[: three + 16])
    flac_frames.stream_info(source)
    frames = flac_frames.frames(source.chunks())
    assert [next(frames) for _ in range(3)] == whole[:3]


@pytest.mark.parametrize("hole", [slice(30_000, 33_000), slice(30_000, 30_500)])
def test_damaged_frames_of_flac_cost_no_more_than_themselves(hole):
    data = flac(hiss(4), block=1152)
    whole = set(frames_of(data, 1 << 20))
    damaged = bytearray(data)
    damaged[hole] = np.random.default_rng(5).bytes(hole.stop - hole.start)
    assert len(whole - set(frames_of(bytes(damaged), 500))) <= 4


@given(st.binary(max_size=3000), st.integers(1, 50))
def test_noise_as_flac_is_cut_somehow(noise, most):
    chunks = (noise[at : at + most] for at in range(0, len(noise), most))
    assert sum(map(len, flac_frames.frames(chunks))) <= len(noise)


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), min_size=1), st.integers(1, 9))
def test_what_is_unread_is_read_again(data, counts, most):
    source = Given(data, most)
    for count in counts:
        source.unread(source.exactly(count))
    assert source.exactly(300) == data


def test_a_source_says_when_it_must_wait(tmp_path):
    file = tmp_path / "bytes"
    file.write_bytes(b"four")
    out = io.BytesIO()
    with file.open("rb") as opened:
        source = Source(opened.fileno(), Telling(out))
        source._poll = Poll([True, False])
        source.exactly(4)
        source.read(1)
    assert records(out.getvalue()) == [(b"W", struct.pack("<Q", 4))]
    assert source.ended


class Poll:
    """Tell whether something is there, as it was told."""

    def __init__(self, answers):
        self._answers = iter(answers)

    def poll(self, timeout):
        return next(self._answers)


def test_noise_without_an_end_is_left():
    source = Given(bytes(SOUNDLESS_BYTES + (1 << 20)))
    assert sum(map(len, source.chunks())) < SOUNDLESS_BYTES + (1 << 17)
    assert source.soundless
    assert not source.ended
