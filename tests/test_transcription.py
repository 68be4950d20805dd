import os
import signal
import threading
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from speech_fixtures import fixture, hiss, quiet_flac, words_wrong, write_wav

from engine.audio import SAMPLE_RATE, read, write_flac
from engine.errors import AudioUnreadable, Cancelled, LanguageUnsupported
from engine.transcript import Segment
from engine.transcription import FileTranscription, Progress
from engine.whisper import Heard, Request
from engine.worker import Ticket

WAIT_S = 120
RIGHT_TO_MS = 300


@pytest.fixture(scope="module")
def meeting(tiny):
    """Transcribe the meeting once; return the transcript, the progress and the segments told."""
    shown, told = [], []
    transcription = FileTranscription(
        fixture("meeting").path, tiny, on_progress=shown.append, on_segments=told.append
    )
    return transcription.run(), shown, told


def in_thread(transcription):
    """Run it in a thread; return the thread and the list that gets how it ended."""
    ended = []

    def run():
        try:
            ended.append(transcription.run())
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ended


def silence(seconds):
    return np.zeros(round(seconds * SAMPLE_RATE), np.int16)


def test_progress_tells_its_share():
    assert Progress(5, 20).share == 0.25
    assert Progress(21, 20).share == 1.0
    assert Progress(5, None).share == 0.0


def test_a_meeting_is_understood(meeting):
    transcript, _, _ = meeting
    truth = fixture("meeting")
    assert words_wrong(truth.text, transcript.text) <= 1
    assert transcript.model == "tiny.en"
    assert transcript.language == "en"
    assert transcript.duration_ms == pytest.approx(truth.seconds * 1000, abs=10)
    assert transcript.warning is None
    assert transcript.suppressed == ()


@pytest.mark.parametrize("name", ["dictation", "two-voices", "long-pause"])
def test_a_recording_is_understood(name, tiny):
    truth = fixture(name)
    assert words_wrong(truth.text, FileTranscription(truth.path, tiny).run().text) <= 1


def test_words_lie_where_they_are_said(meeting):
    words = [word for segment in meeting[0].segments for word in segment.words]
    for spoken in fixture("meeting").utterances:
        mine, words = words[: len(spoken.text.split())], words[len(spoken.text.split()) :]
        assert mine[0].start_ms == pytest.approx(spoken.start_ms, abs=RIGHT_TO_MS), spoken.text
        assert mine[-1].end_ms == pytest.approx(spoken.end_ms, abs=RIGHT_TO_MS), spoken.text
    assert words == []


def test_segments_follow_each_other_and_hold_their_words(meeting):
    for before, after in pairwise(meeting[0].segments):
        assert before.end_ms <= after.start_ms + 20
    for segment in meeting[0].segments:
        assert segment.start_ms == segment.words[0].start_ms
        assert segment.end_ms == segment.words[-1].end_ms


def test_the_segments_told_are_those_of_the_result(meeting):
    transcript, _, told = meeting
    assert tuple(segment for segments in told for segment in segments) == transcript.segments
    assert () not in told


def assert_monotone_to(shown, seconds):
    assert all(a.done_seconds <= b.done_seconds for a, b in pairwise(shown))
    assert all(progress.total_seconds == pytest.approx(seconds, abs=0.01) for progress in shown)
    assert shown[-1].done_seconds == pytest.approx(seconds, abs=0.01)
    assert shown[-1].share == pytest.approx(1.0, abs=0.001)


def test_progress_grows_to_the_full_length(meeting):
    assert_monotone_to(meeting[1], fixture("meeting").seconds)


@pytest.mark.parametrize("lead_s", [1.5, 2.3])
def test_progress_never_goes_back(lead_s, tiny, tmp_path):
    """The second sentence ends just before a block does, its silence within the next one."""
    sentence = read(fixture("dictation").path)
    sound = np.concatenate([sentence, silence(2 + lead_s), sentence, silence(9)])
    shown = []
    path = write_wav(tmp_path / "two.wav", sound)
    FileTranscription(path, tiny, on_progress=shown.append).run()
    assert_monotone_to(shown, len(sound) / SAMPLE_RATE)


def test_silence_is_an_empty_transcript_whose_progress_shows(tiny, tmp_path):
    shown = []
    path = quiet_flac(tmp_path / "night.flac", minutes=2)
    transcript = FileTranscription(path, tiny, on_progress=shown.append).run()
    assert transcript.segments == ()
    assert transcript.text == ""
    assert transcript.language is None
    assert transcript.duration_ms == 120_000
    assert len(shown) >= 30
    assert_monotone_to(shown, 120)


@pytest.mark.parametrize("level", [0.001, 0.05, 0.2])
def test_noise_is_an_empty_transcript(level, tiny, tmp_path):
    path = write_wav(tmp_path / "fan.wav", hiss(20, level=level))
    assert FileTranscription(path, tiny).run().segments == ()


def test_speech_before_a_long_silence_does_not_wait_for_its_end(tiny, tmp_path):
    """Two utterances that would share a window, but for the quarter of a minute between them."""
    sentence = read(fixture("dictation").path)
    sound = np.concatenate([sentence, silence(15), sentence, silence(3)])
    told = []
    path = write_wav(tmp_path / "two.wav", sound)
    transcript = FileTranscription(path, tiny, on_segments=told.append).run()
    assert [len(segments) for segments in told] == [1, 1]
    assert transcript.segments[1].start_ms >= len(sentence) // 16 + 15_000 - RIGHT_TO_MS


def test_short_utterances_share_a_window_and_keep_their_places(tiny, tmp_path):
    sentence = read(fixture("dictation").path)
    sound = np.concatenate([sentence, silence(4), sentence, silence(1)])
    told = []
    path = write_wav(tmp_path / "two.wav", sound)
    transcript = FileTranscription(path, tiny, on_segments=told.append).run()
    assert [len(segments) for segments in told] == [2]
    first, second = transcript.segments
    by_ms = len(sentence) // 16 + 4000
    assert second.start_ms - first.start_ms == pytest.approx(by_ms, abs=2 * RIGHT_TO_MS)
    assert second.end_ms - first.end_ms == pytest.approx(by_ms, abs=2 * RIGHT_TO_MS)
    assert words_wrong(first.text, second.text) <= 1


def test_german_is_refused_by_an_english_model_before_the_file_is_opened(tiny, tmp_path):
    transcription = FileTranscription(tmp_path / "missing.wav", tiny, Request(language="de"))
    with pytest.raises(LanguageUnsupported, match=r"scribebox\[multilingual\]"):
        transcription.run()


def test_the_language_of_a_file_is_detected(base):
    german = fixture("german")
    transcript = FileTranscription(german.path, base).run()
    assert transcript.language == "de"
    assert words_wrong(german.text, transcript.text) <= 2  # by the rounding of the processor


class Polyglot:
    """Stand in for a worker: hear a language in each window, and note which was asked for."""

    def __init__(self, *languages):
        self.languages, self.asked = list(languages), []

    def model(self, timeout_s=None):
        model = SimpleNamespace(name="base")
        return SimpleNamespace(model=model, check_language=lambda language: None)

    def submit(self, samples, request, priority):
        self.asked.append((request.language, len(samples) / SAMPLE_RATE))
        ticket = Ticket(samples, request, priority)
        language = request.language or self.languages.pop(0)
        ticket.finish(Heard((Segment(0, 300, "x", (), "whisper-base", 0.9),), language))
        return ticket


def spoken(*lengths_s):
    """Return the beginning of the meeting, cut to lengths with a quarter of a minute between."""
    sound = read(fixture("meeting").path)
    parts = [(sound[: round(s * SAMPLE_RATE)], silence(15)) for s in lengths_s]
    return np.concatenate([each for part in parts for each in part])


def test_a_cough_does_not_fix_the_language_of_a_file(tmp_path):
    worker = Polyglot("cy", "de")
    path = write_wav(tmp_path / "cough.wav", spoken(0.6, 4, 4))
    transcript = FileTranscription(path, worker).run()
    assert [language for language, _ in worker.asked] == [None, None, "de"]
    assert transcript.language == "de"


def test_a_file_of_one_word_has_a_language_all_the_same(tmp_path):
    path = write_wav(tmp_path / "word.wav", spoken(0.6))
    assert FileTranscription(path, Polyglot("fr")).run().language == "fr"


@pytest.mark.parametrize(("language", "most_s"), [("hi", 10), ("en", 18)])
def test_windows_hold_no_more_than_the_decoder_can_write_of_a_language(language, most_s, tmp_path):
    path = write_wav(tmp_path / "long.wav", np.tile(read(fixture("meeting").path), 3))
    for request in (Request(), Request(language)):
        worker = Polyglot(language)
        FileTranscription(path, worker, request).run()
        longest = max(seconds for _, seconds in worker.asked[2:])
        assert most_s / 2 < longest <= most_s


def test_hotwords_are_accepted(tiny):
    truth = fixture("dictation")
    request = Request(hotwords=("finance team", "contract"))
    assert words_wrong(truth.text, FileTranscription(truth.path, tiny, request).run().text) <= 1


def test_a_file_cut_short_carries_its_warning(tiny, tmp_path):
    path = tmp_path / "cut.flac"
    write_flac(path, [read(fixture("long-pause").path)])
    os.truncate(path, path.stat().st_size // 2)
    transcript = FileTranscription(path, tiny).run()
    assert transcript.warning is not None
    assert transcript.warning.startswith("is cut short")
    assert transcript.text.startswith("I will look for the invoice")


def test_a_file_that_is_no_audio_is_refused(tiny, tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Dear Sir or Madam")
    with pytest.raises(AudioUnreadable, match="not an audio file"):
        FileTranscription(path, tiny).run()


def test_a_decoder_that_dies_is_an_error_and_no_cancellation(tiny, tmp_path):
    path = quiet_flac(tmp_path / "night.flac", minutes=20)
    transcription = FileTranscription(path, tiny)

    def kill(_):
        if transcription._decoding.samples == 4 * SAMPLE_RATE:
            os.kill(transcription._decoding.pid, signal.SIGSEGV)

    transcription.on_progress = kill
    with pytest.raises(AudioUnreadable, match="crashed: SIGSEGV"):
        transcription.run()


def test_cancelling_between_blocks_ends_it(tiny, tmp_path):
    path = quiet_flac(tmp_path / "night.flac", minutes=20)
    going, cancelled = threading.Event(), threading.Event()

    def wait(_):
        going.set()
        assert cancelled.wait(WAIT_S)

    transcription = FileTranscription(path, tiny, on_progress=wait)
    thread, ended = in_thread(transcription)
    assert going.wait(WAIT_S)
    transcription.cancel()
    cancelled.set()
    thread.join(WAIT_S)
    assert [type(end) for end in ended] == [Cancelled]
    assert str(ended[0]) == f"{path}: cancelled"
    assert not psutil.pid_exists(transcription._decoding.pid)


@pytest.mark.parametrize("attempt", range(10))
def test_cancelling_while_it_waits_for_the_decoder_ends_it(attempt, tiny, tmp_path):
    path = quiet_flac(tmp_path / "night.flac", minutes=20)
    stopped = threading.Event()

    def stop(_):
        if not stopped.is_set():
            os.kill(transcription._decoding.pid, signal.SIGSTOP)  # no more blocks will come
            stopped.set()

    transcription = FileTranscription(path, tiny, on_progress=stop)
    thread, ended = in_thread(transcription)
    assert stopped.wait(WAIT_S)
    transcription.cancel()
    thread.join(WAIT_S)
    assert [type(end) for end in ended] == [Cancelled]
    assert not psutil.pid_exists(transcription._decoding.pid)


def test_cancelling_in_the_middle_of_speech_leaves_nothing_queued(tiny, tmp_path):
    heard = threading.Event()
    path = write_wav(tmp_path / "long.wav", np.tile(read(fixture("meeting").path), 6))
    transcription = FileTranscription(path, tiny, on_segments=lambda _: heard.set())
    thread, ended = in_thread(transcription)
    assert heard.wait(WAIT_S)
    transcription.cancel()
    thread.join(WAIT_S)
    assert [type(end) for end in ended] == [Cancelled]
    assert tiny.waiting == 0
    assert not psutil.pid_exists(transcription._decoding.pid)


def test_what_was_cancelled_before_it_began_never_runs(tiny):
    transcription = FileTranscription(fixture("meeting").path, tiny)
    transcription.cancel()
    with pytest.raises(Cancelled):
        transcription.run()
    assert transcription._decoding is None  # not even a decoder was started
