"""What a take has said becomes text exactly once, whatever stumbles meanwhile."""

import time

import pytest
from speech_fixtures import fixture

from appliance import hearing
from appliance.finishing import warning_of
from appliance.hearing import NO_TEXT, Hearing
from appliance.store import recordings, sessions
from appliance.store.entities import Recording, Source
from engine.audio import read
from engine.errors import EngineError
from engine.journal import PCM
from engine.transcript import Segment, Word
from engine.whisper import Heard
from engine.worker import Worker

WAIT_S = 30


class Whisper:
    """Stand in for Whisper: say how long each utterance is, and fail as often as told."""

    def __init__(self, failures=0):
        self.failures = failures
        self.samples = 0

    def transcribe(self, samples, request):
        if self.failures:
            self.failures -= 1
            raise EngineError("out of memory")
        self.samples += len(samples)
        word = Word("said", 0, 100, 0.9)
        return Heard((Segment(0, 100, "said", (word,), "whisper-test", 0.9),), "en")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / PCM).write_bytes(read(fixture("dictation").path).tobytes())
    return tmp_path


@pytest.fixture
def row(database, account):
    with database.write() as session:
        hidden = sessions.open_one(session, account, Source.MICROPHONE)
        return recordings.add(session, account, hidden.id, device="d", profile="meeting")


def hear_all(database, folder, row, whisper, stumbling=()):
    """Hear to the end; return the segments."""
    worker = Worker(lambda: whisper).start()
    heard = Hearing(database, worker, folder, row)
    deadline = time.monotonic() + WAIT_S
    while not heard.done:
        assert time.monotonic() < deadline
        try:
            if heard.listen():
                heard.flush()
            heard.collect()
        except stumbling:
            continue
        time.sleep(0.01)
    worker.stop()
    with database.read() as session:
        return sessions.segments(session, row.session_id)


def test_an_engine_that_fails_once_is_asked_again(database, folder, row):
    segments = hear_all(database, folder, row, Whisper(failures=1))
    assert {segment.suppressed for segment in segments} == {None}


def test_a_stretch_without_text_says_so(database, folder, row):
    segments = hear_all(database, folder, row, Whisper(failures=2))
    assert [segment.suppressed for segment in segments].count(NO_TEXT) == 1
    assert warning_of([], segments) == "1 stretches have no text: the engine failed at them"


def test_a_detector_that_breaks_loses_nothing(database, folder, row, monkeypatch):
    whole = Whisper()
    hear_all(database, folder, row, whole)
    with database.write() as session:
        hidden = sessions.open_one(session, row.account_id, Source.MICROPHONE)
        again = recordings.add(session, row.account_id, hidden.id, device="e", profile="meeting")
    real, calls = hearing.Detector.probabilities, []

    def breaks(self, samples):
        calls.append(len(samples))
        if len(calls) in (3, 5):
            raise MemoryError
        return real(self, samples)

    monkeypatch.setattr(hearing.Detector, "probabilities", breaks)
    broken = Whisper()
    hear_all(database, folder, again, broken, (MemoryError,))
    assert broken.samples == whole.samples


def test_text_of_sound_that_a_power_cut_took_does_not_hide_what_comes(database, folder, row):
    with database.write() as session:
        session.get_one(Recording, row.id).settled_samples = 10**9
    with database.read() as session:
        ahead = session.get_one(Recording, row.id)
    worker = Worker(lambda: Whisper()).start()
    heard = Hearing(database, worker, folder, ahead)
    assert heard.settled_samples == (folder / PCM).stat().st_size // 2
    worker.stop()
