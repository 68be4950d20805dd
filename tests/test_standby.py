"""Recordings and files whose engine stops: the cloud hears for the box, and only then."""

import threading
import time
from types import SimpleNamespace

import pytest
from fake_deepgram import fake_deepgram
from speech_fixtures import SPEECH, fixture, words_of, words_wrong
from sqlmodel import select
from stoppable import Stoppable
from virtual_microphone import wait_until

from appliance import standby as module
from appliance.audio_folder import AudioFolder
from appliance.data_folder import DataFolder
from appliance.finishing import warning_of
from appliance.hearing import Hearing
from appliance.plans import BUILT_IN as PLANS
from appliance.prices import BUILT_IN as PRICES
from appliance.standby import Standby, StandbyOptions
from appliance.store import accounts, jobs, recordings, sessions, usage
from appliance.store.entities import (
    Account,
    Job,
    JobState,
    Recording,
    SessionRow,
    Source,
    UsageEvent,
)
from appliance.uploads import Uploads
from engine import failover
from engine.audio import SAMPLE_RATE, read
from engine.cloud import Cloud
from engine.errors import ModelUnavailable
from engine.failover import Mode
from engine.journal import PCM
from engine.whisper import Request
from engine.worker import Priority, Worker

WAIT_S = 60
BOX, CLOUD = "whisper-tiny.en", "deepgram-nova-3"
KEY = "the-key-nobody-may-see"


@pytest.fixture
def cloud(tiny):
    """Run a cloud that really hears."""

    def hear(samples, language):
        heard = tiny.submit(samples, Request(language or "en"), Priority.SHORT).result(WAIT_S)
        words = [word for segment in heard.segments for word in segment.words]
        return [
            {"word": words_of(w.text)[0] if words_of(w.text) else w.text, "punctuated_word": w.text}
            | {"start": w.start_ms / 1000, "end": w.end_ms / 1000, "confidence": w.probability}
            for w in words
        ], heard.language

    with fake_deepgram() as fake:
        fake.hear = hear
        yield fake


@pytest.fixture
def whisper(tiny):
    """Return an engine that can be stopped."""
    stoppable = Stoppable(tiny)
    yield stoppable
    stoppable.recover()


@pytest.fixture
def worker(whisper):
    running = Worker(lambda: whisper).start()
    running.model(WAIT_S)
    yield running
    whisper.recover()
    running.stop()


@pytest.fixture
def standing_by(database, cloud):
    """Return what makes a standby, and ends it after the test."""
    made = []

    def make(worker, mode=Mode.WHEN_DOWN, lag_seconds=20.0, url=cloud.url, key=KEY):
        reached = Cloud(url, key) if key else None
        options = StandbyOptions(mode, lag_seconds, reached, PLANS, PRICES)
        made.append(Standby(database, worker, options).start())
        return made[-1]

    yield make
    for one in made:
        one.stop()
        assert not one._thread.is_alive()


class Recorded:
    """A take whose sound comes piece by piece."""

    def __init__(self, database, worker, standby, account, folder, language=None):
        self.database, self.folder, self.sessions = database, folder, sessions
        folder.mkdir(exist_ok=True)
        (folder / PCM).touch()
        with database.write() as session:
            hidden = sessions.open_one(session, account, Source.MICROPHONE)
            row = recordings.add(
                session, account, hidden.id, device="d", profile="meeting", language=language
            )
        self.number, self.session_id = row.id, row.session_id
        self.begin(worker, standby)

    def begin(self, worker, standby):
        """Hear on from where it is, as after a start."""
        with self.database.read() as session:
            row = session.get_one(Recording, self.number)
        self.lane = standby.lane(row.account_id, f"recording {row.id}", patient=True)
        self.hearing = Hearing(self.database, worker, self.folder, row, self.lane)

    def capture(self, samples):
        with (self.folder / PCM).open("ab") as file:
            file.write(samples.tobytes())

    def step(self):
        heard_all = self.hearing.listen()
        self.hearing.collect()
        return heard_all

    def until(self, holds, what):
        def look():
            self.step()
            return holds()

        wait_until(look, what, WAIT_S)

    def end(self):
        """Hear to the end; return the segments."""

        def over():
            if self.step():
                self.hearing.flush()
            return self.hearing.done

        wait_until(over, "end of the take", WAIT_S)
        if self.lane is not None:
            self.lane.close()
        return self.segments

    @property
    def segments(self):
        with self.database.read() as session:
            return sessions.segments(session, self.session_id)

    @property
    def row(self):
        with self.database.read() as session:
            return session.get_one(Recording, self.number)


@pytest.fixture
def recorded(database, account, tmp_path):
    """Return what makes a take."""
    return lambda worker, standby, **more: Recorded(
        database, worker, standby, account, tmp_path / "take", **more
    )


def ledger(database):
    with database.read() as session:
        kind = UsageEvent.kind == usage.FAILOVER
        return list(session.exec(select(UsageEvent).where(kind).order_by(UsageEvent.id)))


def assert_complete(segments, speech=None, wrong=1):
    """The text is whole, in order, and no window was heard twice or left out."""
    speech = speech or fixture("meeting")
    text = " ".join(segment.text for segment in segments)
    assert words_wrong(speech.text, text) <= wrong, text
    starts = [word.start_ms for segment in segments for word in segment.words]
    assert starts == sorted(starts)
    assert all(segment.suppressed is None for segment in segments)


def windows(cloud, samples):
    """Return where the windows that the cloud got lie in the sound, in samples."""
    found = []
    for sent in cloud.sent:
        whole, part = samples.tobytes(), sent.samples.tobytes()
        at = whole.find(part)
        assert at >= 0 and at % 2 == 0
        found.append((at // 2, at // 2 + len(sent.samples)))
    return found


MEETING = fixture("meeting")
HALF = 86 * SAMPLE_RATE // 10  # the first of three utterances has ended


def labels(segments):
    """Return engine and reason of the segments, repetitions left out."""
    found = [(segment.engine, segment.engine_reason) for segment in segments]
    return [one for i, one in enumerate(found) if not i or one != found[i - 1]]


def test_an_engine_that_stops_amid_a_recording_is_stood_in_for_until_it_is_back(
    database, cloud, whisper, worker, standing_by, recorded, account, monkeypatch
):
    samples, standby = read(MEETING.path), standing_by(worker)
    take = recorded(worker, standby)
    take.capture(samples[:HALF])
    take.until(lambda: take.segments, "text of the box")
    whisper.fail()
    take.capture(samples[HALF : 17 * SAMPLE_RATE])
    take.until(lambda: any(s.engine == CLOUD for s in take.segments), "text of the cloud")
    assert standby.decisions[0].to_cloud and standby.last_cause == "engineFailing"
    whisper.recover()
    monkeypatch.setattr(failover, "ENGINE_REST_S", 0)  # it has rested
    take.capture(samples[17 * SAMPLE_RATE :])
    segments = take.end()
    assert_complete(segments)
    assert labels(segments) == [(BOX, None), (CLOUD, "engineFailing"), (BOX, None)]
    heard = windows(cloud, samples)
    assert len(set(heard)) == len(heard)
    lines = ledger(database)
    assert [line.audio_ms for line in lines] == [(b - a) // 16 for a, b in heard]
    assert {(line.engine, line.reference) for line in lines} == {(CLOUD, str(take.session_id))}
    assert take.row.cloud_ms == sum(line.audio_ms for line in lines)
    assert [line.cost_micros for line in lines] == [
        PRICES.cost_micros("nova-3", line.audio_ms) for line in lines
    ]
    assert "engineFailing" in warning_of([], segments)


def test_an_engine_that_hangs_amid_a_recording_is_left_to_hang_and_its_late_words_are_dropped(
    database, cloud, whisper, worker, standing_by, recorded
):
    samples, standby = read(MEETING.path), standing_by(worker, lag_seconds=1)
    take = recorded(worker, standby)
    take.capture(samples[:HALF])
    take.until(lambda: take.segments, "text of the box")
    whisper.hang()
    take.capture(samples[HALF:])
    take.until(lambda: any(s.engine == CLOUD for s in take.segments), "text of the cloud")
    segments = take.end()
    assert whisper.stuck.is_set()
    assert_complete(segments)
    assert labels(segments)[-1] == (CLOUD, "engineFailing")
    whisper.recover()
    wait_until(lambda: worker.busy_s == 0, "end of the window")
    assert take.segments == segments
    assert len(ledger(database)) == len(cloud.sent)


def test_with_the_cloud_down_too_the_text_comes_when_the_engine_is_back(
    cloud, whisper, worker, standing_by, recorded, monkeypatch
):
    monkeypatch.setattr(failover, "ENGINE_REST_S", 0.5)
    samples, standby = read(MEETING.path), standing_by(worker)
    take = recorded(worker, standby)
    cloud.behave = "503"
    whisper.fail()
    take.capture(samples)
    take.until(lambda: cloud.sent and standby.tally.now().hindered["cloudUnreachable"], "a failure")
    assert standby.decisions[0].reason == "cloudUnreachable"
    assert take.segments == []
    whisper.recover()
    segments = take.end()
    assert_complete(segments)
    assert labels(segments) == [(BOX, None)]


def test_when_the_cloud_is_back_before_the_engine_it_is_the_cloud_that_hears(
    cloud, whisper, worker, standing_by, recorded, monkeypatch
):
    monkeypatch.setattr("appliance.cloud_ear.next_rest_s", lambda _: 0.3)
    samples, standby = read(MEETING.path), standing_by(worker)
    cloud.behave = "500 429 closed garbage 200"
    whisper.fail()
    take = recorded(worker, standby)
    take.capture(samples)
    segments = take.end()
    assert_complete(segments)
    assert labels(segments) == [(CLOUD, "engineFailing")]


def reach_limit(database, account, kind="hobby"):
    with database.write() as session:
        session.get_one(Account, account).plan = kind
        usage.add(session, account, usage.DICTATION, words=1000)


@pytest.mark.parametrize("mode", [Mode.WHEN_BEHIND, Mode.WHEN_DOWN])
def test_beyond_a_limit_everything_stays_on_the_box_and_that_is_told(
    database, cloud, whisper, worker, standing_by, recorded, account, caplog, mode
):
    reach_limit(database, account)
    standby = standing_by(worker, mode, lag_seconds=1)
    take = recorded(worker, standby)
    whisper.hang()
    take.capture(read(MEETING.path))
    take.until(lambda: standby.decisions, "need")
    wait_until(lambda: standby.decisions[0].reason == "dailyLimit", "a limit")
    assert not standby.decisions[0].to_cloud
    whisper.recover()
    segments = take.end()
    assert_complete(segments)
    assert labels(segments) == [(BOX, None)] and cloud.requests == []
    assert caplog.text.count("stays on the box (dailyLimit)") == 1
    assert ledger(database) == []


def test_with_never_nothing_leaves_the_box(database, cloud, whisper, worker, standing_by, recorded):
    standby = standing_by(worker, Mode.NEVER, lag_seconds=1)
    take = recorded(worker, standby)
    whisper.hang()
    take.capture(read(MEETING.path))
    take.until(whisper.stuck.is_set, "stuck engine")
    wait_until(lambda: worker.busy_s > 1.5, "time")
    take.step()
    whisper.recover()
    segments = take.end()
    assert_complete(segments)
    assert cloud.requests == [] and ledger(database) == []


def test_a_box_that_is_behind_is_helped_until_it_has_caught_up(
    cloud, whisper, worker, standing_by, recorded
):
    samples, standby = read(MEETING.path), standing_by(worker, Mode.WHEN_BEHIND, lag_seconds=6)
    take = recorded(worker, standby)
    take.capture(samples[:HALF])
    take.until(lambda: take.segments, "text of the box")
    whisper.hang()
    take.capture(samples[HALF:])  # 19 s at once: more than the limit behind the first utterance
    take.until(lambda: cloud.sent, "a request")
    assert standby.last_cause == "behind"
    whisper.recover()
    take.until(lambda: take.hearing._lag_s() < 1.5, "caught up")
    wait_until(lambda: standby.decisions == [], "the box")
    take.capture(samples)
    twice = SimpleNamespace(text=f"{MEETING.text} {MEETING.text}")
    segments = take.end()
    assert_complete(segments, twice, wrong=3)
    found = labels(segments)
    assert (CLOUD, "behind") in found and found[0] == (BOX, None)


def test_without_a_model_the_cloud_hears_and_finds_the_language(
    database, cloud, standing_by, recorded
):
    def broken():
        raise ModelUnavailable("no such model")

    worker = Worker(broken).start()
    with pytest.raises(ModelUnavailable):
        worker.model(WAIT_S)
    take = recorded(worker, standing_by(worker))
    take.capture(read(MEETING.path))
    segments = take.end()
    assert_complete(segments)
    assert labels(segments) == [(CLOUD, "modelMissing")]
    assert take.row.language == "en"
    assert cloud.sent[0].query["detect_language"] == ["true"]
    assert cloud.sent[-1].query["language"] == ["en"]


def test_without_a_key_nothing_is_sent_and_a_start_says_so(
    cloud, whisper, worker, standing_by, recorded, caplog
):
    standby = standing_by(worker, Mode.WHEN_DOWN, key=None)
    assert "there is no key" in caplog.text
    take = recorded(worker, standby)
    whisper.fail()
    take.capture(read(fixture("dictation").path))
    segments = take.end()
    assert [segment.suppressed for segment in segments] == ["engine error"]  # as without a cloud
    assert standby.tally.now().hindered["noCloudKey"] >= 1 and cloud.requests == []


def test_three_requests_are_out_at_most(cloud, whisper, worker, standing_by, database, account):
    standby = standing_by(worker)
    out, most, lock, three = [0], [0], threading.Lock(), threading.Event()

    def counting(samples, language):
        with lock:
            out[0] += 1
            most[0] = max(most[0], out[0])
        if out[0] == 3:
            three.set()
        assert three.wait(WAIT_S)
        with lock:
            out[0] -= 1
        return cloud.say(samples, language)

    cloud.hear = counting
    whisper.fail()
    with standby.lane(account, "job 1", patient=False) as lane:
        part = read(fixture("dictation").path)
        tickets = [lane.submit(part, Request("en"), Priority.LONG) for _ in range(7)]
        assert all(ticket.result(WAIT_S).segments for ticket in tickets)
    assert most[0] == 3 and len(ledger(database)) == len(cloud.sent) == 7


def test_a_stop_gives_up_what_is_asked_at_once(cloud, whisper, worker, standing_by, account):
    standby = standing_by(worker)
    cloud.behave = "nothing"
    whisper.fail()
    lane = standby.lane(account, "job 1", patient=False)
    ticket = lane.submit(read(fixture("dictation").path), Request("en"), Priority.LONG)
    wait_until(lambda: cloud.sent, "a request")
    began = time.monotonic()
    standby.stop()
    assert time.monotonic() - began < 5 and not standby._thread.is_alive()
    with pytest.raises(module.Cancelled):
        ticket.result(0)
    with pytest.raises(module.Cancelled):
        lane.submit(read(fixture("dictation").path), Request("en"), Priority.LONG)


def test_what_was_given_up_is_not_sent(cloud, whisper, worker, standing_by, account, database):
    standby = standing_by(worker)
    cloud.behave = "nothing"
    whisper.fail()
    with standby.lane(account, "job 1", patient=False) as lane:
        part = read(fixture("dictation").path)
        tickets = [lane.submit(part, Request("en"), Priority.LONG) for _ in range(5)]
        wait_until(lambda: len(cloud.sent) == 3, "requests")
        for ticket in tickets:
            ticket.cancel()
        wait_until(lambda: standby._cloud.free, "room")
        cloud.behave = "200"
        last = lane.submit(part, Request("en"), Priority.LONG)
        assert last.result(WAIT_S).segments
    assert len(cloud.sent) == 4 and len(ledger(database)) == 1


# files


@pytest.fixture
def uploads(database, tmp_path):
    """Return what makes uploads."""
    folder, made = DataFolder(tmp_path).make(), []

    def make(worker, standby):
        made.append(Uploads(database, AudioFolder(folder.audio), worker, None, standby).start())
        return made[-1]

    yield make
    for one in made:
        one.stop()


def ended(database, job_id):
    def over():
        with database.read() as session:
            return session.get_one(Job, job_id).state not in jobs.OPEN

    wait_until(over, f"end of job {job_id}", WAIT_S)
    with database.read() as session:
        job = session.get_one(Job, job_id)
        row = session.get_one(SessionRow, job.session_id)
        return job, row, sessions.segments(session, row.id)


def test_a_file_whose_engine_hangs_is_heard_by_the_cloud(
    database, cloud, whisper, worker, standing_by, uploads, account
):
    whisper.hang()
    running = uploads(worker, standing_by(worker, lag_seconds=1))
    job, row, segments = ended(database, running.add_copy(MEETING.path, account, language="en"))
    assert job.state is JobState.DONE
    assert_complete(segments)
    assert labels(segments) == [(CLOUD, "engineFailing")]
    assert row.engine == CLOUD and "engineFailing" in row.warning
    assert [line.reference for line in ledger(database)] == [str(row.id)] * len(cloud.sent)


def test_a_file_that_waits_for_too_long_is_heard_by_the_cloud_unless_it_must_be_down(
    database, cloud, whisper, worker, standing_by, uploads, account
):
    whisper.hang()
    other = worker.submit(read(fixture("dictation").path), Request("en"), Priority.LIVE)
    assert whisper.stuck.wait(WAIT_S)
    standby = standing_by(worker, Mode.WHEN_BEHIND, lag_seconds=60)
    standby.options = module.replace(standby.options, lag_seconds=1e9)
    running = uploads(worker, standby)
    job_id = running.add_copy(MEETING.path, account, language="en")
    wait_until(lambda: worker.waiting, "a window")
    lane = next(iter(standby._lanes))
    lane.lag_s = lambda: 2e9  # so long it has waited
    _, _, segments = ended(database, job_id)
    assert_complete(segments)
    assert labels(segments) == [(CLOUD, "behind")]
    whisper.recover()
    assert other.result(WAIT_S).segments


def test_files_of_a_box_without_a_model_are_heard_by_the_cloud_within_limits(
    database, cloud, standing_by, uploads, account
):
    def broken():
        raise ModelUnavailable("no such model")

    worker = Worker(broken).start()
    with pytest.raises(ModelUnavailable):
        worker.model(WAIT_S)
    with database.write() as session:
        other = accounts.create(session, "bob").id
    reach_limit(database, account)
    running = uploads(worker, standing_by(worker))
    waiting = running.add_copy(MEETING.path, account)
    job, row, segments = ended(database, running.add_copy(MEETING.path, other))
    assert job.state is JobState.DONE and row.language == "en"
    assert_complete(segments)
    assert labels(segments) == [(CLOUD, "modelMissing")]
    with database.read() as session:
        assert session.get_one(Job, waiting).state is JobState.QUEUED


def test_a_file_that_can_not_be_read_fails_without_a_model_too(
    database, cloud, standing_by, uploads, account, tmp_path
):
    def broken():
        raise ModelUnavailable("no such model")

    worker = Worker(broken).start()
    (tmp_path / "note.mp3").write_text("just text")
    running = uploads(worker, standing_by(worker))
    job, _, _ = ended(database, running.add_copy(tmp_path / "note.mp3", account))
    assert job.state is JobState.FAILED and "not an audio file" in job.error


def test_with_the_cloud_ready_and_the_engine_well_nothing_is_sent(
    database, cloud, worker, standing_by, uploads, account
):
    running = uploads(worker, standing_by(worker, Mode.WHEN_BEHIND))
    _, row, segments = ended(
        database, running.add_copy(SPEECH / "dictation.flac", account, language="en")
    )
    assert labels(segments) == [(BOX, None)] and row.warning is None
    assert cloud.requests == [] and ledger(database) == []


def test_a_batch_that_fails_is_one_failure_of_the_engine(
    cloud, whisper, worker, standing_by, account
):
    standby, sound = standing_by(worker), read(fixture("dictation").path)
    failed = threading.Event()
    every = whisper.transcribe_all

    def failing_once(windows, request):
        if not failed.is_set():
            failed.set()
            raise RuntimeError("out of memory")
        return every(windows, request)

    whisper.transcribe_all = failing_once
    whisper.hang()
    with standby.lane(account, "job 1", patient=False) as lane:
        first = lane.submit(sound, Request("en", word_times=False), Priority.LONG)
        assert whisper.stuck.wait(WAIT_S)
        tickets = [lane.submit(sound, Request("en"), Priority.LONG) for _ in range(4)]
        wait_until(lambda: worker.waiting == len(tickets), "a batch")
        whisper.recover()
        heard = [ticket.result(WAIT_S) for ticket in (first, *tickets)]
    assert failed.is_set() and cloud.requests == []
    assert {segment.engine for each in heard for segment in each.segments} == {BOX}


def test_a_take_that_is_given_up_sends_nothing_any_more(
    cloud, whisper, worker, standing_by, account, database, monkeypatch
):
    monkeypatch.setattr(failover, "CLOUD_REST_S", 0.1)
    monkeypatch.setattr(failover, "LONGEST_REST_S", 0.1)
    whisper.fail()
    cloud.behave = "503"
    standby, sound = standing_by(worker), read(fixture("dictation").path)
    lane = standby.lane(account, "recording 1", patient=True)
    tickets = [lane.submit(sound, Request("en"), Priority.LIVE) for _ in range(4)]
    wait_until(lambda: cloud.requests, "a request")
    lane.close()
    assert all(ticket.done for ticket in tickets)
    wait_until(lambda: not standby._open, "nothing to be open")
    cloud.behave = "200"
    before = len(cloud.sent)
    with standby.lane(account, "recording 2", patient=True) as other:
        other.submit(sound, Request("en"), Priority.LIVE).result(WAIT_S)
    assert len(cloud.sent) == before + 1  # that of the other one
    assert len(ledger(database)) == 1


def test_an_answer_that_comes_second_is_charged_though_nobody_waits_for_it(
    cloud, whisper, worker, standing_by, account, database
):
    asked, answered, hear = threading.Event(), threading.Event(), cloud.hear

    def hearing_late(samples, language):
        asked.set()
        assert answered.wait(WAIT_S)
        return hear(samples, language)

    cloud.hear = hearing_late
    whisper.hang()
    standby, sound = standing_by(worker, lag_seconds=0.5), read(fixture("dictation").path)
    lane = standby.lane(account, "job 1", patient=False)
    ticket = lane.submit(sound, Request("en"), Priority.LONG)
    assert asked.wait(WAIT_S)
    whisper.recover()
    assert ticket.result(WAIT_S).segments[0].engine == BOX
    lane.close()
    assert ledger(database) == []
    answered.set()
    wait_until(lambda: len(ledger(database)) == 1, "a line of the ledger")
