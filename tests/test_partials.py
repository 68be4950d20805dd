"""What is being said is shown while it is said, and what was shown as stable stays."""

import json
import re
import threading
import time

import numpy as np
import pytest
from event_source import listening
from recording_box import RecordingBox
from speech_fixtures import fixture, words_of, words_wrong
from virtual_microphone import VirtualMicrophone, missing

from appliance import hearing, partials
from appliance.hearing import Hearing
from appliance.partials import Line, Partials, belonging
from appliance.store import accounts, recordings, sessions
from appliance.store.database import Database
from appliance.store.entities import Recording, Source
from engine.audio import SAMPLE_RATE, read
from engine.errors import Cancelled, EngineError
from engine.journal import PCM
from engine.segmenter import Segmenter, Utterance
from engine.transcript import Segment, Word
from engine.whisper import Heard, Request
from engine.worker import Priority, Ticket, Worker

WAIT_S = 60
STEP = SAMPLE_RATE // 10
QUIET = np.zeros(2 * SAMPLE_RATE, np.int16)


class Engine:
    """A worker, and what it was asked for."""

    def __init__(self, worker):
        self._worker = worker
        self.asked = []

    def __getattr__(self, name):
        return getattr(self._worker, name)

    def submit(self, samples, request, priority):
        if priority is Priority.PARTIAL:
            due = [one for one in self.of(Priority.LIVE) if not one.done]
            assert due == [], "a partial while text is due"
        ticket = self._worker.submit(samples, request, priority)
        self.asked.append(ticket)
        return ticket

    def of(self, priority):
        return [ticket for ticket in self.asked if ticket.priority is priority]

    def wait(self):
        """Wait until it has done all it was asked for."""
        for ticket in self.asked:
            done = threading.Event()
            ticket.when_done(done.set)
            assert done.wait(WAIT_S)


class Whisper:
    """Stand in for Whisper: hear a word every half second, in any of its languages."""

    languages = ("en",)

    def __init__(self):
        self.quick = 0

    def transcribe(self, samples, request):
        self.quick += request.quick
        words = tuple(Word(f"w{at}", at, at + 400, 0.9) for at in range(0, ms(samples) - 400, 500))
        if not words:
            return Heard((), "en")
        text = " ".join(word.text for word in words)
        return Heard((Segment(0, words[-1].end_ms, text, words, "whisper-test", 0.9),), "en")


class Watched:
    """A take that is heard, with somebody who looks at it."""

    def __init__(self, database, engine, folder, number):
        self.database, self.engine, self.folder, self.number = database, engine, folder, number
        self.events = []  # (kind, content) in the order in which they were told
        with database.read() as session:
            row = session.get_one(Recording, number)
        self.hearing = Hearing(database, engine, folder, row)
        self.hearing.on_line = self._note_line
        self._unsubscribe = database.bus.subscribe(self._note)

    def _note_line(self, line, after):
        self.events.append(("partial", line))

    def _note(self, event):
        if event.name == recordings.EVENT:
            with self.database.read() as session:
                (row,) = recordings.events_after(
                    session, self.number, event.values["sequence"] - 1, 1
                )
            self.events.append((row.kind, row.payload))

    def step(self):
        heard_all = self.hearing.listen()
        self.hearing.collect()
        if heard_all:
            self.hearing.show()

    def hear(self, samples):
        """Hear samples as they would come, with an engine that is always in time."""
        for start in range(0, len(samples), STEP):
            with (self.folder / PCM).open("ab") as file:
                file.write(samples[start : start + STEP].tobytes())
            self.step()
            self.engine.wait()

    def end(self):
        """Hear to the end; return the segments."""
        deadline = time.monotonic() + WAIT_S
        while not self.hearing.done:
            assert time.monotonic() < deadline
            if self.hearing.listen():
                self.hearing.flush()
            self.engine.wait()
            self.hearing.collect()
        self._unsubscribe()
        with self.database.read() as session:
            number = session.get_one(Recording, self.number).session_id
            return sessions.segments(session, number)

    @property
    def lines(self):
        return [content for kind, content in self.events if kind == "partial"]

    @property
    def kinds(self):
        return [kind for kind, _ in self.events]


def ms(samples):
    return len(samples) * 1000 // SAMPLE_RATE


def recording(database, account, language="en"):
    with database.write() as session:
        hidden = sessions.open_one(session, account, Source.MICROPHONE)
        return recordings.add(
            session, account, hidden.id, device="d", profile="meeting", language=language
        ).id


def check_that_stable_stays(events):
    """Raise if a word that was shown as stable is gone from what is shown and committed."""
    shown, committed = [], []
    for kind, content in events:
        if kind == "partial":
            known = committed + words_of(content.stable)
            assert known[: len(shown)] == shown
            shown = known
        elif kind == recordings.SEGMENT and "reason" not in content:
            committed += words_of(content["text"])
            assert committed[: len(shown)] == shown[: len(committed)]
    return committed


@pytest.fixture(autouse=True)
def lively(monkeypatch):
    """Let a busy machine show as many partials as another."""
    monkeypatch.setattr(partials, "REST", 0)


@pytest.fixture(scope="module")
def speech():
    """Return someone speaking, for 20 s and then not."""
    return np.concatenate([read(fixture("meeting").path)[: 20 * SAMPLE_RATE], QUIET])


@pytest.fixture
def engine():
    """Run the stand-in."""
    whisper = Whisper()
    worker = Worker(lambda: whisper).start()
    worker.model(WAIT_S)
    engine = Engine(worker)
    engine.whisper = whisper
    yield engine
    worker.stop()


@pytest.fixture
def watched(database, account, engine, tmp_path):
    folder = tmp_path / "take"
    folder.mkdir()
    return Watched(database, engine, folder, recording(database, account))


@pytest.fixture(scope="module")
def heard(tiny, speech, tmp_path_factory):
    """Hear 20 s with real weights, once; return what was told and the segments."""
    folder = tmp_path_factory.mktemp("heard")
    database = Database(folder / "scribebox.db")
    with database.write() as session:
        account = accounts.create(session, "alice").id
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partials, "REST", 0)
        watched = Watched(database, Engine(tiny), folder, recording(database, account))
        watched.hear(speech)
        segments = watched.end()
    yield watched, segments
    database.close()


def test_what_is_said_is_shown_before_it_is_committed(heard):
    watched, segments = heard
    kinds = [kind for kind in watched.kinds if kind != "state"]
    assert kinds[0] == "partial" and recordings.SEGMENT in kinds
    assert any(line.stable for line in watched.lines)
    assert any(line.tentative for line in watched.lines)
    spoken = " ".join(u.text for u in fixture("meeting").utterances if u.end_ms <= 20_000)
    text = " ".join(segment.text for segment in segments)
    assert words_wrong(spoken, text) <= 0.25 * len(words_of(spoken))


def test_what_was_shown_as_stable_is_never_taken_back(heard):
    watched, segments = heard
    committed = check_that_stable_stays(watched.events)
    assert committed == words_of(" ".join(segment.text for segment in segments))


def test_the_line_is_cleared_once_the_text_is_there(heard):
    watched, _ = heard
    kinds, events = watched.kinds, watched.events
    last = [i for i, kind in enumerate(kinds[:-1]) if kind != "partial" == kinds[i + 1]]
    assert events[-1][0] == "partial" and last
    cleared = [events[i + 1][1] for i in last if kinds[i] == recordings.SEGMENT]
    assert {(line.stable, line.tentative) for line in cleared} == {("", "")}


def test_nothing_of_it_is_stored(heard):
    watched, _ = heard
    with watched.database.read() as session:
        told = recordings.events_after(session, watched.number, 0)
    assert {event.kind for event in told} == {recordings.STATE, recordings.SEGMENT}


def test_a_decode_for_a_moment_costs_little(heard):
    watched, _ = heard
    asked = watched.engine.of(Priority.PARTIAL)
    assert all(ticket.request.short_window for ticket in asked)
    assert sum(ticket.request.quick for ticket in asked) > len(asked) / 2
    most = watched.lines[-1].at_seconds * 1000 / partials.EVERY_MS
    assert 0 < len(asked) <= most


def test_speech_without_a_pause_is_shown_across_its_cuts(watched, speech):
    said = fixture("meeting")
    sound = read(said.path)
    spoken = [sound[16 * u.start_ms : 16 * u.end_ms] for u in said.utterances]
    watched.hear(np.concatenate([*spoken, *spoken, QUIET]))
    segments = watched.end()
    assert len(segments) > 2
    check_that_stable_stays(watched.events)
    longest = max(len(ticket.samples) for ticket in watched.engine.of(Priority.PARTIAL))
    assert longest <= 15 * SAMPLE_RATE


def test_who_is_behind_is_shown_nothing_until_the_text_is_there(watched, speech):
    (watched.folder / PCM).write_bytes(np.concatenate([speech] * 4).tobytes())
    with (watched.folder / PCM).open("ab") as file:
        file.write(speech[: 4 * SAMPLE_RATE].tobytes())  # and in the middle of a sentence
    deadline = time.monotonic() + WAIT_S
    while not watched.lines:
        assert time.monotonic() < deadline
        watched.step()  # the engine says when a partial comes too early
        watched.engine.wait()
    ended = [content["end"] for kind, content in watched.events if kind == recordings.SEGMENT]
    assert ended and ended[-1] > 3.5 * len(speech) / SAMPLE_RATE
    watched.end()


def test_nothing_is_shown_before_the_language_is_known(database, account, engine, tmp_path, speech):
    engine.whisper.languages = ("en", "de")
    watched = Watched(database, engine, tmp_path, recording(database, account, language=None))
    watched.hear(speech)
    watched.end()
    assert watched.kinds.index("segment") < watched.kinds.index("partial")
    assert {ticket.request.language for ticket in engine.of(Priority.PARTIAL)} == {"en"}


def test_a_model_of_one_language_need_not_be_told_which(
    database, account, engine, tmp_path, speech
):
    watched = Watched(database, engine, tmp_path, recording(database, account, language=None))
    watched.hear(speech)
    watched.end()
    assert watched.kinds.index("partial") < watched.kinds.index("segment")


def test_a_partial_that_fails_changes_no_text(watched, engine, speech, monkeypatch):
    real = engine.whisper.transcribe

    def fails(samples, request):
        if request.quick:
            raise EngineError("out of memory")
        return real(samples, request)

    monkeypatch.setattr(engine.whisper, "transcribe", fails)
    watched.hear(speech)
    segments = watched.end()
    assert segments and {segment.suppressed for segment in segments} == {None}


def test_a_partial_that_waits_makes_way_for_the_text(watched, engine, speech, monkeypatch):
    go, real = threading.Event(), engine.whisper.transcribe

    def waits(samples, request):
        assert go.wait(WAIT_S)
        return real(samples, request)

    monkeypatch.setattr(engine.whisper, "transcribe", waits)
    other = engine.submit(QUIET, Request(), Priority.LONG)
    while not other.begun:
        time.sleep(0.01)
    for start in range(0, len(speech), STEP):
        with (watched.folder / PCM).open("ab") as file:
            file.write(speech[start : start + STEP].tobytes())
        watched.step()
    waited = engine.of(Priority.PARTIAL)
    assert waited and watched.lines == []
    for ticket in waited:
        with pytest.raises(Cancelled):
            ticket.result(0)
    go.set()
    segments = watched.end()
    assert segments and engine.whisper.quick == 0


def test_a_partial_that_waits_for_too_long_is_given_up_for_a_newer_one():
    tickets = []

    def listen(samples, last):
        tickets.append(Ticket(samples, Request(), Priority.PARTIAL))
        return tickets[-1]

    one, segmenter = Partials(listen, lambda line: None), Segmenter()
    for _ in range(10 * SAMPLE_RATE // 512):
        segmenter.push(np.zeros(512, np.int16), np.ones(1, np.float32))
        one.look(segmenter, "en")
    assert len(tickets) > 1
    assert [ticket.done for ticket in tickets] == [True] * (len(tickets) - 1) + [False]


def test_a_take_that_was_killed_is_heard_as_if_nothing_had_been_shown(
    database, account, engine, tmp_path, speech
):
    texts = []
    for kill_s in (None, 6, 13):
        folder = tmp_path / str(kill_s)
        folder.mkdir()
        number = recording(database, account)
        watched = Watched(database, engine, folder, number)
        killed_at = (kill_s or 0) * SAMPLE_RATE
        watched.hear(speech[:killed_at])
        if kill_s is not None:
            assert watched.lines
            watched = Watched(database, engine, folder, number)
        watched.hear(speech[killed_at:])
        segments = watched.end()
        check_that_stable_stays(watched.events)
        texts.append([(s.start_ms, s.text) for s in segments])
    assert texts[0] == texts[1] == texts[2]


def test_what_is_heard_again_clears_the_line(watched, speech, monkeypatch):
    watched.hear(speech[: 6 * SAMPLE_RATE])
    assert watched.lines[-1].stable
    with monkeypatch.context() as patch:

        def breaks(self, samples):
            raise MemoryError

        patch.setattr(hearing.Detector, "probabilities", breaks)
        with pytest.raises(MemoryError):
            watched.hear(speech[6 * SAMPLE_RATE : 7 * SAMPLE_RATE])
    assert (watched.lines[-1].stable, watched.lines[-1].tentative) == ("", "")
    watched.hear(speech[7 * SAMPLE_RATE :])
    assert watched.end()


def test_after_the_end_nothing_is_shown(watched, speech):
    watched.hear(speech[: 6 * SAMPLE_RATE])
    assert watched.lines[-1].stable
    watched.end()
    told = len(watched.events)
    assert (watched.lines[-1].stable, watched.lines[-1].tentative) == ("", "")
    watched.step()
    watched.hearing.show()
    assert len(watched.events) == told and not watched.engine._worker.waiting


@pytest.mark.long
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_what_is_said_into_a_microphone_is_shown_to_those_who_listen_and_to_no_others(tmp_path):
    spoken = fixture("dictation")

    def decoded(box):
        text = box.client.get("/metrics").raise_for_status().text
        (line,) = re.findall(r'^scribebox_engine_windows.*priority="partial".* (\S+)$', text, re.M)
        return float(line)

    with VirtualMicrophone() as plugged, RecordingBox(tmp_path / "box", plugged) as box:
        number = box.start()
        assert box.play(spoken.path).wait(WAIT_S) == 0
        box.stop(number)
        box.wait_for_state(number, "done")
        assert decoded(box) == 0
        number, key = box.start(), (box.data / "admin.key").read_text().strip()
        with listening(box.box.url, number, key) as listener:
            player = box.play(spoken.path)
            heard, deadline = [listener.next()], time.monotonic() + WAIT_S
            while heard[-1].kind != "segment":
                assert time.monotonic() < deadline
                heard.append(listener.next())
            assert player.wait(WAIT_S) == 0
            box.stop(number)
            heard += listener.rest()
        kinds = [one.kind for one in heard if one.kind != "level"]
        assert kinds[0] == "state" and kinds[1] == "partial" and kinds[-1] == "state"
        shown = [json.loads(one.data) for one in heard if one.kind == "partial"]
        assert shown[0]["stable"] + shown[0]["tentative"]
        told = [
            (one.kind, Line(*json.loads(one.data).values()))
            if one.kind == "partial"
            else (one.kind, json.loads(one.data))
            for one in heard
        ]
        assert check_that_stable_stays(told)
        assert decoded(box) > 0


def said(text, start_ms=0, each_ms=500):
    """Return words, one behind the other."""
    return [
        Word(one, start_ms + i * each_ms, start_ms + i * each_ms + 400, 0.5)
        for i, one in enumerate(text.split())
    ]


def segment(words, suppressed=None):
    text = " ".join(word.text for word in words)
    return Segment(words[0].start_ms, words[-1].end_ms, text, tuple(words), "e", 0.7, suppressed)


def utterance(seconds, start_s=0, ended_by="silence"):
    samples = np.zeros(round(seconds * SAMPLE_RATE), np.int16)
    start = start_s * SAMPLE_RATE
    return Utterance(start, samples, ended_by, start, start + len(samples))


@pytest.fixture
def showing():
    """Return partials that have shown words as stable, of an utterance from 0 on."""
    lines = []

    def shown(text):
        one = Partials(lambda samples, last: Ticket(samples, Request(), 0), lines.append)
        one._open(0)
        one._stretch.accept(said(text))
        one._carried, one._shown = said(text), True
        return one

    shown.lines = lines
    return shown


def test_segments_that_differ_in_case_and_punctuation_only_stay_as_they_are(showing):
    one, whole = showing("good morning every"), utterance(5)
    one.end(whole)
    segments = [segment(said("Good morning,")), segment(said("Every one.", 1000))]
    assert one.settle(whole, segments, "en") is segments


@pytest.mark.parametrize(
    ("final", "text"),
    [
        ("good mourning every one", "good morning every one"),
        ("morning", "good morning every"),
        ("", "good morning every"),
    ],
)
def test_a_last_decode_that_says_otherwise_goes_on_behind_the_stable_words(showing, final, text):
    one, whole = showing("good morning every"), utterance(5)
    one.end(whole)
    decoded = [segment(said(final))] if final else []
    for _ in range(2):  # also where it is committed a second time
        (made,) = one.settle(whole, decoded, "en")
        assert made.text == text == " ".join(word.text for word in made.words)
        assert (made.start_ms, made.confidence) == (0, 0.5)
    times = [at for word in made.words for at in (word.start_ms, word.end_ms)]
    assert times == sorted(times) and made.end_ms == times[-1]
    one.commit(whole, "en")
    assert one.settle(whole, decoded, "en") is decoded


def test_words_are_joined_as_their_language_wants_it(showing):
    one, whole = showing("今日 は"), utterance(5)
    one.end(whole)
    (made,) = one.settle(whole, [segment(said("今日 わ 晴れ"))], "ja")
    assert made.text == "今日は晴れ"


def test_what_a_gate_holds_back_was_not_said(showing):
    one, whole = showing("thanks for watching"), utterance(5)
    one.end(whole)
    held_back = [segment(said("thanks for"), "repetition")]
    assert one.settle(whole, held_back, "en") is held_back
    one.commit(whole, "en")
    assert (showing.lines[-1].stable, showing.lines[-1].tentative) == ("", "")


def test_words_behind_a_cut_go_on_with_the_next_utterance(showing):
    one = showing("one two three four five")
    first, second = utterance(1.5, ended_by="soft maximum"), utterance(3, 1.5)
    one.end(first)
    decoded = [segment(said("One two three."))]
    assert one.settle(first, decoded, "en") is decoded
    one.commit(first, "en")
    assert showing.lines[-1].stable == "four five"
    one.end(second)
    (made,) = one.settle(second, [segment(said("for five six", 1500))], "en")
    assert made.text == "four five six"
    one.commit(second, "en")
    assert (showing.lines[-1].stable, showing.lines[-1].tentative) == ("", "")


@pytest.mark.parametrize(
    ("words", "count"),
    [("a b c", 3), ("A, b", 2), ("a b c d e f", 5), ("a x c d", 4), ("", 4)],
)
def test_where_a_cut_falls_between_words_is_told_by_the_decode_else_by_the_clock(words, count):
    assert belonging(said("a b c d e"), said(words), end_ms=2000) == count
