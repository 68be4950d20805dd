"""What is too old goes, all of it and nothing else, whatever happens meanwhile."""

import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from aged_box import FILE, JOURNAL, NOW, AgedBox
from box_client import BASE, bearer, box_of, session_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlmodel import col, delete, select

from appliance.store import accounts, audio_files, sessions
from appliance.store.entities import (
    Account,
    AudioFile,
    Audit,
    HistoryEntry,
    Job,
    Recording,
    RecordingEvent,
    RecordingState,
    SegmentRow,
    SessionRow,
    SessionState,
    UsageEvent,
    UsageQuarter,
    now,
)
from scheduler import recovery
from scheduler import retention as duty
from scheduler.retention import Days, Retention

DONE, FAILED, OPEN = SessionState.DONE, SessionState.FAILED, SessionState.OPEN
DAY = timedelta(days=1)
AUDIO, TEXT = "retention_audio_days", "retention_text_days"


@pytest.fixture
def box(tmp_path):
    made = AgedBox(tmp_path / "box")
    yield made
    made.database.close()


def ids(box):
    with box.database.read() as session:
        return set(session.exec(select(SessionRow.id)))


def lines(box):
    with box.database.read() as session:
        return session.exec(select(Audit.account_id, Audit.action, Audit.target)).all()


days = st.sampled_from([None, 0, 1, 5, 30, 90])
ages = st.builds(
    lambda whole, more: timedelta(days=whole, seconds=more),
    st.sampled_from([0, 1, 2, 5, 6, 29, 30, 31, 90, 4000]),
    st.sampled_from([-1, 0, 1]),
)
one_session = st.tuples(
    st.sampled_from([0, 1]),
    ages,
    st.sampled_from([DONE, DONE, DONE, FAILED, OPEN]),
    st.sampled_from(["", "", "work", "Keep", "a, KEEP ,b", "keeper", "do not keep"]),
    st.sampled_from([FILE, FILE, JOURNAL, None]),
)
one_dictation = st.tuples(st.sampled_from([0, 1]), ages, st.booleans())


def has_passed(age, limit):
    return limit > 0 and age >= limit * DAY


def fate(age, state, tags, audio, audio_days, text_days):
    """Return what must be left of a session: gone, or what its audio is then."""
    if state is OPEN:
        return audio
    if state is FAILED:
        if has_passed(age, min(30, text_days or 30)):
            return "gone"
    elif "keep" in [tag.strip().lower() for tag in tags.split(",")]:
        return audio
    elif has_passed(age, text_days):
        return "gone"
    return None if has_passed(age, audio_days) else audio


@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)
@given(
    st.tuples(days, days, days, days, st.sampled_from([0, 1, 30]), st.sampled_from([0, 5, 90])),
    st.lists(one_session, max_size=12),
    st.lists(one_dictation, max_size=6),
)
def test_exactly_what_is_too_old_goes(box, kept, some_sessions, some_dictations):
    check_exactly(box, kept, some_sessions, some_dictations)


@pytest.mark.long
@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.tuples(days, days, days, days, st.sampled_from([0, 1, 30]), st.sampled_from([0, 5, 90])),
    st.lists(one_session, max_size=25),
    st.lists(one_dictation, max_size=12),
)
def test_exactly_what_is_too_old_goes_in_many_boxes(box, kept, some_sessions, some_dictations):
    check_exactly(box, kept, some_sessions, some_dictations)


def check_exactly(box, kept, some_sessions, some_dictations):
    audio_days, text_days = kept[4:]
    owners, limits, expected, expected_entries = [], [], {}, {}
    empty(box)
    with box.database.write() as session:
        for number in (0, 1):
            own = dict(zip((AUDIO, TEXT), kept[2 * number : 2 * number + 2], strict=True))
            owners.append(accounts.create(session, f"account {number}", kept=own).id)
            audio, text = own[AUDIO], own[TEXT]
            limits.append(
                (audio_days if audio is None else audio, text_days if text is None else text)
            )
        for owner, age, state, tags, audio in some_sessions:
            number = box.session(
                owners[owner], age, state=state, tags=tags, audio=audio, in_session=session
            )
            expected[number] = fate(age, state, tags, audio, *limits[owner])
        for owner, age, audio in some_dictations:
            number = box.dictation(owners[owner], age, audio=audio, in_session=session)
            audio_limit, text_limit = limits[owner]
            if has_passed(age, text_limit):
                expected_entries[number] = "gone"
            else:
                expected_entries[number] = audio and not has_passed(age, audio_limit)
    before = counts(box, UsageEvent, UsageQuarter)
    box.retention(audio_days, text_days).run(NOW)
    check_left(box, expected, expected_entries)
    assert counts(box, UsageEvent, UsageQuarter) == before
    told = lines(box)
    assert {action for _, action, _ in told} <= {"retention"}
    assert len({owner for owner, *_ in told}) == len(told) <= 2
    assert not any("secret" in target for *_, target in told)
    box.retention(audio_days, text_days).run(NOW)
    assert lines(box) == told  # there was nothing left to do


def check_left(box, expected, expected_entries):
    """Check what is there against what must be there."""
    with box.database.read() as session:
        rows = session.exec(select(SessionRow)).all()
        for row in rows:
            there = {None: None, "a": FILE, "r": JOURNAL}[(row.audio_path or [None])[0]]
            wanted = expected[row.id]
            if row.state is OPEN and wanted == JOURNAL:
                wanted = None  # the journal is there, the row does not say so yet
            assert there == wanted, row
            if row.audio_path is None:
                assert (row.audio_bytes, row.audio_sha256) == (None, None)
        left = {number for number, audio in expected.items() if audio != "gone"}
        assert {row.id for row in rows} == left
        for table in (SegmentRow, Job, Recording):
            assert set(session.exec(select(table.session_id))) <= left
        assert len(session.exec(select(SegmentRow)).all()) == 2 * len(left)
        orphans = select(RecordingEvent).where(
            col(RecordingEvent.recording_id).not_in(select(Recording.id))
        )
        assert session.exec(orphans).all() == []
        entries = {e.id: e.storage_id is not None for e in session.exec(select(HistoryEntry))}
        kept_entries = {n: audio for n, audio in expected_entries.items() if audio != "gone"}
        assert entries == kept_entries
        assert len(session.exec(select(AudioFile)).all()) == sum(entries.values())
        done = {row.id for row in rows if row.state is DONE}
        execute = session.connection().exec_driver_sql
        found = execute("SELECT rowid FROM session_fts WHERE session_fts MATCH 'hello'").scalars()
        assert set(found) == done
    with box.database.write() as session:
        session.connection().exec_driver_sql(
            "INSERT INTO session_fts(session_fts) VALUES ('integrity-check')"
        )
    assert set(box.named()) <= set(box.there())
    journals = {p for p in box.there() if p.startswith("recordings/")} - set(box.named())
    with box.database.read() as session:
        open_ones = session.exec(
            select(Recording.id).where(Recording.state == RecordingState.RECORDING)
        ).all()
    assert journals == {f"recordings/{number}/audio.pcm" for number in open_ones}


def empty(box):
    """Make the box empty again, for the next example."""
    with box.database.write() as session:
        for table in (UsageEvent, UsageQuarter, HistoryEntry, Account, Audit):
            session.exec(delete(table))
    for path in box.folder.audio.iterdir():
        path.unlink()
    for path in box.folder.recordings.glob("*/audio.pcm"):
        path.unlink()


def counts(box, *tables):
    with box.database.read() as session:
        return [len(session.exec(select(table)).all()) for table in tables]


def test_it_is_the_last_second_that_counts(box):
    alice, second = box.account(), timedelta(seconds=1)
    ages = [5 * DAY, 5 * DAY - second, 10 * DAY, 10 * DAY - second]
    expected = {box.session(alice, age): fate(age, DONE, "", FILE, 5, 10) for age in ages}
    entries = dict(
        zip((box.dictation(alice, a) for a in ages), (False, True, "gone", False), strict=True)
    )
    box.retention(audio_days=5, text_days=10).run(NOW)
    assert list(expected.values()) == [None, FILE, "gone", None]
    check_left(box, expected, entries)
    assert {target for *_, target in lines(box)} == {
        "sessions: 1, audio of sessions: 2, dictations: 1, audio of dictations: 2"
    }


def test_the_tag_keep_protects_however_it_is_spelt(box):
    alice = box.account()
    kept = {
        box.session(alice, 99 * DAY, tags=tags)
        for tags in ("Keep", "a,KEEP", "\uff4b\uff45\uff45\uff50")
    }
    box.session(alice, 99 * DAY, tags="keeper,not keep")
    box.retention(audio_days=1, text_days=2).run(NOW)
    assert ids(box) == kept
    assert len(box.there()) == len(box.named()) == 3


def test_a_tag_that_is_given_at_the_last_moment_wins(box, monkeypatch):
    alice = box.account()
    first = box.session(alice, 9 * DAY)
    box.session(alice, 9 * DAY)
    kind = duty.KINDS[0]

    def find(session, *values):
        found = kind.find(session, *values)
        with box.database.write() as writing:
            sessions.change(writing, writing.get_one(SessionRow, first), tags="keep")
        return found

    monkeypatch.setattr(duty, "KINDS", (replace(kind, find=find),))
    box.retention(text_days=5).run(NOW)
    assert ids(box) == {first}
    assert box.there() == box.named() and len(box.there()) == 1
    assert [target for *_, target in lines(box)] == ["sessions: 1"]


def test_a_session_whose_recording_runs_stays(box):
    number = box.session(box.account(), 99 * DAY, audio=JOURNAL)
    with box.database.write() as session:
        recording = session.exec(select(Recording)).one()
        recording.state = RecordingState.FINISHING
        session.add(recording)
    box.retention(audio_days=1, text_days=1).run(NOW)
    assert ids(box) == {number}
    assert len(box.there()) == 1


def test_the_audio_goes_and_the_session_stays_as_clients_see_it(started):
    started.headers.update(bearer(started, "sessions:read"))
    number, running = session_of(started, audio=b"RIFF"), box_of(started)
    with running.database.write() as session:
        row = session.get_one(SessionRow, number)
        (running.folder.audio / str(number)).rename(running.folder.audio / ("a" * 32))
        row.audio_path, row.finished_at = f"audio/{'a' * 32}", now() - 8 * DAY
        session.add(row)
    assert started.get(f"{BASE}/{number}/audio").status_code == 200
    Retention(
        running.database, running.uploads, running.history_audio, Days(7, 0), threading.Event()
    ).run()
    assert started.get(f"{BASE}/{number}/audio").status_code == 404
    assert started.get(f"{BASE}/{number}/segments").status_code == 200
    assert not (running.folder.audio / ("a" * 32)).exists()


def test_a_run_that_is_stopped_ends_after_its_batch_and_the_next_goes_on(box, monkeypatch):
    alice = box.account()
    for _ in range(5):
        box.session(alice, 9 * DAY)
    monkeypatch.setattr(duty, "BATCH", 2)
    box.stopping.wait = lambda _: box.stopping.set() or True  # it comes in the first pause
    box.retention(text_days=5).run(NOW)
    assert len(ids(box)) == len(box.there()) == 3
    box.stopping.clear()
    del box.stopping.wait
    box.retention(text_days=5).run(NOW)
    assert ids(box) == set() and box.there() == []
    assert [target for *_, target in lines(box)] == ["sessions: 2", "sessions: 3"]


def test_a_transaction_that_takes_too_long_is_cut_short(box, monkeypatch):
    alice = box.account()
    for _ in range(4):
        box.session(alice, 9 * DAY)
    committed = []
    write = box.database.write
    monkeypatch.setattr(box.database, "write", lambda: committed.append(1) or write())
    monkeypatch.setattr(duty, "BUDGET_S", -1)
    box.retention(text_days=5).run(NOW)
    assert ids(box) == set() and box.there() == []
    assert len(committed) == 4 + 1  # and the line of the audit


def test_what_can_not_be_committed_leaves_all_as_it_was_and_holds_up_no_other(box, monkeypatch):
    alice, bob = box.account(), box.account("bob")
    mine = box.session(alice, 9 * DAY)
    box.session(bob, 9 * DAY)
    kind = duty.KINDS[0]

    def refuse(_):
        raise OSError("the disk is gone")

    def remove(session, old):
        if old.key == mine:
            event.listen(session, "before_commit", refuse)
        return kind.remove(session, old)

    monkeypatch.setattr(duty, "KINDS", (replace(kind, remove=remove),))
    with pytest.raises(OSError, match="the disk is gone"):
        box.retention(text_days=5).run(NOW)
    assert ids(box) == {mine}
    assert box.there() == box.named() and len(box.there()) == 1


def test_what_an_account_says_goes_before_the_settings(box):
    own = {
        "ever": (0, 0),
        "text": (0, 5),
        "audio": (5, 0),
        "longer": (20, 20),
        "none": (None, None),
    }
    numbers = {
        name: box.session(box.account(name, **{AUDIO: audio, TEXT: text}), 9 * DAY)
        for name, (audio, text) in own.items()
    }
    box.retention(audio_days=7, text_days=8).run(NOW)
    check_left(
        box,
        {
            numbers["ever"]: FILE,
            numbers["text"]: "gone",
            numbers["audio"]: None,
            numbers["longer"]: FILE,
            numbers["none"]: "gone",
        },
        {},
    )


def add_some(box, owner, chance, expected, expected_entries):
    """Add things of any age, and what is to be left of them when audio stays 5 days, text 10."""
    with box.database.write() as session:
        for _ in range(60):
            age = chance.choice([1, 6, 11, 31]) * DAY
            state = chance.choice([DONE, DONE, DONE, FAILED])
            tags, audio = chance.choice(["", "", "keep"]), chance.choice([FILE, FILE, JOURNAL])
            number = box.session(
                owner, age, state=state, tags=tags, audio=audio, in_session=session
            )
            expected[number] = fate(age, state, tags, audio, 5, 10)
        for _ in range(20):
            age = chance.choice([1, 6, 11]) * DAY
            number = box.dictation(owner, age, in_session=session)
            expected_entries[number] = "gone" if age > 10 * DAY else age < 5 * DAY
    for _ in range(3):
        box.file()  # nobody's
        (box.folder.audio / f"{chance.getrandbits(128):032x}.part").write_bytes(b"R")


@pytest.mark.long
def test_kill_9_during_retention_and_sweep_leaves_rows_and_files_one(box):
    seed = 7
    chance, kills, halves, owner = random.Random(seed), 0, 0, box.account()
    expected, expected_entries = {}, {}
    for number in range(60):
        if number >= 20 and halves >= 3:
            break
        add_some(box, owner, chance, expected, expected_entries)
        counted = counts(box, UsageEvent)[0]
        child = subprocess.Popen([sys.executable, __file__, str(box.folder.path), str(number)],
                                 stdout=subprocess.PIPE, text=True)  # fmt: skip
        assert child.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, 0.5))
        child.kill()
        kills += child.wait(60) == -signal.SIGKILL
        child.stdout.close()
        for path in box.named():  # wherever it was on its way
            lying = [box.folder.path / (path + ending) for ending in ("", ".gone", ".part")]
            assert any(one.exists() for one in lying), path
        halves += any(path.endswith(".gone") for path in box.there())
        start_again(box)
        assert set(box.named()) <= set(box.there())
        assert not [path for path in box.there() if path.endswith((".gone", ".part"))]
    print("killed", kills, "times,", halves, "in the middle of a batch")
    assert kills >= 20 and halves >= 3
    tidy(box)
    assert box.there() == box.named()
    check_left(box, expected, expected_entries)
    assert counts(box, UsageEvent) == [counted]


def start_again(box):
    """Do what a start of the box does with what lies there."""
    with box.database.read() as session:
        box.audio.sweep(lambda names: audio_files.known(session, names))
    recovery.sweep(box.database, box.recorder)


def tidy(box):
    box.retention(audio_days=5, text_days=10).run(NOW)
    box.sweep().run(NOW)


if __name__ == "__main__":
    there, order = AgedBox(Path(sys.argv[1])), random.Random(sys.argv[2])
    duty.BATCH, duty.PAUSE_S = 3, 0
    duty.KINDS = tuple(order.sample(duty.KINDS, len(duty.KINDS)))
    print("ready", flush=True)
    if order.random() < 0.3:
        there.sweep().run(NOW)
    tidy(there)
    while True:
        time.sleep(60)  # until it is killed
