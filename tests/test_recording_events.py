"""Whoever listens to a recording hears everything once, however often the line breaks."""

import json
import math
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import httpx
import pytest
from box_client import account, bearer, box_of, key
from event_source import (
    WAIT_S,
    Heard,
    Parser,
    ServedBox,
    deaf_listener,
    listening,
    put,
    recording_of,
    say,
)
from running_box import running
from virtual_microphone import wait_until

from api import event_stream, recording_events
from appliance.settings import Settings
from appliance.store import keys, recordings
from appliance.store.database import Database
from appliance.store.entities import Recording, RecordingState, SessionRow

PATH = "/api/v1/recordings"
DONE, FINISHING = RecordingState.DONE, RecordingState.FINISHING


@pytest.fixture
def served(tmp_path):
    """Run the box behind a real server in this process."""
    box = ServedBox(Settings(data_dir=tmp_path, model="absent", port=0))
    box.key = (tmp_path / "admin.key").read_text().strip()
    yield box
    box.stop()


def ids(heard):
    """Return the numbers of events."""
    return [int(event.last_id) for event in heard]


def said(heard):
    """Return the texts of the segments among them."""
    return [json.loads(event.data)["text"] for event in heard if event.kind == "segment"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_parser_of_these_tests_reads_any_line_ending_in_any_pieces(end):
    lines = (
        "\ufeff: hello", "retry: 9", "id: 7", "event: gap", "data: a", "data:b", "",
        "data", "", "event: lost", "", "id", "data: {}", "",
    )  # fmt: skip
    stream = "".join(line + end for line in lines).encode()
    wanted = [Heard("gap", "a\nb", "7"), Heard("message", "", "7"), Heard("message", "{}", "")]
    for size in (1, 2, 3, len(stream)):
        parser, found = Parser(), []
        for at in range(0, len(stream), size):
            found += parser.feed(stream[at : at + size])
        assert found == wanted
        assert (parser.retry_ms, parser.comments) == (9, ["hello"])


def test_a_listener_hears_all_from_the_beginning_and_the_stream_ends_with_the_recording(
    served, monkeypatch
):
    monkeypatch.setattr(recording_events, "LOOK_S", 10 * WAIT_S)  # only the bus wakes it
    number = recording_of(served.database)
    say(served.database, number, "before\u2028anybody", "Grüße")
    with listening(served.url, number, served.key) as listener:
        headers = listener.answer.headers
        assert headers["Content-Type"].startswith("text/event-stream")
        assert headers["Cache-Control"] == "no-store" and headers["X-Accel-Buffering"] == "no"
        first = listener.take(3)
        say(served.database, number, "now")
        assert said(listener.take(1)) == ["now"]
        put(served.database, number, FINISHING)
        put(served.database, number, DONE)
        last = listener.rest()
    assert [event.kind for event in first] == ["state", "segment", "segment"]
    assert said(first) == ["before\u2028anybody", "Grüße"] and ids(first + last) == [1, 2, 3, 5, 6]
    assert json.loads(last[-1].data)["state"] == "done" and json.loads(last[-1].data)["sessionId"]


@pytest.mark.parametrize("last_id", ["0", "1", "3", ""])
def test_with_last_event_id_it_goes_on_after_that_event(served, last_id):
    number = recording_of(served.database)
    say(served.database, number, "a", "b", "c")
    put(served.database, number, RecordingState.FAILED)
    with listening(served.url, number, served.key, last_id) as listener:
        assert ids(listener.rest()) == list(range(int(last_id or 0) + 1, 6))


def test_who_has_everything_of_an_ended_recording_is_told_not_to_come_back(started):
    number = recording_of(box_of(started).database)
    put(box_of(started).database, number, RecordingState.RECOVERED)
    headers = {**bearer(started, "recordings"), "Last-Event-ID": "2"}
    assert started.get(f"{PATH}/{number}/events", headers=headers).status_code == 204


@pytest.mark.parametrize("last_id", ["x", "-1", "1.5", "3", "9" * 18, "9" * 19, "1 2", "²"])
def test_a_last_event_id_that_was_never_given_out_is_400(started, last_id):
    number = recording_of(box_of(started).database)
    say(box_of(started).database, number, "a")
    headers = {**bearer(started, "recordings"), "Last-Event-ID": last_id.encode()}
    answer = started.get(f"{PATH}/{number}/events", headers=headers)
    assert answer.status_code == 400 and "Last-Event-ID" in answer.json()["detail"]


def test_another_accounts_recording_can_not_be_heard(started):
    account(started, "bob")
    number = recording_of(box_of(started).database, "bob")
    answers = [
        started.get(f"{PATH}/{number}/events", headers=headers)
        for headers in (bearer(started, "recordings"), bearer(started, "sessions:read"), {})
    ]
    assert [answer.status_code for answer in answers] == [404, 403, 401]


def test_head_gets_the_headers_and_ends(served):
    number = recording_of(served.database)
    headers = {"Authorization": f"Bearer {served.key}"}
    url = f"{served.url}{PATH}/{number}/events"
    answer = httpx.head(url, headers=headers, trust_env=False, timeout=WAIT_S)
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"


@pytest.mark.long
def test_many_listeners_hear_the_same_in_the_same_order_and_hold_no_threads(served):
    number, count = recording_of(served.database), 60  # more than there are threads for handlers
    begun = threading.Barrier(count + 1)

    def listen(_):
        with listening(served.url, number, served.key) as listener:
            first = listener.take(1)
            begun.wait(WAIT_S)
            return first + listener.rest()

    with ThreadPoolExecutor(count) as pool:
        listeners = [pool.submit(listen, n) for n in range(count)]
        begun.wait(WAIT_S)
        for n in range(10):
            say(served.database, number, str(n))
        answer = httpx.get(f"{served.url}/health", trust_env=False, timeout=WAIT_S)
        put(served.database, number, DONE)
        heard = [listener.result(3 * WAIT_S) for listener in listeners]
    assert answer.status_code == 200
    assert ids(heard[0]) == list(range(1, 13))
    assert all(other == heard[0] for other in heard)


def test_more_events_than_are_read_at_once_come_in_order(served):
    number = recording_of(served.database)
    say(served.database, number, *map(str, range(3 * recording_events.PAGE)))
    put(served.database, number, DONE)
    with listening(served.url, number, served.key) as listener:
        assert said(listener.rest()) == [str(n) for n in range(3 * recording_events.PAGE)]


def test_levels_are_of_the_moment_and_have_no_number(served):
    number, other = recording_of(served.database), recording_of(served.database)
    bus = served.database.bus
    with listening(served.url, number, served.key) as listener:
        listener.take(1)
        bus.publish(recordings.level(other, 1, -1.0))
        bus.publish(recordings.level(number, 1, -31.26))
        assert listener.take(1) == [Heard("level", '{"dbfs": -31.3}', "1")]
        bus.publish(recordings.level(number, 1, -math.inf))
        assert json.loads(listener.take(1)[0].data) == {"dbfs": -120.0}
        bus.publish(recordings.level(number, 1, None))
        assert json.loads(listener.take(1)[0].data) == {"dbfs": None}
        put(served.database, number, DONE)
        assert ids(listener.rest()) == [2]


def line(served, number, after, stable):
    """Tell what is being said, behind a stored event."""
    content = {"stable": stable, "tentative": "", "atSeconds": 1.0}
    served.database.bus.publish(recordings.partial(number, 1, after, content))


def test_partials_are_of_the_moment_and_have_no_number(served):
    number, other = recording_of(served.database), recording_of(served.database)
    with listening(served.url, number, served.key) as listener:
        listener.take(1)
        line(served, other, 1, "of another")
        line(served, number, 1, "Grüße")
        (heard,) = listener.take(1)
        assert (heard.kind, heard.last_id) == ("partial", "1")
        wanted = {"stable": "Grüße", "tentative": "", "atSeconds": 1.0}
        assert json.loads(heard.data) == wanted
        put(served.database, number, DONE)
        assert ids(listener.rest()) == [2]
    with served.database.read() as session:
        assert {e.kind for e in recordings.events_after(session, number, 0)} == {"state"}


def test_a_listener_that_is_late_gets_the_newest_partial_only(served):
    number = recording_of(served.database)
    with listening(served.url, number, served.key) as listener:
        listener.take(1)
        for n in range(100):
            line(served, number, 2, str(n))  # behind a segment that it does not have yet
        say(served.database, number, "first")
        heard = listener.take(2)
        assert [event.kind for event in heard] == ["segment", "partial"]
        assert json.loads(heard[1].data)["stable"] == "99"
        put(served.database, number, DONE)
        assert [event.kind for event in listener.rest()] == ["state"]


def test_a_partial_never_comes_behind_the_segment_that_it_became(served):
    number = recording_of(served.database)
    with listening(served.url, number, served.key) as listener:
        listener.take(1)
        say(served.database, number, "said")
        listener.take(1)
        line(served, number, 1, "sai")
        line(served, number, 2, "next")
        assert json.loads(listener.take(1)[0].data)["stable"] == "next"
        line(served, number, 1, "said")
        put(served.database, number, DONE)
        assert [event.kind for event in listener.rest()] == ["state"]


def test_who_listens_tells_the_take_so_as_long_as_it_does(served, monkeypatch):
    monkeypatch.setattr(recording_events, "LOOK_S", 0.1)
    number, looked = recording_of(served.database), threading.Semaphore(0)
    takes = served.application.state.box.recorder._takes
    takes[number] = Mock(id=number, over=threading.Event(), watch=looked.release)
    before = len(served.database.bus._subscribers)
    with listening(served.url, number, served.key) as listener:
        listener.take(1)
        for _ in range(5):
            assert looked.acquire(timeout=WAIT_S)
    wait_until(lambda: len(served.database.bus._subscribers) < before + 1, "its end")
    del takes[number]


def test_what_another_process_commits_is_heard_too(served):
    number = recording_of(served.database)
    elsewhere = Database(served.database.path)  # with a bus of its own
    with listening(served.url, number, served.key) as listener:
        listener.take(1)
        say(elsewhere, number, "from elsewhere")
        assert said(listener.take(1)) == ["from elsewhere"]
    elsewhere.close()


def test_silence_is_broken_by_comments(served, monkeypatch):
    monkeypatch.setattr(recording_events, "LOOK_S", 0.1)
    monkeypatch.setattr(recording_events, "KEEP_ALIVE_S", 0.2)
    number = recording_of(served.database)
    with listening(served.url, number, served.key) as listener:
        listener.take(1)
        threading.Timer(1.0, put, (served.database, number, DONE)).start()
        listener.rest()
        assert listener.parser.comments and listener.parser.retry_ms == 2000


@pytest.mark.parametrize("here", [True, False])
def test_the_stream_of_a_revoked_key_ends_within_seconds(served, here):
    number = recording_of(served.database)
    row, plain = key(served, "recordings")
    database = served.database if here else Database(served.database.path)
    with listening(served.url, number, plain) as listener:
        listener.take(1)
        with database.write() as session:
            keys.revoke(session, row.id)
        began_s = time.monotonic()
        assert listener.rest() == []
        assert time.monotonic() - began_s < (1.0 if here else 5.0)
    if not here:
        database.close()


def test_a_recording_that_is_discarded_says_so_as_its_last_word(served):
    number = recording_of(served.database)
    with listening(served.url, number, served.key) as listener:
        listener.take(1)
        with served.database.write() as session:
            row = session.get_one(Recording, number)
            session.delete(session.get_one(SessionRow, row.session_id))
        served.database.bus.publish(recordings.level(number, 1, -20.0))
        last = listener.rest()[-1]
    assert (last.kind, json.loads(last.data)["state"]) == ("state", "discarded")


def test_a_listener_that_left_is_forgotten(served):
    number = recording_of(served.database)
    before = len(served.database.bus._subscribers)
    for _ in range(5):
        with listening(served.url, number, served.key) as listener:
            listener.take(1)
    deadline = time.monotonic() + WAIT_S
    while len(served.database.bus._subscribers) > before:
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def test_a_listener_that_does_not_read_is_cut_off_and_nobody_waits_for_it(served, monkeypatch):
    monkeypatch.setattr(event_stream, "SLOW_S", 1.0)
    number, piece = recording_of(served.database), "x" * 200_000
    before = len(served.database.bus._subscribers)
    with (
        deaf_listener(served.url, number, served.key) as deaf,
        listening(served.url, number, served.key) as listener,
    ):
        for _ in range(60):  # 12 MB: more than the sockets between take
            began_s = time.monotonic()
            say(served.database, number, piece)
            assert time.monotonic() - began_s < 5.0
        assert ids(listener.take(61)) == list(range(1, 62))
        deadline = time.monotonic() + WAIT_S
        while len(served.database.bus._subscribers) > before + 1:
            assert time.monotonic() < deadline, "it is still served"
            threading.Event().wait(0.05)
        put(served.database, number, DONE)
        assert ids(listener.rest()) == [62]
        left = b"".join(iter(lambda: deaf.recv(1 << 20), b""))  # to the end of the connection
    assert len(left) < 61 * len(piece) and not left.endswith(b"0\r\n\r\n")


def test_all_streams_end_at_once_when_the_box_stops_also_those_nobody_reads(tmp_path):
    box = ServedBox(Settings(data_dir=tmp_path, model="absent", port=0))
    plain = (tmp_path / "admin.key").read_text().strip()
    number = recording_of(box.database)
    with (
        deaf_listener(box.url, number, plain),
        listening(box.url, number, plain) as listener,
    ):
        listener.take(1)
        say(box.database, number, *["x" * 200_000] * 60)
        listener.take(60)
        assert box.stop() < 8
        assert listener.rest() == []  # an orderly end: no error, so it is worth coming back


@pytest.mark.parametrize(
    "sign", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_nothing_is_lost_or_told_twice_across_a_restart_of_the_server(tmp_path, sign):
    arguments = ("--port", "0", "--data", str(tmp_path))
    with running(*arguments, SCRIBEBOX_MODEL="absent") as box:
        url = box.url
        plain = (tmp_path / "admin.key").read_text().strip()
        database = Database(tmp_path / "scribebox.db")
        number = recording_of(database)
        say(database, number, "one", "two", "three", "four")
        with listening(url, number, plain) as listener:
            before = listener.take(3)  # what came after these is lost with the line
            box.stop(sign)
            with database.write() as session:  # quietly: recovery makes an end of it
                row = session.get_one(Recording, number)
                recordings.append_event(session, row, recordings.GAP, {"seconds": 1.0})
                recordings.change_state(session, row, FINISHING)
    with running(*arguments, SCRIBEBOX_MODEL="absent") as box:
        with listening(box.url, number, plain, before[-1].last_id) as listener:
            after = listener.take(4)
            if json.loads(after[-1].data).get("state") not in ("failed", "recovered"):
                say(database, number, "five")
                after += listener.take(1)
        box.stop()
    database.close()
    heard = ids(before + after)
    assert heard == list(range(1, len(heard) + 1))
    assert said(before + after)[:4] == ["one", "two", "three", "four"]
    assert "gap" in [event.kind for event in after]
