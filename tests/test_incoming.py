import contextlib
import os
import threading

import av
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speech_fixtures import encode, fixture, hiss, tone

from engine import stream_decoding
from engine.audio import SAMPLE_RATE, read
from engine.errors import AudioUnreadable
from engine.incoming import ENCODINGS, incoming

WAIT_S = 60
RATES = (4000, 8000, 11_025, 16_000, 22_050, 44_100, 47_999, 48_000, 192_000)


def fed(stream, pieces):
    """Feed a stream to its end; return one array a channel."""
    with_end = [stream.feed(piece) for piece in pieces] + [stream.end()]
    assert all(len({len(channel) for channel in arrays}) <= 1 for arrays in with_end)
    stream.close()
    return [np.concatenate(channel) for channel in zip(*filter(None, with_end), strict=True)]


def cut(data, *sizes):
    """Cut bytes into pieces of these sizes, over and over."""
    at, pieces = 0, []
    while at < len(data):
        for size in sizes:
            pieces.append(data[at : at + size])
            at += size
    return pieces


def raw(encoding, sound):
    """Return int16 samples (interleaved if there are several channels) in a raw encoding."""
    if encoding == "linear16":
        return sound.astype("<i2").tobytes()
    if encoding == "linear32":
        return (sound / 32768).astype("<f4").tobytes()
    coder = av.CodecContext.create({"alaw": "pcm_alaw", "mulaw": "pcm_mulaw"}[encoding], "w")
    coder.sample_rate, coder.layout, coder.format = SAMPLE_RATE, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    return b"".join(map(bytes, coder.encode(frame)))


def opus_packets(*channels, rate=16_000):
    """Return one packet for every 20 ms."""
    coder = av.CodecContext.create("libopus", "w")
    layout = "mono" if len(channels) == 1 else "stereo"
    coder.sample_rate, coder.layout, coder.format = rate, layout, "s16"
    packets = []
    for at in range(0, len(channels[0]), rate // 50):
        block = np.stack([channel[at : at + rate // 50] for channel in channels], axis=1)
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.pts = rate, at
        packets += map(bytes, coder.encode(frame))
    return packets + [bytes(packet) for packet in coder.encode(None)]


def likeness(one, other):
    """Return the correlation of two sounds of nearly one length."""
    length = min(len(one), len(other))
    return np.corrcoef(one[:length], other[:length])[0, 1]


def wav_head(channels=1, size=0, rate=16_000):
    """Return the head of a WAV; with a size of 0 one that was begun before its end was known."""
    words = (16).to_bytes(4, "little") + (1).to_bytes(2, "little") + channels.to_bytes(2, "little")
    words += rate.to_bytes(4, "little") + (rate * channels * 2).to_bytes(4, "little")
    words += (channels * 2).to_bytes(2, "little") + (16).to_bytes(2, "little")
    size_bytes = size.to_bytes(4, "little")
    return b"RIFF" + size_bytes + b"WAVEfmt " + words + b"data" + size_bytes


def peak(samples):
    """Return the loudest frequency of one second."""
    return np.abs(np.fft.rfft(samples[:SAMPLE_RATE].astype(float))).argmax()


def closing_stream():
    """Open a container for a `with` block, which closes it."""
    return contextlib.closing(incoming(None, None))


def refused(stream, *pieces):
    """Return why a stream can't be decoded; it stays so."""
    with pytest.raises(AudioUnreadable) as caught:
        fed(stream, pieces)
    with pytest.raises(AudioUnreadable):
        stream.feed(b"more")
    stream.close()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def encoded(tmp_path):
    """Encode a sound as a container and return its bytes and what the file decoder makes of it."""

    def make(kind, codec, *channels, rate=SAMPLE_RATE, **options):
        path = encode(tmp_path / kind, kind, codec, *channels, rate=rate, options=options)
        return path.read_bytes(), read(path)

    return make


def test_linear16_at_16_khz_comes_out_as_it_went_in():
    sound = hiss(1)
    assert np.array_equal(fed(incoming("linear16", 16_000), [sound.tobytes()])[0], sound)


@pytest.mark.parametrize("encoding", ["linear16", "linear32", "alaw", "mulaw"])
def test_every_raw_encoding_gives_the_same_sound(encoding):
    sound = hiss(1, level=0.2)
    (heard,) = fed(incoming(encoding, 16_000), cut(raw(encoding, sound), 999))
    assert heard.dtype == np.int16
    assert len(heard) == len(sound)
    assert likeness(heard, sound) > 0.999


@pytest.mark.parametrize("encoding", ["alaw", "mulaw"])
def test_every_byte_of_the_telephone_is_what_ffmpeg_says(encoding):
    every = bytes(range(256))
    reader = av.CodecContext.create(f"pcm_{encoding}", "r")
    reader.sample_rate, reader.layout = 16_000, "mono"
    (frame,) = reader.decode(av.Packet(every))
    assert np.array_equal(fed(incoming(encoding, 16_000), [every])[0], frame.to_ndarray()[0])


def test_what_is_no_number_or_too_loud_in_linear32_is_clipped():
    odd = np.array([0, 1, -1, 2, -2, np.inf, -np.inf, np.nan, 3e38, 0.5], "<f4")
    (heard,) = fed(incoming("linear32", 16_000), [odd.tobytes()])
    most, least = 32767, -32768
    assert heard.tolist() == [0, most, least, most, least, most, least, 0, most, 16384]


@settings(max_examples=60)
@given(
    encoding=st.sampled_from(["linear16", "linear32", "alaw", "mulaw"]),
    rate=st.sampled_from(RATES) | st.integers(4000, 192_000),
    channels=st.integers(1, 8),
    multichannel=st.booleans(),
    sizes=st.lists(st.integers(1, 999), min_size=1, max_size=6),
    seed=st.integers(0, 99),
)
def test_how_raw_sound_is_cut_changes_nothing(encoding, rate, channels, multichannel, sizes, seed):
    sound = np.random.default_rng(seed).bytes(8 * channels * 150)

    def stream():
        return incoming(encoding, rate, channels, multichannel)

    whole = fed(stream(), [sound])
    in_pieces = fed(stream(), cut(sound, *sizes))
    assert len(whole) == (channels if multichannel else 1)
    # at 19,854 Hz and the like the resampler rounds a sample otherwise after a cut
    apart = 0 if rate in RATES else 1
    for a, b in zip(whole, in_pieces, strict=True):
        assert len(a) == len(b)
        assert not len(a) or np.abs(a.astype(int) - b).max() <= apart


@pytest.mark.parametrize("rate", RATES)
def test_raw_sound_byte_by_byte_is_the_same_sound(rate):
    sound = tone(0.1, rate).tobytes()[:3000]
    whole, drip = (fed(incoming("linear16", rate), cut(sound, size)) for size in (3000, 1))
    assert np.array_equal(whole, drip)


@pytest.mark.long
@pytest.mark.parametrize("rate", [8000, 44_100, 44_101])
def test_an_hour_of_raw_sound_is_an_hour_long(rate):
    piece = bytes(2 * rate * 10)
    stream = incoming("linear16", rate)
    samples = sum(len(stream.feed(piece)[0]) for _ in range(360)) + len(stream.end()[0])
    assert abs(samples - 3600 * SAMPLE_RATE) <= 1


@pytest.mark.parametrize("rate", RATES)
def test_resampled_sound_is_where_it_was(rate):
    (heard,) = fed(incoming("linear16", rate), cut(tone(1, rate, 440).tobytes(), 4000))
    off = heard.astype(int) - tone(1, 16_000, 440)
    assert np.abs(off[500:-500]).max() < 10


def test_channels_are_mixed_to_their_mean_or_told_apart():
    left, right = tone(1, level=0.9), hiss(1)
    both = np.stack([left, right], axis=1).tobytes()
    mixed = fed(incoming("linear16", 16_000, 2), cut(both, 7, 1000))
    apart = fed(incoming("linear16", 16_000, 2, multichannel=True), cut(both, 7, 1000))
    assert np.array_equal(mixed[0], np.rint((left.astype(int) + right) / 2))
    assert np.array_equal(apart, [left, right])


def test_the_number_of_channels_is_known_at_once_if_the_caller_told_it():
    assert incoming("linear16", 8000, 3, multichannel=True).channels == 3
    assert incoming("linear16", 8000, 3).channels == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("speex", 16_000), "encoding 'speex' is not taken; linear16, .*amr-wb are"),
        (("g729", 8000), "encoding 'g729' is not taken"),
        (("linear16", None), "encoding 'linear16' needs sample_rate"),
        (("mulaw", 3999), "sample_rate is 3999; it must be 4000 to 192000"),
        (("mulaw", 192_001), "sample_rate is 192001"),
        (("linear16", 16_000, 0), "channels is 0; it must be 1 to 8"),
        (("linear16", 16_000, 9), "channels is 9"),
        (("opus", 48_000, 3), "channels is 3; a packet of opus holds 1 or 2"),
    ],
)
def test_a_stream_that_is_not_taken_is_refused_with_its_value(arguments, said):
    with pytest.raises(ValueError, match=said):
        incoming(*arguments)


CONTAINERS = {
    "webm": ("webm", "libopus", 48_000, {"live": "1", "cluster_time_limit": "250"}),
    "webm-file": ("webm", "libopus", 48_000, {}),
    "ogg-opus": ("ogg", "libopus", 48_000, {"page_duration": "20000"}),
    "ogg-flac": ("ogg", "flac", 16_000, {}),
    "wav": ("wav", "pcm_s16le", 44_100, {}),
    "wav-24-bit": ("wav", "pcm_s24le", 48_000, {}),
    "wav-float": ("wav", "pcm_f32le", 16_000, {}),
    "wav-telephone": ("wav", "pcm_mulaw", 8000, {}),
    "wav-adpcm": ("wav", "adpcm_ima_wav", 16_000, {}),
    "flac": ("flac", "flac", 16_000, {}),
    "flac-44100": ("flac", "flac", 44_100, {}),
    "mp3": ("mp3", "libmp3lame", 44_100, {"write_xing": "0"}),
    "mp3-untagged": ("mp3", "libmp3lame", 16_000, {"write_xing": "0", "id3v2_version": "0"}),
    "aac": ("adts", "aac", 44_100, {}),
    "m4a": ("ipod", "aac", 44_100, {"movflags": "faststart"}),
    "mp4-fragments": (
        "mp4",
        "aac",
        48_000,
        {"movflags": "empty_moov+default_base_moof+frag_keyframe", "frag_duration": "250000"},
    ),
    "matroska": ("matroska", "flac", 44_100, {}),
    "au": ("au", "pcm_s16be", 44_100, {}),
    "caf": ("caf", "pcm_s16le", 44_100, {}),
    "aiff": ("aiff", "pcm_s16be", 44_100, {}),
    "mpegts": ("mpegts", "aac", 48_000, {}),
}


@pytest.mark.parametrize("held", CONTAINERS)
def test_a_container_in_pieces_gives_what_the_file_gives(held, encoded):
    kind, codec, rate, options = CONTAINERS[held]
    data, whole = encoded(kind, codec, tone(2, rate), rate=rate, **options)
    (heard,) = fed(incoming(None, None), cut(data, 1, 700, 3, 2000))
    assert np.array_equal(heard, whole)


@pytest.mark.parametrize("held", ["webm", "ogg-opus", "wav", "flac", "mp3", "mp4-fragments"])
def test_a_container_byte_by_byte_gives_what_the_file_gives(held, encoded):
    kind, codec, rate, options = CONTAINERS[held]
    data, whole = encoded(kind, codec, tone(0.15, rate), rate=rate, **options)
    (heard,) = fed(incoming(None, None), cut(data, 1))
    assert np.array_equal(heard, whole)


@pytest.mark.long
@settings(max_examples=40)
@given(
    held=st.sampled_from(["webm", "ogg-opus", "mp4-fragments", "mp3", "flac"]),
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=5),
)
def test_how_a_container_is_cut_changes_nothing(held, sizes, tmp_path_factory):
    kind, codec, rate, options = CONTAINERS[held]
    path = tmp_path_factory.mktemp("cut") / kind
    encode(path, kind, codec, hiss(1, rate), rate=rate, options=options)
    (heard,) = fed(incoming(None, None), cut(path.read_bytes(), *sizes))
    assert np.array_equal(heard, read(path))


@pytest.mark.parametrize("encoding", ["flac", "ogg-opus", None])
def test_the_name_of_a_container_is_not_needed(encoding, encoded):
    data, whole = encoded("ogg", "libopus", tone(1))
    assert np.array_equal(fed(incoming(encoding, 48_000), [data])[0], whole)


@pytest.mark.parametrize("kind", ["wav", "flac", "matroska"])
def test_the_channels_of_a_container_are_mixed_or_told_apart(kind, encoded):
    left, right = tone(1), hiss(1)
    codec = {"wav": "pcm_s16le"}.get(kind, "flac")
    data, mixed = encoded(kind, codec, left, right)
    stream = incoming(None, None, multichannel=True)
    assert stream.channels == 0
    assert np.array_equal(fed(stream, cut(data, 5000)), [left, right])
    assert stream.channels == 2
    assert np.array_equal(fed(incoming(None, None), [data])[0], mixed)


@pytest.mark.parametrize("channels", [3, 4, 6, 8])
def test_many_channels_of_a_wav_keep_their_order(channels):
    sounds = [tone(0.5, hertz=200 * (place + 1)) for place in range(channels)]
    data = wav_head(channels) + np.stack(sounds, axis=1).tobytes()
    assert np.array_equal(fed(incoming(None, None, multichannel=True), [data]), sounds)


@pytest.mark.parametrize(("multichannel", "said"), [(True, "8 is the most"), (False, "decoded")])
def test_more_channels_than_a_layout_has_are_refused(multichannel, said):
    data = wav_head(11) + bytes(22 * 16_000)
    assert said in refused(incoming(None, None, multichannel=multichannel), data)


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF])
def test_a_wav_of_unknown_length_goes_on_to_its_end(size):
    sound = hiss(2)
    (heard,) = fed(incoming(None, None), cut(wav_head(size=size) + sound.tobytes(), 4001))
    assert np.array_equal(heard, sound)


def test_pieces_that_are_a_wav_each_are_one_sound():
    sound = hiss(2)
    pieces = [wav_head(size=len(piece)) + piece for piece in cut(sound.tobytes(), 3200)]
    assert np.array_equal(fed(incoming(None, None), pieces)[0], sound)


def test_a_recorder_that_begins_anew_on_the_same_connection_is_heard_on(encoded):
    data, whole = encoded("webm", "libopus", tone(1, 48_000), rate=48_000, live="1")
    (heard,) = fed(incoming(None, None), cut(data + data, 800))
    assert abs(len(heard) - 2 * len(whole)) < 0.02 * SAMPLE_RATE


@pytest.mark.parametrize(
    "held", ["webm", "ogg-opus", "wav", "flac", "mp3", "mp3-untagged", "aac", "mp4-fragments"]
)
def test_the_first_samples_come_with_the_first_half_second(held, encoded):
    kind, codec, rate, options = CONTAINERS[held]
    data, _ = encoded(kind, codec, hiss(10, rate), rate=rate, **options)
    stream = incoming(None, None)
    heard_s = 0.0
    for quarters, piece in enumerate(cut(data, round(len(data) / 40))[:40], 1):
        heard_s += sum(map(len, stream.feed(piece))) / SAMPLE_RATE
        assert quarters < 2 or heard_s > quarters / 4 - 0.5, quarters
    stream.close()


def test_raw_packets_of_opus_are_heard():
    speech = read(fixture("meeting").path)[: 5 * SAMPLE_RATE]
    packets = opus_packets(speech)
    (heard,) = fed(incoming("opus", 48_000), packets)
    assert len(heard) == len(packets) * 320
    assert max(likeness(heard[late:], speech) for late in range(60, 160)) > 0.9


def test_stereo_packets_of_opus_are_two_channels_if_wanted():
    packets = opus_packets(tone(1, hertz=300), tone(1, hertz=2000))
    left, right = fed(incoming("opus", 48_000, 2, multichannel=True), packets)
    (mixed,) = fed(incoming("opus", 48_000, 2), packets)
    assert peak(left) == 300
    assert peak(right) == 2000
    assert likeness(mixed, (left.astype(float) + right) / 2) > 0.999


@pytest.mark.parametrize("kind", ["ogg", "webm"])
def test_opus_in_a_container_needs_no_other_name(kind, encoded):
    data, whole = encoded(kind, "libopus", tone(1, 48_000), rate=48_000)
    assert np.array_equal(fed(incoming("opus", 48_000), cut(data, 900))[0], whole)


def test_a_bad_packet_of_opus_is_passed_over():
    packets = opus_packets(hiss(1))
    bad = b"\xff" * 20
    (heard,) = fed(incoming("opus", 48_000), [*packets[:10], bad, *packets[10:]])
    assert len(heard) >= len(packets) * 320


def test_amr_without_its_head_is_heard(encoded):
    data, whole = encoded("amr", "libopencore_amrnb", tone(1, 8000), rate=8000)
    magic = b"#!AMR\n"
    assert data.startswith(magic)
    (heard,) = fed(incoming("amr-nb", 8000), cut(data[len(magic) :], 50))
    assert np.array_equal(heard, whole)


def test_wide_amr_without_its_head_is_heard(tmp_path):
    frames = b"".join(b"\x04" + np.random.default_rng(n).bytes(17) for n in range(50))
    path = tmp_path / "noise.awb"
    path.write_bytes(b"#!AMR-WB\n" + frames)
    (heard,) = fed(incoming("amr-wb", 16_000), cut(frames, 41))
    assert len(heard) == SAMPLE_RATE
    assert np.array_equal(heard, read(path))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_stream_of_nothing_ends_with_nothing(encoding):
    stream = incoming(encoding, 16_000)
    assert sum(map(len, stream.feed(b"") + stream.end())) == 0
    assert stream.end() == []
    with pytest.raises(AudioUnreadable, match="closed"):
        stream.feed(b"late")
    stream.close()


def test_raw_sound_that_was_meant_as_a_container_is_refused_with_advice():
    said = refused(incoming(None, None), tone(1).tobytes())
    assert said.startswith("live sound: begins with 00 00 ")
    assert "encoding and sample_rate" in said


def test_a_webm_without_its_head_is_refused(encoded):
    data, _ = encoded("webm", "libopus", hiss(3, 48_000), rate=48_000, live="1")
    assert "must come from its beginning" in refused(incoming(None, None), data[5000:])


def test_an_mp4_with_its_index_at_the_end_is_refused_at_once(encoded):
    data, _ = encoded("ipod", "aac", hiss(2, 44_100), rate=44_100)
    with closing_stream() as stream, pytest.raises(AudioUnreadable, match="index at the end"):
        stream.feed(data[:1000])


def test_a_playlist_is_refused():
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hosts\n"
    assert "begins with 23 45 58 54" in refused(incoming(None, None), playlist)


@pytest.mark.parametrize("head", [b"OggS", b"\x1aE\xdf\xa3", b"fLaC", b"\xff\xfb\x90\x64", b"G"])
def test_noise_behind_a_good_beginning_is_refused(head):
    noise = np.random.default_rng(7).bytes(3 << 20)
    assert refused(incoming(None, None), *cut(head + noise, 1 << 16))


def test_packets_that_are_no_opus_are_refused():
    assert "no opus" in refused(incoming("opus", 48_000), *[b"\xff\x00" + bytes(40)] * 60)
    assert "no Opus" in refused(incoming("opus", 48_000), bytes(100_000))


def test_a_torn_head_is_refused_and_a_torn_tail_is_not(encoded):
    data, whole = encoded("ogg", "libopus", hiss(2), page_duration="20000")
    assert refused(incoming(None, None), data[:40])
    (heard,) = fed(incoming(None, None), [data[: len(data) // 2]])
    assert 0.4 < len(heard) / len(whole) < 0.6


@pytest.mark.long
@pytest.mark.parametrize("held", ["webm", "ogg-opus", "flac", "mp3", "wav-adpcm", "mp4-fragments"])
def test_damage_ends_in_sound_or_in_a_reason(held, encoded):
    kind, codec, rate, options = CONTAINERS[held]
    data, _ = encoded(kind, codec, hiss(2, rate), rate=rate, **options)
    random = np.random.default_rng(11)
    for _ in range(4):
        damaged = np.frombuffer(data, np.uint8).copy()
        damaged[random.integers(0, len(data), 30)] = random.integers(0, 256, 30)
        with closing_stream() as stream:
            try:
                heard = fed(stream, cut(damaged.tobytes(), 3000))
            except AudioUnreadable as error:
                assert "gave up" not in str(error)
            else:
                assert sum(map(len, heard)) < 10 * SAMPLE_RATE


def test_sound_that_came_before_the_damage_is_not_lost():
    sound = hiss(1)
    head = wav_head(size=sound.nbytes)
    with closing_stream() as stream:
        (heard,) = stream.feed(head + sound.tobytes() + bytes(100_000))
        assert np.array_equal(heard, sound)
        with pytest.raises(AudioUnreadable, match=r"came to its end after 1\.0 s"):
            stream.feed(b"more")


def test_a_piece_that_claims_hours_of_sound_is_refused(encoded, monkeypatch):
    monkeypatch.setattr(stream_decoding, "MOST_PIECE_BYTES", 60 * SAMPLE_RATE * 2)
    data, _ = encoded("flac", "flac", np.zeros(90 * SAMPLE_RATE, np.int16))
    with closing_stream() as stream:
        stream.feed(data)
        with pytest.raises(AudioUnreadable, match="smaller pieces"):
            stream.feed(b"more")


def test_a_child_that_is_killed_ends_the_stream():
    with closing_stream() as stream:
        assert len(stream.feed(wav_head() + tone(1).tobytes())[0])
        psutil.Process(stream.pid).kill()
        with pytest.raises(AudioUnreadable, match=r"gave up on it \(stopped: SIGKILL"):
            while True:
                stream.feed(tone(1).tobytes())
        with pytest.raises(AudioUnreadable):
            stream.end()


@pytest.mark.parametrize("ends", [False, True])
def test_a_child_that_hangs_is_given_up(ends, monkeypatch):
    with closing_stream() as stream:
        stream.feed(wav_head() + tone(1).tobytes())
        monkeypatch.setattr(stream_decoding, "ANSWER_S", 0.3)
        psutil.Process(stream.pid).suspend()
        with pytest.raises(AudioUnreadable, match="has not answered"):
            stream.end() if ends else stream.feed(bytes(1 << 20))


def test_closing_ends_a_call_that_waits_in_another_thread():
    stream = incoming(None, None)
    stream.feed(wav_head() + tone(1).tobytes())
    psutil.Process(stream.pid).suspend()
    caught = []

    def feed():
        with pytest.raises(AudioUnreadable, match="closed") as error:
            stream.feed(bytes(1 << 20))
        caught.append(error)

    waiting = threading.Thread(target=feed)
    waiting.start()
    stream.close()
    waiting.join(WAIT_S)
    assert len(caught) == 1


@pytest.mark.parametrize("streams", [6, pytest.param(50, marks=pytest.mark.long)])
def test_streams_leave_nothing_behind(streams, encoded):
    data, _ = encoded("ogg", "libopus", tone(0.2))
    process = psutil.Process()

    def held():
        return len(os.listdir("/proc/self/fd")), threading.active_count(), process.children()

    before = held()
    for turn in range(streams):
        stream = incoming(None if turn % 3 else "opus", 48_000)
        if turn % 2:
            stream.feed(data)
        if turn % 5 == 0:
            stream.end()
        stream.close()
        stream.close()
    assert held() == before


def test_a_child_may_open_nothing_and_hold_little():
    with closing_stream() as stream:
        stream.feed(wav_head() + tone(1).tobytes())
        child = psutil.Process(stream.pid)
        assert child.rlimit(psutil.RLIMIT_NOFILE) == (3, 3)
        assert child.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_AS) == (2 << 30, 2 << 30)
        assert child.num_fds() == 3


def test_each_sound_allows_for_more_work():
    with closing_stream() as stream:
        stream.feed(wav_head() + tone(1).tobytes())
        soft, hard = psutil.Process(stream.pid).rlimit(psutil.RLIMIT_CPU)
        assert 60 <= soft < 120
        assert hard > 24 * 3600
