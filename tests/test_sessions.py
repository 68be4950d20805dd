"""A session comes to be for everybody at once, or for nobody."""

import json

import pytest
from sqlmodel import select

from appliance.errors import NotFound, Refused
from appliance.store import accounts, sessions
from appliance.store.entities import Delivery, Message, Source, UsageEvent, UsageQuarter, Webhook
from engine.transcript import Segment, Word

SEGMENT = Segment(0, 900, "Hello there.", (Word("Hello", 0, 400, 0.9),), "whisper-tiny.en", 0.9)


def finished(session, account, **changes):
    row = sessions.open_one(session, account, Source.UPLOAD)
    values = {
        "title": "T",
        "note": "Hello there.",
        "original_transcript": "hello there",
        "language": "en",
        "engine": "whisper-tiny.en",
        "captured_seconds": 1.5,
        "elapsed_seconds": 1.5,
    }
    sessions.finish(session, row, **{**values, **changes})
    return row


def test_an_open_session_is_not_listed_and_not_found(database, account):
    with database.write() as session:
        row = sessions.open_one(session, account, Source.UPLOAD)
    with database.read() as session:
        assert sessions.page(session, account, 0, 20) == ([], 0)
        with pytest.raises(NotFound):
            sessions.get(session, account, row.id)


def test_finishing_lists_counts_and_tells_in_one_transaction(database, account):
    heard = []
    database.bus.subscribe(heard.append)
    with database.write() as session:
        session.add(
            Webhook(account_id=account, url="http://a/", events=["session.created"], secret=b"s")
        )
        session.add(Webhook(account_id=account, url="http://b/", events=[], secret=b"s"))
        session.add(
            Webhook(
                account_id=account,
                url="http://c/",
                events=["session.created"],
                secret=b"s",
                enabled=False,
            )
        )
        session.flush()
        row = finished(session, account)
    with database.read() as session:
        assert sessions.page(session, account, 0, 20)[1] == 1
        (usage,) = session.exec(select(UsageEvent)).all()
        assert (usage.words, usage.audio_ms, usage.reference) == (2, 1500, str(row.id))
        (delivery,) = session.exec(select(Delivery)).all()
        (message,) = session.exec(select(Message)).all()
        assert delivery.message_id == message.id
        assert json.loads(message.body) == sessions.public(row)
        assert delivery.id.startswith("msg_")
    assert [event.name for event in heard] == ["delivery.due", "session.finished"]


def test_if_the_transaction_fails_there_is_no_session_no_usage_and_no_delivery(database, account):
    with pytest.raises(RuntimeError), database.write() as session:
        finished(session, account)
        raise RuntimeError
    with database.read() as session:
        assert sessions.page(session, account, 0, 20) == ([], 0)
        assert session.exec(select(UsageEvent)).all() == []
        assert session.exec(select(UsageQuarter)).all() == []


def test_the_session_object_has_these_six_fields_and_no_other(database, account):
    with database.write() as session:
        row = finished(session, account)
    public = sessions.public(row)
    assert list(public) == ["id", "title", "note", "originalTranscript", "tags", "createdAt"]
    assert public["createdAt"].endswith("Z") and len(public["createdAt"]) == 24


def test_another_accounts_session_is_not_found(database, account):
    with database.write() as session:
        other = accounts.create(session, "bob").id
        row = finished(session, account)
    with database.read() as session, pytest.raises(NotFound):
        sessions.get(session, other, row.id)


def test_segments_come_back_as_they_went_in_and_are_numbered_on(database, account):
    with database.write() as session:
        row = sessions.open_one(session, account, Source.UPLOAD)
        sessions.add_segments(session, row.id, [SEGMENT])
        sessions.add_segments(session, row.id, [SEGMENT.moved(1000)])
    with database.read() as session:
        assert sessions.segments(session, row.id) == [SEGMENT, SEGMENT.moved(1000)]


def test_usage_of_the_same_quarter_of_an_hour_adds_up(database, account):
    with database.write() as session:
        finished(session, account)
        finished(session, account)
    with database.read() as session:
        quarters = session.exec(select(UsageQuarter)).all()
        assert sum(quarter.words for quarter in quarters) == 4
        assert sum(quarter.events for quarter in quarters) == 2


def test_pages_are_newest_first_and_end(database, account):
    with database.write() as session:
        numbers = [finished(session, account).id for _ in range(5)]
    with database.read() as session:
        rows, total = sessions.page(session, account, 1, 2)
        assert ([row.id for row in rows], total) == ([numbers[2], numbers[1]], 5)
        assert sessions.page(session, account, 9, 2) == ([], 5)


def test_a_number_once_used_is_never_used_again(database, account):
    with database.write() as session:
        row = finished(session, account)
        session.delete(row)
    with database.write() as session:
        assert finished(session, account).id == row.id + 1


def test_what_people_change_leaves_what_the_engine_said(database, account):
    with database.write() as session:
        row = finished(session, account)
        sessions.change(session, row, title=" New\n title ", note="A\r\n\x00B", tags="x, y,X")
    with database.read() as session:
        changed = sessions.get(session, account, row.id)
        assert (changed.title, changed.note, changed.tags) == ("New title", "A\n B", "x,y")
        assert changed.original_transcript == "hello there"


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "x" * 301},
        {"note": "x" * (sessions.MAX_NOTE_BYTES + 1)},
        {"tags": ",".join(map(str, range(51)))},
        {"tags": "x" * 101},
    ],
)
def test_what_is_too_long_is_refused(database, account, changes):
    with database.write() as session:
        row = finished(session, account)
        with pytest.raises(Refused, match="most"):
            sessions.change(session, row, **changes)


@pytest.mark.parametrize("number", [0, -1, 2**63, -(2**70)])
def test_a_number_no_row_can_have_is_not_found(database, account, number):
    with database.read() as session, pytest.raises(NotFound):
        sessions.get(session, account, number)
