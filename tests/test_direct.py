"""A file is transcribed for a caller who waits, leaves nothing behind, and can be given up."""

import contextlib
import hashlib
import threading

import numpy as np
import pytest
from speech_fixtures import encode, fixture, hiss, tone, words_wrong, write_wav

from appliance import direct as module
from appliance.direct import MOST_CHANNELS, Direct
from appliance.errors import Busy, NoRoom, TooLarge
from engine.audio import DecodeLimits, Decoding, read
from engine.errors import AudioUnreadable, Cancelled, LanguageUnsupported, ModelUnavailable
from engine.worker import Priority, Worker

WAIT_S = 60
DICTATION, MEETING = fixture("dictation"), fixture("meeting")


def direct_of(worker, tmp_path, **more):
    return Direct(worker, tmp_path / "direct", 1 << 30, 0, **more)


@pytest.fixture
def direct(tiny, tmp_path):
    """Transcribe with a real engine."""
    return direct_of(tiny, tmp_path)


@pytest.fixture
def loading():
    """Return a worker whose model is never there until the test is over."""
    over = threading.Event()

    def load():
        over.wait(WAIT_S)
        raise ModelUnavailable("there is none")

    worker = Worker(load).start()
    yield worker
    over.set()
    worker.stop()


def as_heard_by(worker, monkeypatch):
    """Note with which priority windows are submitted."""
    noted, submit = [], worker.submit

    def noting(samples, request, priority):
        noted.append(priority)
        return submit(samples, request, priority)

    monkeypatch.setattr(worker, "submit", noting)
    return noted


def test_a_file_becomes_text_and_nothing_else(direct):
    result = direct.transcribe(MEETING.path, language="en")
    assert words_wrong(MEETING.text, result.transcript.text) <= 1
    assert result.transcript.duration_ms == pytest.approx(MEETING.seconds * 1000, abs=100)
    assert (result.model.name, len(result.transcripts)) == ("tiny.en", 1)
    assert list(direct.audio.path.iterdir()) == []


def test_segments_are_told_as_they_come(direct):
    told = []
    result = direct.transcribe(MEETING.path, language=None, on_segments=told.extend)
    assert tuple(told) == result.transcript.segments


def test_only_so_many_callers_have_a_place_and_a_place_is_free_again(tiny, tmp_path):
    direct = direct_of(tiny, tmp_path, most=2)
    with contextlib.ExitStack() as places:
        for _ in range(2):
            places.enter_context(direct.enter())
        with pytest.raises(Busy, match="2 files") as busy, direct.enter():
            pass
        assert busy.value.retry_after_s >= 1
    with direct.enter(), direct.enter():
        pass


def test_what_a_crash_left_is_gone_after_the_next_start(tiny, tmp_path):
    folder = direct_of(tiny, tmp_path).audio.path
    (folder / "x.part").write_bytes(b"half")
    assert list(direct_of(tiny, tmp_path).audio.path.iterdir()) == []
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_received_file_lies_there_only_while_it_is_held(direct):
    with direct.audio.receive() as incoming:
        incoming.lead(b"HEAD")
        incoming.write(b"body")
        incoming.close()
        assert incoming.path.read_bytes() == b"HEADbody"
        assert (incoming.bytes, incoming.sha256) == (4, hashlib.sha256(b"body").hexdigest())
    assert list(direct.audio.path.iterdir()) == []


def test_too_many_bytes_and_a_full_disk_are_refused(direct):
    direct.audio.limit_bytes = 3
    with direct.audio.receive() as incoming, pytest.raises(TooLarge):
        incoming.write(b"body")
    direct.audio.limit_bytes, direct.audio.reserve_bytes = 9, 1 << 60
    with direct.audio.receive() as incoming, pytest.raises(NoRoom):
        incoming.write(b"body")
    assert list(direct.audio.path.iterdir()) == []


def test_each_channel_is_heard_by_itself(direct, tmp_path):
    left, right = read(DICTATION.path), read(MEETING.path)
    length = max(len(left), len(right))
    sides = [np.pad(side, (0, length - len(side))) for side in (left, right)]
    path = encode(tmp_path / "two.ogg", "ogg", "flac", *sides)
    result = direct.transcribe(path, language="en", multichannel=True)
    assert len(result.transcripts) == 2
    for speech, transcript in zip((DICTATION, MEETING), result.transcripts, strict=True):
        assert words_wrong(speech.text, transcript.text) <= 1
        assert transcript.duration_ms == length * 1000 // 16_000


def test_a_silent_channel_is_an_empty_transcript_among_others(direct, tmp_path):
    sound = read(DICTATION.path)
    path = write_wav(tmp_path / "two.wav", np.zeros_like(sound), sound)
    silent, spoken = direct.transcribe(path, language="en", multichannel=True).transcripts
    assert (silent.text, silent.language) == ("", None)
    assert words_wrong(DICTATION.text, spoken.text) <= 1


@pytest.mark.parametrize("kind", ["wav", "mp3", "ogg", "webm", "m4a"])
def test_channels_come_apart_in_any_container(kind, tmp_path):
    form, codec = {
        "wav": ("wav", "pcm_s16le"), "mp3": ("mp3", "libmp3lame"), "ogg": ("ogg", "libopus"),
        "webm": ("webm", "libopus"), "m4a": ("ipod", "aac"),
    }[kind]  # fmt: skip
    sounds = [tone(2, 48_000, hertz) for hertz in (440, 1320)]
    path = encode(tmp_path / f"two.{kind}", form, codec, *sounds, rate=48_000)
    for number, hertz in enumerate((440, 1320)):
        with Decoding(path, DecodeLimits(channel=number)) as decoding:
            assert decoding.channels == 2
            samples = np.concatenate(list(decoding))
        spectrum = np.abs(np.fft.rfft(samples))
        assert np.argmax(spectrum) * 16_000 / len(samples) == pytest.approx(hertz, abs=5)


def test_many_channels_come_apart_and_one_that_is_not_there_is_silence(tmp_path):
    path = write_wav(tmp_path / "six.wav", *(tone(1, hertz=300 * n) for n in range(1, 7)))
    found = []
    for number in range(7):
        with Decoding(path, DecodeLimits(channel=number)) as decoding:
            assert decoding.channels == 6
            found.append(np.concatenate(list(decoding)))
    for number, samples in enumerate(found[:6], 1):
        assert np.array_equal(samples, tone(1, hertz=300 * number))
    assert len(found[6]) == 16_000 and not found[6].any()


def test_more_channels_than_anybody_records_are_refused(direct, tmp_path):
    path = write_wav(tmp_path / "x.wav", *[hiss(0.1)] * (MOST_CHANNELS + 1))
    with pytest.raises(AudioUnreadable, match=rf"^has {MOST_CHANNELS + 1} channels"):
        direct.transcribe(path, language=None, multichannel=True)


def test_why_a_file_can_not_be_read_is_said_without_its_path(direct, tmp_path):
    (tmp_path / "x").write_bytes(b"just text, and some more of it")
    for multichannel in (False, True):
        with pytest.raises(AudioUnreadable, match=r"^not an audio file"):
            direct.transcribe(tmp_path / "x", language=None, multichannel=multichannel)


def test_what_the_model_does_not_know_is_refused_before_the_file_is_read(direct):
    for refused in (direct.check, lambda language: direct.transcribe("none", language=language)):
        with pytest.raises(LanguageUnsupported, match="English only"):
            refused("de")
    direct.check("en")
    direct.check(None)
    with pytest.raises(LanguageUnsupported, match="can't translate"):
        direct.check(None, translate=True)
    with pytest.raises(LanguageUnsupported, match="can't translate"):
        direct.transcribe("none", language=None, translate=True)


def test_the_language_of_the_settings_counts_unless_it_is_to_be_detected(tiny, tmp_path):
    direct = direct_of(tiny, tmp_path, language="de")
    with pytest.raises(LanguageUnsupported, match="'de'"):
        direct.transcribe(DICTATION.path, language=None)
    assert direct.transcribe(DICTATION.path, language=None, detect=True).transcript.text
    assert direct.transcribe(DICTATION.path, language="en").transcript.text


@pytest.mark.long
def test_a_language_is_detected_among_those_that_are_named(base, tmp_path):
    german = fixture("german")
    for among, wanted in (((), "de"), (("en", "de"), "de"), (("en", "fr"), ("en", "fr"))):
        result = direct_of(base, tmp_path).transcribe(
            german.path, language=None, detect=True, among=among
        )
        assert result.transcript.language in wanted
    with pytest.raises(LanguageUnsupported):
        direct_of(base, tmp_path).transcribe(german.path, language="tlh")


def test_a_model_that_is_being_loaded_is_waited_for_and_one_that_fails_is_told(tiny, tmp_path):
    begun, go_on = threading.Event(), threading.Event()

    def load():
        begun.set()
        assert go_on.wait(WAIT_S)
        return tiny.model()

    worker = Worker(load).start()
    direct, found = direct_of(worker, tmp_path), []
    asking = threading.Thread(
        target=lambda: found.append(direct.transcribe(DICTATION.path, language="en"))
    )
    asking.start()
    assert begun.wait(WAIT_S)
    direct.check("de")  # not known yet
    go_on.set()
    asking.join(WAIT_S)
    assert words_wrong(DICTATION.text, found[0].transcript.text) <= 1
    worker.stop()


def test_without_a_model_it_says_so(tmp_path):
    def broken():
        raise ModelUnavailable("no such model")

    worker = Worker(broken).start()
    direct = direct_of(worker, tmp_path)
    for ask in (direct.check, lambda _: direct.transcribe(DICTATION.path, language=None)):
        with pytest.raises(ModelUnavailable, match="no such model"):
            worker.model(WAIT_S)
            ask(None)


def test_it_is_given_up_while_the_model_is_loaded(loading, tmp_path):
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        direct_of(loading, tmp_path).transcribe("none", language=None, cancelled=cancelled)


def test_it_is_given_up_in_the_middle_of_a_file(direct, tmp_path):
    cancelled = threading.Event()
    path = write_wav(tmp_path / "long.wav", np.tile(read(MEETING.path), 6))
    with pytest.raises(Cancelled):
        direct.transcribe(
            path,
            language=None,
            on_segments=lambda _: cancelled.set(),
            cancelled=cancelled,
        )


def test_it_is_given_up_while_it_waits_for_its_turn(tiny, tmp_path):
    cancelled = threading.Event()

    class NeverItsTurn(Worker):
        def model(self, timeout_s=None):
            return tiny.model(timeout_s)

        def submit(self, samples, request, priority):
            cancelled.set()
            return super().submit(samples, request, priority)

    direct = direct_of(NeverItsTurn(tiny.model), tmp_path)
    with pytest.raises(Cancelled):
        direct.transcribe(DICTATION.path, language=None, cancelled=cancelled)


def test_closing_ends_everything(loading, tmp_path):
    direct, told = direct_of(loading, tmp_path), []

    def ask():
        with pytest.raises(Cancelled):
            direct.transcribe("none", language=None)
        told.append("cancelled")

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    direct.close()
    for thread in asking:
        thread.join(WAIT_S)
    assert told == ["cancelled"] * 3


def test_a_short_file_stays_before_long_ones(direct, monkeypatch):
    noted = as_heard_by(direct._worker, monkeypatch)
    direct.transcribe(MEETING.path, language="en")
    assert set(noted) == {Priority.SHORT}


@pytest.mark.long
def test_a_long_file_steps_back_as_soon_as_it_is_known_to_be_long(direct, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "SHORT_S", 6.0)
    noted = as_heard_by(direct._worker, monkeypatch)
    direct.transcribe(MEETING.path, language="en")  # its head tells
    assert set(noted) == {Priority.LONG}
    noted.clear()
    unknown = encode(tmp_path / "meeting.aac", "adts", "aac", np.tile(read(MEETING.path), 4))
    direct.transcribe(unknown, language=None)
    assert noted[-1] is Priority.LONG
