"""The recordings API without a microphone: who may do what, and what is refused in which words."""

import re

import pytest
from box_client import account, bearer, box_of
from event_source import put, recording_of, say
from sqlmodel import select

from api import app
from appliance.settings import Settings
from appliance.store.entities import Recording, RecordingEvent, RecordingState, SessionRow
from engine import microphone
from engine.errors import MicrophoneUnavailable
from engine.microphone import Device

PATH = "/api/v1/recordings"
FIELDS = [
    "id", "state", "title", "device", "startedAt", "elapsedSeconds", "capturedSeconds",
    "transcribedSeconds", "gaps", "level", "alarms", "sessionId", "failover",
]  # fmt: skip


@pytest.fixture
def client(started):
    """Return a client with the scope."""
    started.headers.update(bearer(started, "recordings"))
    return started


def test_every_route_asks_for_the_scope(started):
    started.headers.update(bearer(started, "sessions:read", "sessions:write", "listen"))
    for method, path in (
        ("GET", "/devices"), ("POST", ""), ("GET", ""), ("GET", "/1"), ("POST", "/1/stop"),
        ("POST", "/1/discard"), ("GET", "/1/events"),
    ):  # fmt: skip
        answer = started.request(method, f"{PATH}{path}", json={} if method == "POST" else None)
        assert answer.status_code == 403 and "recordings" in answer.json()["detail"], path
    assert started.get(PATH, headers=bearer(started, "admin")).json() == []


def test_the_devices_are_listed_and_the_default_is_marked(client, monkeypatch):
    found = [Device("Built-in", 2, 44_100, False), Device("Jabra", 1, 16_000, True)]
    monkeypatch.setattr(microphone, "devices", lambda: found)
    assert client.get(f"{PATH}/devices").json() == [
        {"name": "Built-in", "channels": 2, "defaultRate": 44_100, "default": False},
        {"name": "Jabra", "channels": 1, "defaultRate": 16_000, "default": True},
    ]


def test_without_portaudio_it_is_503_in_the_words_of_the_engine(client, monkeypatch):
    def missing():
        raise MicrophoneUnavailable("PortAudio is missing: sudo apt install libportaudio2")

    monkeypatch.setattr(microphone, "devices", missing)
    answer = client.get(f"{PATH}/devices")
    assert answer.status_code == 503 and "apt install" in answer.json()["detail"]


def test_without_a_microphone_it_is_503_says_so_and_leaves_nothing_behind(client):
    answer = client.post(PATH, json={"title": "Kickoff", "device": "none of that name"})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert "input device" in answer.json()["detail"] or "PortAudio" in answer.json()["detail"]
    assert client.get(PATH).json() == []
    assert not list(box_of(client).folder.recordings.iterdir())
    with box_of(client).database.read() as session:
        for kind in (Recording, RecordingEvent):
            assert not session.exec(select(kind)).all()
        assert not session.exec(select(SessionRow).where(SessionRow.title == "Kickoff")).all()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"title": "x" * 301}, "title"),
        ({"title": 3}, "title"),
        ({"tags": "x" * 101}, "tag"),
        ({"language": "english"}, "language"),
        ({"device": ""}, "device"),
        ({"device": "x" * 301}, "device"),
        ({"device": "a\0b"}, "device"),
        ({"profile": "podcast"}, "profile"),
        ({"maxSeconds": 0}, "maxSeconds"),
        ({"maxSeconds": -1}, "maxSeconds"),
        ({"maxSeconds": 86_401}, "maxSeconds"),
        ({"max_seconds": 1}, "max_seconds"),
        ({"folder": "/tmp"}, "folder"),
    ],
)
def test_a_wish_that_makes_no_sense_is_400_and_named(client, body, named):
    answer = client.post(PATH, json=body)
    assert answer.status_code == 400 and named in answer.json()["detail"], answer.text
    assert client.get(PATH).json() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"title": "\\ud800"}', b"\xff"])
def test_a_body_that_is_none_is_400(client, body):
    assert client.post(PATH, content=body).status_code == 400


def test_a_device_in_use_is_409_and_names_the_recording_to_its_own_account_only(client):
    account(client, "bob")
    number = recording_of(box_of(client).database)
    own = client.post(PATH, json={})
    others = client.post(PATH, json={}, headers=bearer(client, "recordings", account="bob"))
    assert (own.status_code, others.status_code) == (409, 409)
    assert f"recording {number}" in own.json()["detail"]
    assert not re.search(r"\d", others.json()["detail"])


def test_a_disk_too_full_is_507(started, tmp_path):
    object.__setattr__(box_of(started).recorder.options, "refuse_bytes", 1 << 60)
    assert started.post(PATH, json={}, headers=bearer(started, "recordings")).status_code == 507


def test_a_recording_is_shown_with_all_its_fields_and_stopped_twice(client):
    number = recording_of(box_of(client).database)
    shown = client.get(f"{PATH}/{number}").json()
    assert list(shown) == FIELDS
    assert (shown["id"], shown["state"], shown["device"]) == (number, "recording", "default")
    assert shown["startedAt"].endswith("Z") and shown["sessionId"] is None
    assert (shown["gaps"], shown["alarms"]) == ([], [])
    assert shown["failover"] == {"active": False, "reason": None, "cloudSeconds": 0.0}
    for _ in "ab":
        stopped = client.post(f"{PATH}/{number}/stop")
        assert (stopped.status_code, stopped.json()["state"]) == (202, "finishing")


def test_what_has_ended_names_its_session_and_can_not_be_discarded(client):
    database = box_of(client).database
    first, second = recording_of(database), recording_of(database)
    put(database, first, RecordingState.DONE)
    listed = client.get(PATH).json()
    assert [recording["id"] for recording in listed] == [second, first]
    assert listed[1]["state"] == "done" and listed[1]["sessionId"] and not listed[0]["sessionId"]
    assert client.post(f"{PATH}/{first}/stop").json()["state"] == "done"
    assert client.post(f"{PATH}/{first}/discard").status_code == 409


def test_discarding_deletes_the_recording_with_its_text_and_its_hidden_session(client):
    box = box_of(client)
    number = recording_of(box.database)
    say(box.database, number, "nobody shall read this")
    folder = box.folder.recordings / str(number)
    folder.mkdir()
    (folder / "audio.pcm").write_bytes(b"\0\0" * 16_000)
    assert client.post(f"{PATH}/{number}/discard").status_code == 204
    assert not folder.exists()
    assert client.get(f"{PATH}/{number}").status_code == 404
    assert client.post(f"{PATH}/{number}/discard").status_code == 404
    with box.database.read() as session:
        assert not session.exec(select(RecordingEvent)).all()


@pytest.mark.parametrize("number", ["0", "999", "99999999999999999999", "abc"])
def test_a_recording_that_does_not_exist_is_404(client, number):
    for method, path in (("GET", ""), ("POST", "/stop"), ("POST", "/discard"), ("GET", "/events")):
        assert client.request(method, f"{PATH}/{number}{path}").status_code == 404


def test_another_accounts_recording_is_404_everywhere_and_not_listed(client):
    account(client, "bob")
    number = recording_of(box_of(client).database, "bob")
    for method, path in (("GET", ""), ("POST", "/stop"), ("POST", "/discard"), ("GET", "/events")):
        assert client.request(method, f"{PATH}/{number}{path}").status_code == 404
    assert client.get(PATH).json() == []
    headers = bearer(client, "recordings", account="bob")
    assert client.get(f"{PATH}/{number}", headers=headers).json()["state"] == "recording"


def test_the_document_shows_what_each_route_answers():
    paths = app.create(Settings(), "http://127.0.0.1:1").openapi_schema.to_schema()["paths"]
    shown = {
        (method, path.removeprefix(PATH)): {s for s in operation["responses"] if s < "500"}
        for path, operations in paths.items()
        if path.startswith(PATH)
        for method, operation in operations.items()
    }
    common, one = {"400", "401", "403", "429"}, {"404"}
    assert shown == {
        ("get", "/devices"): {"200", *common},
        ("post", ""): {"201", "409", "413", *common},
        ("get", ""): {"200", *common},
        ("get", "/{recording_id}"): {"200", *common, *one},
        ("post", "/{recording_id}/stop"): {"202", *common, *one},
        ("post", "/{recording_id}/discard"): {"204", "409", *common, *one},
        ("get", "/{recording_id}/events"): {"200", "204", *common, *one},
    }
    stream = paths[f"{PATH}/{{recording_id}}/events"]["get"]
    assert list(stream["responses"]["200"]["content"]) == ["text/event-stream"]
    assert "Last-Event-ID" in [parameter["name"] for parameter in stream["parameters"]]
    assert "503" in paths[PATH]["post"]["responses"] and "507" in paths[PATH]["post"]["responses"]
