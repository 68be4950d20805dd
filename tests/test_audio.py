import os
import signal
import struct
import tracemalloc

import av
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from speech_fixtures import encode, fixture, hiss, quiet_flac, tone, write_wav

from engine.audio import BLOCK_SAMPLES, SAMPLE_RATE, DecodeLimits, Decoding, read, write_flac
from engine.errors import AudioUnreadable

CONTAINERS = [
    ("wav", "wav", "pcm_s16le", 44_100),
    ("w64", "w64", "pcm_s16le", 44_100),
    ("flac", "flac", "flac", 44_100),
    ("mp3", "mp3", "libmp3lame", 44_100),
    ("ogg", "ogg", "libopus", 48_000),
    ("oga", "ogg", "flac", 44_100),
    ("m4a", "ipod", "aac", 44_100),
    ("m4a", "ipod", "alac", 44_100),
    ("mp4", "mp4", "aac", 48_000),
    ("mov", "mov", "aac", 44_100),
    ("mov", "mov", "pcm_s16le", 48_000),
    ("3gp", "3gp", "aac", 16_000),
    ("mka", "matroska", "libopus", 48_000),
    ("mka", "matroska", "flac", 44_100),
    ("webm", "webm", "libopus", 48_000),
    ("aiff", "aiff", "pcm_s16be", 44_100),
    ("aac", "adts", "aac", 44_100),
    ("au", "au", "pcm_s16be", 44_100),
    ("caf", "caf", "pcm_s16le", 44_100),
    ("caf", "caf", "alac", 44_100),
    ("ts", "mpegts", "aac", 48_000),
    ("avi", "avi", "libmp3lame", 44_100),
]
HELD = {f"{kind}-{codec}": (name, kind, codec, rate) for name, kind, codec, rate in CONTAINERS}
PCM_WAV = struct.Struct("<4sI8sIHHIIHH4sI")


def sparse_wav(path, size, rate=SAMPLE_RATE, channels=1):
    """Write a WAV file of silence that takes no room on the disk."""
    head = (b"RIFF", 36 + size, b"WAVEfmt ", 16, 1, channels, rate, rate * channels * 2)
    path.write_bytes(PCM_WAV.pack(*head, channels * 2, 16, b"data", size))
    os.truncate(path, PCM_WAV.size + size)
    return path


def cut(path, share=0.5):
    """Keep only the first part of a file."""
    os.truncate(path, int(path.stat().st_size * share))
    return path


def level_at(samples, hertz):
    """Return the amplitude (0..1) of one frequency."""
    spectrum = np.abs(np.fft.rfft(samples / 32768)) / len(samples) * 2
    at = round(hertz * len(samples) / SAMPLE_RATE)
    return spectrum[at - 2 : at + 3].max()


def refused(path, limits=None):
    """Return why the file can't be read: one line that names it."""
    with pytest.raises(AudioUnreadable) as caught, Decoding(path, limits) as decoding:
        for _ in decoding:
            pass
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message


@pytest.mark.parametrize("held", HELD)
def test_every_container_gives_its_sound_at_its_length(held, tmp_path):
    name, kind, codec, rate = HELD[held]
    sound = tone(2.5, rate)
    path = encode(tmp_path / f"sound.{name}", kind, codec, sound, sound, rate=rate)

    with Decoding(path) as decoding:
        samples = np.concatenate(list(decoding))

    assert samples.dtype == np.int16
    assert samples.ndim == 1
    assert len(samples) / SAMPLE_RATE == pytest.approx(2.5, abs=0.1)
    assert level_at(samples[4000:36_000], 440) == pytest.approx(0.3, abs=0.02)
    assert decoding.warning is None
    if decoding.seconds is not None:
        assert decoding.seconds == pytest.approx(2.5, abs=0.1)


def test_stereo_at_44100_is_mixed_down(tmp_path):
    left, right = tone(2, 44_100, 440), tone(2, 44_100, 1000)
    samples = read(write_wav(tmp_path / "two.wav", left, right, rate=44_100))
    assert len(samples) == 2 * SAMPLE_RATE
    assert level_at(samples, 440) == pytest.approx(0.15, abs=0.02)
    assert level_at(samples, 1000) == pytest.approx(0.15, abs=0.02)


def test_the_name_of_a_file_means_nothing(tmp_path):
    path = encode(tmp_path / "lies.wav", "flac", "flac", tone(1))
    assert np.array_equal(read(path), tone(1))


def test_a_fixture_has_the_length_its_truth_tells():
    meeting = fixture("meeting")
    with Decoding(meeting.path) as decoding:
        assert decoding.seconds == pytest.approx(meeting.seconds, abs=0.01)
        assert sum(map(len, decoding)) == decoding.samples
    assert decoding.samples / SAMPLE_RATE == pytest.approx(meeting.seconds, abs=0.01)


def test_blocks_come_as_a_stream_in_little_memory(tmp_path):
    path = quiet_flac(tmp_path / "long.flac", minutes=20)
    tracemalloc.start()
    try:
        with Decoding(path) as decoding:
            assert psutil.pid_exists(decoding.pid)
            longest = max(len(block) for block in decoding)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert decoding.samples == 20 * 60 * SAMPLE_RATE
    assert longest == BLOCK_SAMPLES
    assert peak_bytes < 10 * BLOCK_SAMPLES  # all the samples would be 300 times a block


def test_a_file_larger_than_the_memory_allowed_is_decoded(tmp_path):
    path = sparse_wav(tmp_path / "large.wav", 300 << 20, rate=192_000, channels=2)
    with Decoding(path, DecodeLimits(memory_bytes=256 << 20)) as decoding:
        assert sum(map(len, decoding)) == (300 << 20) // 4 // 12
    assert decoding.warning is None


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.wav"
    path.touch()
    assert "is empty" in refused(path)


def test_audio_of_no_length_is_refused(tmp_path):
    nothing = np.zeros(0, np.int16)
    assert "no sound" in refused(write_wav(tmp_path / "none.wav", nothing))
    assert "no sound" in refused(encode(tmp_path / "none.flac", "flac", "flac", nothing))


def test_a_text_file_is_refused(tmp_path):
    path = tmp_path / "letter.mp3"
    path.write_text("Dear Sir or Madam,\n" * 200)
    assert "not an audio file" in refused(path)


@pytest.mark.parametrize("size", [1, 11, 4096, 200_000])
def test_random_bytes_are_refused(size, tmp_path):
    path = tmp_path / "random.wav"
    path.write_bytes(np.random.default_rng(size).bytes(size))
    refused(path)


@pytest.mark.parametrize("size", [1, 12, 40, 43])
def test_half_a_header_is_refused(size, tmp_path):
    path = write_wav(tmp_path / "half.wav", tone(1))
    os.truncate(path, size)
    refused(path)


def test_a_folder_is_refused(tmp_path):
    assert "not a regular file" in refused(tmp_path)


def test_a_pipe_is_refused(tmp_path):
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    assert "not a regular file" in refused(path)


def test_a_missing_file_is_refused(tmp_path):
    assert "no such file" in refused(tmp_path / "missing.wav")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    path = write_wav(tmp_path / "private.wav", tone(1))
    path.chmod(0)
    assert "Permission denied" in refused(path)


def test_video_without_sound_is_refused(tmp_path):
    path = tmp_path / "silent-film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(10):
            picture = np.zeros((64, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    assert "only video" in refused(path)


def test_an_encrypted_file_is_refused(tmp_path):
    key = "00112233445566778899aabbccddeeff"
    protection = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": key,
        "encryption_kid": key,
    }
    path = encode(tmp_path / "bought.m4a", "mp4", "aac", tone(2), options=protection)
    assert "is encrypted" in refused(path)


def test_an_m4a_whose_index_was_cut_off_is_refused(tmp_path):
    path = cut(encode(tmp_path / "cut.m4a", "ipod", "aac", tone(3)), 0.7)
    assert "damaged" in refused(path)


@pytest.mark.parametrize(
    ("name", "kind", "codec"),
    [
        ("cut.wav", "wav", "pcm_s16le"),
        ("cut.flac", "flac", "flac"),
        ("cut.mp3", "mp3", "libmp3lame"),
        ("cut.mka", "matroska", "flac"),
        ("cut.aiff", "aiff", "pcm_s16be"),
    ],
)
def test_a_file_cut_short_gives_what_is_there_and_says_so(name, kind, codec, tmp_path):
    path = cut(encode(tmp_path / name, kind, codec, hiss(20)))
    with Decoding(path) as decoding:
        samples = np.concatenate(list(decoding))
    assert 9 <= len(samples) / SAMPLE_RATE <= 11
    assert decoding.seconds == pytest.approx(20, abs=0.1)
    assert decoding.warning is not None
    assert decoding.warning.startswith("is cut short")
    assert "of 20.0 s" in decoding.warning


def test_a_wav_whose_length_was_never_filled_in_is_read_to_its_end(tmp_path):
    path = write_wav(tmp_path / "power-cut.wav", tone(3))
    with path.open("r+b") as file:
        for at in (4, 40):
            file.seek(at)
            file.write(b"\xff\xff\xff\xff")
    with Decoding(path) as decoding:
        assert sum(map(len, decoding)) == 3 * SAMPLE_RATE
    assert decoding.warning is None


def test_damage_in_the_middle_is_passed_over_and_told(tmp_path):
    path = encode(tmp_path / "scratched.mka", "matroska", "flac", hiss(20))
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 3000] = bytes(3000)
    path.write_bytes(whole)
    with Decoding(path) as decoding:
        samples = sum(map(len, decoding))
    assert samples > 10 * SAMPLE_RATE
    assert decoding.warning is not None


def test_a_length_that_is_only_a_guess_gives_no_false_alarm(tmp_path):
    quiet_then_loud = np.concatenate([np.zeros(10 * SAMPLE_RATE, np.int16), hiss(20, level=0.2)])
    path = encode(tmp_path / "radio.aac", "adts", "aac", quiet_then_loud)
    with Decoding(path) as decoding:
        samples = sum(map(len, decoding))
    assert samples / SAMPLE_RATE == pytest.approx(30, abs=0.2)
    assert decoding.warning is None
    assert decoding.seconds is None


def test_an_mp3_of_varying_rate_without_a_frame_count_gives_no_false_alarm(tmp_path):
    path = tmp_path / "varying.mp3"
    quiet_then_loud = np.concatenate([np.zeros(10 * SAMPLE_RATE, np.int16), hiss(20, level=0.2)])
    with av.open(str(path), "w", format="mp3", options={"write_xing": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono")
        stream.codec_context.flags |= 2  # QSCALE: a varying bit rate
        stream.codec_context.global_quality = 2 * 118
        block = quiet_then_loud.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with Decoding(path) as decoding:
        samples = sum(map(len, decoding))
    assert samples / SAMPLE_RATE == pytest.approx(30, abs=0.2)
    assert decoding.warning is None


def test_a_decoder_that_crashes_is_one_clear_error(tmp_path):
    path = quiet_flac(tmp_path / "long.flac", minutes=20)
    with Decoding(path) as decoding:
        blocks = iter(decoding)
        assert len(next(blocks)) == BLOCK_SAMPLES
        os.kill(decoding.pid, signal.SIGSEGV)
        with pytest.raises(AudioUnreadable) as caught:
            for _ in blocks:
                pass
    assert str(caught.value) == f"{path}: the decoder gave up on it (crashed: SIGSEGV)"


def test_memory_that_runs_out_is_one_clear_error_that_does_not_blame_the_file(tmp_path):
    path = tmp_path / "fine.asf"  # one packet of 16 MB, which no free corner of the heap can hold
    sound = av.AudioFrame.from_ndarray(np.zeros((1, 8_000_000), np.int16), "s16", "mono")
    sound.sample_rate = SAMPLE_RATE
    with av.open(str(path), "w", format="asf") as container:
        stream = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        container.mux(stream.encode(sound))
    assert "more memory" in refused(path, DecodeLimits(memory_bytes=100 << 20))
    assert len(read(path)) == 8_000_000


def test_a_picture_larger_than_the_memory_allowed_does_no_harm(tmp_path):
    path = tmp_path / "cover.mp3"
    sound = encode(tmp_path / "sound.mp3", "mp3", "libmp3lame", tone(1)).read_bytes()
    picture = 240 << 20
    with path.open("wb") as file:
        file.write(b"ID3\x04\x00\x00" + seven_bits(picture + 10))
        file.write(b"APIC" + seven_bits(picture) + b"\x00\x00" + b"\x00image/png\x00\x03\x00")
        file.seek(20 + picture)
        file.write(sound)
    with Decoding(path, DecodeLimits(memory_bytes=256 << 20)) as decoding:
        assert sum(map(len, decoding)) == SAMPLE_RATE


def seven_bits(number):
    """Return four bytes that hold seven bits each, as ID3 writes lengths."""
    return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))


def test_a_decoder_that_works_too_long_is_one_clear_error(tmp_path):
    path = sparse_wav(tmp_path / "endless.wav", 2_000_000_000, rate=192_000, channels=2)
    assert "SIGXCPU, too much work" in refused(path, DecodeLimits(cpu_seconds=1))


def test_leaving_the_with_block_ends_the_child(tmp_path):
    path = quiet_flac(tmp_path / "long.flac", minutes=20)
    with Decoding(path) as decoding:
        next(iter(decoding))
        assert psutil.Process(decoding.pid).is_running()
    assert not psutil.pid_exists(decoding.pid)


def test_a_refusal_leaves_no_child(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("no sound at all")
    before = psutil.Process().children()
    refused(path)
    assert psutil.Process().children() == before


def test_flac_comes_back_as_it_went(tmp_path):
    sound = hiss(3, level=0.3)
    path = tmp_path / "note.flac"
    assert write_flac(path, np.split(sound, [7, 5000, 5001, 30_000])) == len(sound)
    assert np.array_equal(read(path), sound)
    assert list(tmp_path.iterdir()) == [path]


@settings(
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=8), st.integers(0, 9))
def test_flac_is_the_same_however_its_blocks_are_cut(tmp_path, lengths, seed):
    everything = np.random.default_rng(seed).integers(-32768, 32768, sum(lengths)).astype(np.int16)
    path = tmp_path / "note.flac"
    write_flac(path, np.split(everything, np.cumsum(lengths)[:-1]))
    assert np.array_equal(read(path), everything)
    assert list(tmp_path.iterdir()) == [path]


def test_flac_is_absent_when_its_blocks_fail(tmp_path):
    def blocks():
        yield tone(1)
        raise OSError("the microphone was pulled out")

    with pytest.raises(OSError, match="pulled out"):
        write_flac(tmp_path / "note.flac", blocks())
    assert list(tmp_path.iterdir()) == []


def test_flac_of_nothing_is_absent(tmp_path):
    with pytest.raises(AudioUnreadable, match="no sound"):
        write_flac(tmp_path / "note.flac", [])
    assert list(tmp_path.iterdir()) == []


def test_a_failed_flac_leaves_the_old_one(tmp_path):
    path = tmp_path / "note.flac"
    write_flac(path, [tone(1)])
    with pytest.raises(AudioUnreadable):
        write_flac(path, [])
    assert np.array_equal(read(path), tone(1))
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_claims_an_absurd_rate_or_length_is_refused(tmp_path):
    slow = write_wav(tmp_path / "slow.wav", hiss(1), rate=100)
    with pytest.raises(AudioUnreadable, match="sample rate of 100 Hz"):
        read(slow)
    long = write_wav(tmp_path / "long.wav", hiss(10))
    with (
        pytest.raises(AudioUnreadable, match="holds more than"),
        Decoding(long, DecodeLimits(audio_seconds=5)) as decoding,
    ):
        list(decoding)
