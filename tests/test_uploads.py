"""A file becomes exactly one session, whatever happens on the way."""

import shutil
import threading
from datetime import timedelta

import pytest
from speech_fixtures import SPEECH, fixture, hiss, words_wrong, write_wav
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from appliance.audio_folder import AudioFolder
from appliance.data_folder import DataFolder
from appliance.store import jobs, sessions
from appliance.store.database import Database
from appliance.store.entities import Job, JobState, SessionRow, SessionState
from appliance.uploads import Uploads
from engine.errors import ModelUnavailable
from engine.transcription import FileTranscription
from engine.worker import Worker

WAIT_S = 120


@pytest.fixture
def folder(tmp_path):
    """Return a data folder whose database is the one of the `database` fixture."""
    return DataFolder(tmp_path).make()


@pytest.fixture
def uploads(database, folder, tiny):
    """Run the jobs with a real engine."""
    running = Uploads(database, AudioFolder(folder.audio), tiny).start()
    yield running
    running.stop()


def ended(database, job_id):
    """Wait for the end of a job and return it with its session."""
    over = threading.Event()

    def listen(event):
        if event.values.get("job_id") == job_id and event.values["state"] not in (
            "queued",
            "running",
        ):
            over.set()

    unsubscribe = database.bus.subscribe(listen)
    with database.read() as session:
        if session.get_one(Job, job_id).state not in jobs.OPEN:
            over.set()
    assert over.wait(WAIT_S), f"job {job_id} did not end in {WAIT_S} s"
    unsubscribe()
    with database.read() as session:
        job = session.get_one(Job, job_id)
        return job, session.get_one(SessionRow, job.session_id)


def test_a_file_becomes_a_session_with_its_text_its_times_and_its_audio(
    database, folder, uploads, account
):
    speech = fixture("meeting")
    job, row = ended(database, uploads.add_copy(speech.path, account, language="en"))
    assert (job.state, job.progress, row.state) == (JobState.DONE, 1.0, SessionState.DONE)
    assert words_wrong(speech.text, row.original_transcript) <= 1
    assert (
        row.title.replace(",", "") == "Good morning everyone and thank you for joining the weekly…"
    )
    assert "\n\n" in row.note  # the pause of 2.5 s
    assert (folder.path / row.audio_path).read_bytes() == speech.path.read_bytes()
    with database.read() as session:
        segments = sessions.segments(session, row.id)
    assert " ".join(s.text for s in segments) == row.original_transcript
    assert row.captured_seconds == pytest.approx(speech.seconds, abs=0.1)
    assert not list(folder.audio.glob("*.part"))


def test_a_file_without_speech_is_a_session_with_an_empty_note(
    database, uploads, account, tmp_path
):
    path = write_wav(tmp_path / "hiss.wav", hiss(5))
    job, row = ended(database, uploads.add_copy(path, account, language="en"))
    assert (job.state, row.note, row.language) == (JobState.DONE, "", None)


def test_what_is_no_audio_fails_with_a_reason_and_is_not_listed(
    database, uploads, account, tmp_path
):
    (tmp_path / "note.mp3").write_text("just text")
    job, row = ended(database, uploads.add_copy(tmp_path / "note.mp3", account))
    assert (job.state, row.state) == (JobState.FAILED, SessionState.FAILED)
    assert "not an audio file" in job.error
    assert str(tmp_path) not in job.error


def test_a_job_that_fails_does_not_hold_up_the_next(database, uploads, account, tmp_path):
    (tmp_path / "note.mp3").write_text("just text")
    uploads.add_copy(tmp_path / "note.mp3", account)
    job, _ = ended(database, uploads.add_copy(SPEECH / "dictation.flac", account))
    assert job.state is JobState.DONE


def test_a_running_job_is_cancelled_within_a_decode(database, uploads, account, tmp_path):
    running = threading.Event()
    database.bus.subscribe(lambda e: e.values.get("state") == "running" and running.set())
    job_id = uploads.add_copy(SPEECH / "meeting.flac", account)
    assert running.wait(WAIT_S)
    uploads.cancel(account, job_id)
    job, row = ended(database, job_id)
    assert (job.state, row.state) == (JobState.CANCELLED, SessionState.FAILED)
    next_job, _ = ended(database, uploads.add_copy(SPEECH / "dictation.flac", account))
    assert next_job.state is JobState.DONE
    with database.read() as session:
        assert sessions.segments(session, row.id) == []


def test_a_job_cut_off_in_the_middle_becomes_one_session_after_the_next_start(
    tmp_path, folder, database, account, tiny
):
    """The rows are those a killed process leaves: running, with half of the segments."""
    with database.write() as session:
        shutil.copy(SPEECH / "dictation.flac", folder.audio / "x.flac")
    first = Uploads(database, AudioFolder(folder.audio), tiny)
    job_id = first.add_copy(SPEECH / "dictation.flac", account, language="en")
    with database.write() as session:
        assert jobs.take(session).id == job_id
    with database.write() as session:
        assert jobs.requeue_running(session) == 1
    second = Uploads(database, AudioFolder(folder.audio), tiny).start()
    job, row = ended(database, job_id)
    second.stop()
    assert job.state is JobState.DONE
    assert words_wrong(fixture("dictation").text, row.original_transcript) <= 1
    with database.read() as session:
        assert len(session.exec(select(SessionRow)).all()) == 1


def test_stopping_leaves_the_job_at_hand_for_the_next_start(database, folder, account, tiny):
    uploads = Uploads(database, AudioFolder(folder.audio), tiny).start()
    running = threading.Event()
    database.bus.subscribe(lambda e: e.values.get("state") == "running" and running.set())
    job_id = uploads.add_copy(SPEECH / "meeting.flac", account)
    assert running.wait(WAIT_S)
    uploads.stop()
    with database.read() as session:
        assert session.get_one(Job, job_id).state in (JobState.RUNNING, JobState.DONE)


def test_events_of_a_job_say_how_it_goes(database, uploads, account):
    states = []
    database.bus.subscribe(lambda e: states.append(e.values.get("state")))
    ended(database, uploads.add_copy(SPEECH / "dictation.flac", account))
    assert [s for s in dict.fromkeys(states) if s] == ["queued", "running", "done"]


def test_the_database_of_another_process_sees_the_session(database, uploads, account):
    ended(database, uploads.add_copy(SPEECH / "dictation.flac", account))
    other = Database(database.path)
    with other.read() as session:
        rows, total = sessions.page(session, account, 0, 20)
    other.close()
    assert total == 1 and rows[0].finished_at - rows[0].created_at < timedelta(minutes=2)


def test_a_database_that_is_locked_for_long_stops_neither_the_queue_nor_the_box(
    database, folder, account, tiny, monkeypatch
):
    monkeypatch.setattr("appliance.transcriber.RETRY_S", 0.1)
    stumbled = threading.Event()
    take = jobs.take

    def locked(session):
        if not stumbled.is_set():
            stumbled.set()
            raise OperationalError("take", {}, Exception("database is locked"))
        return take(session)

    monkeypatch.setattr(jobs, "take", locked)
    uploads = Uploads(database, AudioFolder(folder.audio), tiny)
    job_id = uploads.add_copy(SPEECH / "dictation.flac", account)
    uploads.start()
    job, _ = ended(database, job_id)
    assert stumbled.is_set() and uploads.alive and job.state is JobState.DONE
    uploads.stop()


def test_without_a_model_jobs_wait_for_a_better_start(database, folder, account, tiny):
    def broken():
        raise ModelUnavailable("no such model")

    worker = Worker(broken).start()
    with pytest.raises(ModelUnavailable):
        worker.model(WAIT_S)
    first = Uploads(database, AudioFolder(folder.audio), worker).start()
    job_id = first.add_copy(SPEECH / "dictation.flac", account)
    first.stop()
    with database.read() as session:
        assert session.get_one(Job, job_id).state is JobState.QUEUED
    second = Uploads(database, AudioFolder(folder.audio), tiny).start()
    assert ended(database, job_id)[0].state is JobState.DONE
    second.stop()


def test_what_a_crash_left_half_received_is_swept_out(database, folder, tiny):
    (folder.audio / "x.flac.part").write_bytes(b"half")
    Uploads(database, AudioFolder(folder.audio), tiny).start().stop()
    assert list(folder.audio.iterdir()) == []


def test_a_job_that_breaks_each_time_fails_and_does_not_hold_up_the_next(
    database, folder, account, tiny, monkeypatch
):
    run = FileTranscription.run

    def broken(self):
        if self.path.read_bytes() == b"x":
            raise ValueError("nobody foresaw this")
        return run(self)

    monkeypatch.setattr(FileTranscription, "run", broken)
    (folder.path / "x.poison").write_bytes(b"x")
    uploads = Uploads(database, AudioFolder(folder.audio), tiny).start()
    poisoned = uploads.add_copy(folder.path / "x.poison", account)
    healthy = uploads.add_copy(SPEECH / "dictation.flac", account)
    assert ended(database, healthy)[0].state is JobState.DONE
    job, row = ended(database, poisoned)
    uploads.stop()
    assert (job.state, row.state) == (JobState.FAILED, SessionState.FAILED)
    assert "internal error" in job.error and "foresaw" not in job.error
