"""Sessions, transcripts, keys, accounts and vocabulary as a client of the API meets them."""

import threading

import pytest
from box_client import BASE, account, bearer, box_of, session_of
from sqlmodel import select

from appliance.errors import NotFound
from appliance.store.entities import Audit

READ, WRITE = "sessions:read", "sessions:write"
AUDIO = bytes(range(200))


@pytest.fixture
def client(started):
    """Return a client with the scopes of sessions."""
    started.headers.update(bearer(started, READ, WRITE))
    return started


def test_a_change_is_found_and_the_original_stays(client):
    number = session_of(client, original_transcript="um hello")
    changed = client.patch(f"{BASE}/{number}/", json={"note": "Grüße aus Köln", "tags": "a, b"})
    assert changed.status_code == 200
    assert changed.json() == client.get(f"{BASE}/{number}").json()
    assert changed.json()["originalTranscript"] == "um hello"
    found = client.get(f"{BASE}/", params={"q": "koln", "tag": "B"})
    assert [s["id"] for s in found.json()] == [number]
    assert found.headers["X-Total-Count"] == "1"


def test_a_field_that_can_not_be_changed_is_named(client):
    number = session_of(client)
    answer = client.patch(f"{BASE}/{number}", json={"originalTranscript": "x"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "originalTranscript"
    deep = b'{"title":' + b"[" * 100_000
    for body in (deep, b"{", b"[]", b"", b'{"title": 3}', b'{"title": "\\ud800"}', b"\xff"):
        assert client.patch(f"{BASE}/{number}", content=body).status_code == 400
    assert client.patch(f"{BASE}/{number}", content=b"x" * 11_000_000).status_code == 413


def test_deleting_takes_the_audio_and_the_segments_along(client):
    before = set(box_of(client).folder.audio.iterdir())
    number = session_of(client, audio=AUDIO)
    assert client.delete(f"{BASE}/{number}").status_code == 204
    for path in ("", "/segments", "/audio", "/export"):
        assert client.get(f"{BASE}/{number}{path}").status_code == 404
    assert client.delete(f"{BASE}/{number}").status_code == 404
    assert set(box_of(client).folder.audio.iterdir()) == before


def test_the_audio_is_served_whole_in_ranges_and_not_twice(client):
    path = f"{BASE}/{session_of(client, audio=AUDIO)}/audio"
    whole = client.get(path)
    assert whole.content == AUDIO and whole.headers["Accept-Ranges"] == "bytes"
    part = client.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, AUDIO[10:20])
    assert part.headers["Content-Range"] == "bytes 10-19/200"
    assert client.get(path, headers={"Range": "bytes=200-"}).status_code == 416
    etag = whole.headers["ETag"]
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 304
    other = client.get(path, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, AUDIO)
    assert client.head(path).headers["Content-Length"] == "200"


def test_a_session_without_audio_has_none(client):
    number = session_of(client)
    assert client.get(f"{BASE}/{number}/audio").status_code == 404


@pytest.mark.parametrize("format", ["txt", "srt", "vtt", "json", "md", "docx"])
def test_every_format_is_a_file_to_take_away(client, format):
    number = session_of(client, note="Hello there, edited.")
    answer = client.get(f"{BASE}/{number}/export", params={"format": format})
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].endswith(f'"session-{number}.{format}"')
    if format in ("txt", "md"):
        assert "Hello there, edited." in answer.text
    if format in ("srt", "vtt", "json"):
        assert "Hello there." in answer.text


def test_an_unknown_format_is_400_and_names_those_there_are(client):
    answer = client.get(f"{BASE}/{session_of(client)}/export?format=pdf")
    assert answer.status_code == 400 and "docx" in answer.json()["detail"]


def test_another_accounts_things_are_404_everywhere(client):
    account(client, "bob")
    number = session_of(client, "bob", audio=AUDIO)
    for path in ("", "/segments", "/audio", "/export"):
        assert client.get(f"{BASE}/{number}{path}").status_code == 404
    assert client.patch(f"{BASE}/{number}", json={}).status_code == 404
    assert client.delete(f"{BASE}/{number}").status_code == 404
    headers = bearer(client, READ, WRITE, account="bob")
    assert client.get(f"{BASE}/{number}/audio", headers=headers).content == AUDIO
    job = client.post(f"{BASE}/", content=b"x", headers=headers).json()
    assert client.get(job["statusUrl"]).status_code == 404
    assert client.post(job["statusUrl"] + "/cancel").status_code == 404
    assert client.get(job["statusUrl"], headers=headers).json()["state"] == "queued"


def test_a_job_that_waits_is_cancelled_with_its_audio_and_twice_is_fine(client):
    first, second = (client.post(f"{BASE}/", content=b"x").json()["statusUrl"] for _ in "ab")
    places = [client.get(url).json()["position"] for url in (first, second)]
    assert places[1] == places[0] + 1
    before = len(list(box_of(client).folder.audio.iterdir()))
    for _ in "ab":
        assert client.post(f"{second}/cancel").json()["state"] == "cancelled"
    assert len(list(box_of(client).folder.audio.iterdir())) == before - 1


def test_without_a_model_waiting_answers_at_once_with_the_job(client):
    assert client.post(f"{BASE}/?wait=true", content=b"x").status_code == 202


@pytest.mark.parametrize(
    ("query", "body"),
    [("", b""), ("?language=english", b"x"), ("?tags=" + "x" * 101, b"x"), ("?wait=maybe", b"x")],
)
def test_an_upload_that_makes_no_sense_is_400_and_leaves_no_file(client, query, body):
    before = list(box_of(client).folder.audio.iterdir())
    assert client.post(f"{BASE}/{query}", content=body).status_code == 400
    assert list(box_of(client).folder.audio.iterdir()) == before


def test_an_upload_too_large_is_413_by_its_length_and_by_its_bytes(client):
    box_of(client).uploads.audio.limit_bytes = 1000
    assert client.post(f"{BASE}/", content=b"x" * 1001).status_code == 413
    pieces = (b"x" * 100 for _ in range(20_000))  # no Content-Length
    assert client.post(f"{BASE}/", content=pieces).status_code == 413
    assert not list(box_of(client).folder.audio.glob("*.part"))


def test_a_disk_too_full_is_507(client):
    box_of(client).uploads.audio.reserve_bytes = 1 << 60
    assert client.post(f"{BASE}/", content=b"x").status_code == 507


def test_the_vocabulary_is_set_and_read(client):
    body = {"hotwords": ["Scribebox"], "replacements": [{"from": "scribe box", "to": "Scribebox"}]}
    assert client.put("/api/v1/vocabulary", json=body).json() == body
    assert client.get("/api/v1/vocabulary").json() == body
    assert client.put("/api/v1/vocabulary", json={"hotwords": [""]}).status_code == 400
    assert client.get("/api/v1/vocabulary").json() == body


def test_keys_are_made_listed_and_revoked_and_the_audit_knows_by_whom(started):
    started.headers.update(bearer(started, "admin"))
    account(started, "bob")
    wanted = {"name": "laptop", "scopes": [READ], "account": "bob", "expires": "90d"}
    made = started.post("/api/v1/keys", json=wanted)
    assert made.status_code == 201 and made.headers["Cache-Control"] == "no-store"
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    assert started.get(BASE, headers=headers).status_code == 200
    assert started.get("/api/v1/keys", headers=headers).status_code == 403
    listed = started.get("/api/v1/keys")
    assert listed.json()[0]["name"] == "laptop" and made.json()["key"] not in listed.text
    for _ in "ab":
        assert started.delete(f"/api/v1/keys/{made.json()['id']}").status_code == 204
    assert started.get(BASE, headers=headers).status_code == 401  # at once
    assert started.delete("/api/v1/keys/nonsense").status_code == 404
    with box_of(started).database.read() as session:
        lines = session.exec(select(Audit).where(Audit.target == made.json()["id"])).all()
    assert [line.action for line in lines] == ["key.create", "key.revoke", "key.revoke"]
    assert all(line.key_id and line.address and line.account_id for line in lines)


WRONG_KEYS = [
    {"name": "", "scopes": [READ]},
    {"name": "x", "scopes": []},
    {"name": "x", "scopes": ["nonsense"]},
    {"name": "x", "scopes": [READ], "expires": "soon"},
    {"name": "x", "scopes": [READ], "expiresAt": "2020-01-01T00:00:00Z"},
    {"name": "x", "scopes": [READ], "expiresAt": "2090-01-01T00:00:00"},
    {"name": "x", "scopes": [READ], "expires": "1d", "expiresAt": "2090-01-01T00:00:00Z"},
    {"name": "x", "scopes": [READ], "admin": True},
    {"name": "x", "scopes": [READ], "expiresAt": "9999-12-31T23:59:59-01:00"},
]


def test_a_key_that_makes_no_sense_is_400(started):
    headers = bearer(started, "admin")
    for body in WRONG_KEYS:
        assert started.post("/api/v1/keys", json=body, headers=headers).status_code == 400, body


def test_accounts_are_made_listed_and_changed(started):
    started.headers.update(bearer(started, "admin"))
    made = started.post("/api/v1/accounts", json={"name": "bob", "timezone": "Asia/Kathmandu"})
    assert made.status_code == 201
    assert started.post("/api/v1/accounts", json={"name": "bob"}).status_code == 409
    path = f"/api/v1/accounts/{made.json()['id']}"
    assert started.patch(path, json={"plan": "hobby"}).json()["plan"] == "hobby"
    assert started.patch(path, json={"plan": "gold"}).status_code == 400
    assert started.patch("/api/v1/accounts/99", json={}).status_code == 404
    names = [found["name"] for found in started.get("/api/v1/accounts").json()]
    assert names == ["bob", "default"]


def test_a_page_far_past_the_end_is_empty(client):
    assert client.get(f"{BASE}/?page=99999999999999999999").json() == []


def test_two_deletes_at_once_leave_no_file(client):
    box = box_of(client)
    before = set(box.folder.audio.iterdir())
    for _ in range(10):
        number = session_of(client, audio=AUDIO)
        barrier = threading.Barrier(2)
        outcomes = []

        def delete(number=number, barrier=barrier, outcomes=outcomes):
            barrier.wait(60)
            try:
                box.uploads.delete_session(1, number)
                outcomes.append("deleted")
            except NotFound:
                outcomes.append("missing")

        threads = [threading.Thread(target=delete) for _ in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(outcomes) == ["deleted", "missing"]
    assert set(box.folder.audio.iterdir()) == before
