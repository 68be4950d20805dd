"""The outline of a session's audio and the link that plays it, over HTTP."""

import threading
from datetime import timedelta

import numpy as np
import pytest
from aged_box import NOW, AgedBox
from box_client import BASE, account, bearer, box_of, session_of
from speech_fixtures import encode, tone, write_wav

from appliance import waveforms
from appliance.errors import NotFound
from appliance.store.entities import SessionRow
from engine.audio import Decoding

READ = "sessions:read"
QUIET, LOUD = tone(1, level=0.25), tone(1, level=0.75)


@pytest.fixture
def client(started):
    """Return a client that may read sessions."""
    started.headers.update(bearer(started, READ))
    return started


@pytest.fixture
def wav(tmp_path):
    """Return the bytes of a second of quiet tone and one of a loud one."""
    return write_wav(tmp_path / "a.wav", np.concatenate((QUIET, LOUD))).read_bytes()


def kept(client):
    """Return the names of the outlines that are kept."""
    folder = box_of(client).folder.path / "peaks"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_the_outline_has_the_length_and_the_loudness_of_each_slice(client, wav):
    number = session_of(client, audio=wav)
    answer = client.get(f"{BASE}/{number}/peaks", params={"points": 100})
    assert answer.status_code == 200
    assert answer.json() == {"durationSeconds": 2.0, "points": [25] * 50 + [75] * 50}
    assert len(client.get(f"{BASE}/{number}/peaks").json()["points"]) == 800


@pytest.mark.parametrize(("kind", "codec"), [("ogg", "libopus"), ("mp3", "libmp3lame")])
def test_other_containers_have_an_outline_too(client, tmp_path, kind, codec):
    sound = np.concatenate((np.repeat(QUIET, 3), np.repeat(LOUD, 3)))
    path = encode(tmp_path / "a", kind, codec, sound, rate=48_000)
    answer = client.get(f"{BASE}/{session_of(client, audio=path.read_bytes())}/peaks?points=100")
    points = answer.json()["points"]
    assert max(points[5:45]) < 40 and min(points[55:95]) > 60


def test_it_is_made_once_and_goes_with_the_session(client, wav, monkeypatch):
    decoded = []
    monkeypatch.setattr(waveforms, "Decoding", lambda path: decoded.append(path) or Decoding(path))
    number = session_of(client, audio=wav)
    first = client.get(f"{BASE}/{number}/peaks").json()
    assert client.get(f"{BASE}/{number}/peaks?points=800").json() == first
    assert len(decoded) == 1 and kept(client) == [str(number)]
    headers = bearer(client, "sessions:write")
    assert client.delete(f"{BASE}/{number}/", headers=headers).status_code == 204
    assert kept(client) == [] and client.get(f"{BASE}/{number}/peaks").status_code == 404


@pytest.mark.parametrize("damage", [b"", b"{}\n", b'{"audio": 3}', b"\xff\n\n", b"[]\nabc"])
def test_a_damaged_outline_is_made_again(client, wav, damage):
    number = session_of(client, audio=wav)
    first = client.get(f"{BASE}/{number}/peaks").json()
    (box_of(client).folder.path / "peaks" / str(number)).write_bytes(damage)
    assert client.get(f"{BASE}/{number}/peaks").json() == first


def test_several_who_ask_at_once_wait_for_the_same(client, wav, monkeypatch):
    decoded = []
    monkeypatch.setattr(waveforms, "Decoding", lambda path: decoded.append(path) or Decoding(path))
    number, found = session_of(client, audio=wav), []
    outlines = box_of(client).uploads.waveforms
    threads = [
        threading.Thread(target=lambda: found.append(outlines.of(1, number))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4 and len(set(found)) == 1 and len(decoded) == 1


def test_a_session_deleted_while_its_outline_is_made_leaves_none(client, wav, monkeypatch):
    box, number = box_of(client), session_of(client, audio=wav)

    def decoding(path):
        box.uploads.delete_session(1, number)
        (box.folder.path / "copy").write_bytes(wav)
        return Decoding(box.folder.path / "copy")

    monkeypatch.setattr(waveforms, "Decoding", decoding)
    assert client.get(f"{BASE}/{number}/peaks").status_code == 404
    assert kept(client) == []


def test_an_outline_goes_with_audio_that_is_too_old_and_what_a_crash_left_at_the_start(tmp_path):
    box = AgedBox(tmp_path)
    alice = box.account()
    old, young = box.session(alice, timedelta(days=9)), box.session(alice, timedelta(days=1))
    folder = tmp_path / "peaks"
    folder.mkdir()
    for name in (str(old), str(young), "99", f"{young}.part"):
        (folder / name).write_bytes(b"")
    box.retention(audio_days=7).run(NOW)
    assert sorted(p.name for p in folder.iterdir()) == sorted([str(young), "99", f"{young}.part"])
    box.uploads.waveforms.sweep()
    assert [p.name for p in folder.iterdir()] == [str(young)]
    with pytest.raises(NotFound, match="no audio"):
        box.uploads.waveforms.of(alice, old)
    box.database.close()


def test_the_journal_of_a_recording_has_an_outline_too(client):
    box, number = box_of(client), session_of(client)
    folder = box.folder.recordings / "7"
    folder.mkdir()
    (folder / "audio.pcm").write_bytes(LOUD.tobytes())
    with box.database.write() as session:
        session.get_one(SessionRow, number).audio_path = "recordings/7/audio.pcm"
    answer = client.get(f"{BASE}/{number}/peaks?points=100")
    assert answer.json() == {"durationSeconds": 1.0, "points": [75] * 100}


def test_without_audio_with_lost_audio_and_with_what_is_none_it_is_404(client):
    lost = session_of(client, audio=b"x")
    (box_of(client).folder.audio / str(lost)).unlink()
    for number in (session_of(client), lost, session_of(client, audio=b"<html>"), 999):
        answer = client.get(f"{BASE}/{number}/peaks")
        assert answer.status_code == 404
        assert str(box_of(client).folder.path) not in answer.text


@pytest.mark.parametrize("points", ["99", "4001", "-1", "x", "800.5"])
def test_points_that_can_not_be_are_400_and_named(client, points):
    answer = client.get(f"{BASE}/1/peaks", params={"points": points})
    assert answer.status_code == 400 and answer.json()["errors"][0]["field"] == "points"


def test_the_link_plays_the_audio_in_ranges_without_a_key(client):
    audio = bytes(range(200))
    answer = client.get(f"{BASE}/{session_of(client, audio=audio)}/audio-url")
    assert answer.json()["expiresIn"] == 3600 and answer.headers["Cache-Control"] == "no-store"
    link = answer.json()["url"]
    del client.headers["Authorization"]
    whole = client.get(link)
    assert (whole.status_code, whole.content) == (200, audio)
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    part = client.get(link, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, audio[10:20])
    assert client.get(link, headers={"Range": "bytes=200-"}).status_code == 416
    assert client.head(link).headers["Content-Length"] == "200"


def test_a_link_opens_nothing_else_and_not_for_ever(client):
    number, other = session_of(client, audio=b"abc"), session_of(client, audio=b"secret")
    link = client.get(f"{BASE}/{number}/audio-url").json()["url"]
    path, _, signature = link.partition("?signature=")
    signatures = box_of(client).signatures
    late = signatures.sign("download", path, 1, -1)
    upload = signatures.sign("upload", path, 1, 60)
    foreign = signatures.sign("download", path, 2, 60)
    del client.headers["Authorization"]
    for wrong in (
        path,
        f"{path}?signature=",
        f"{path}?signature={signature[:-1]}",
        f"{path}?signature={late}",
        f"{path}?signature={upload}",
        f"{path.replace(str(number), str(other))}?signature={signature}",
        f"{BASE}/{number}/audio?signature={signature}",
    ):
        answer = client.get(wrong)
        assert answer.status_code in (401, 403), wrong
        assert b"secret" not in answer.content
    assert client.get(f"{path}?signature={foreign}").status_code == 404


def test_a_link_ends_with_its_session(client):
    number = session_of(client, audio=b"abc")
    link = client.get(f"{BASE}/{number}/audio-url").json()["url"]
    headers = bearer(client, "sessions:write")
    assert client.delete(f"{BASE}/{number}", headers=headers).status_code == 204
    assert client.get(link).status_code == 404


def test_another_accounts_audio_has_neither_link_nor_outline(client, wav):
    account(client, "bob")
    number = session_of(client, "bob", audio=wav)
    for path in ("audio-url", "peaks"):
        assert client.get(f"{BASE}/{number}/{path}").status_code == 404
        headers = bearer(client, "recordings", account="bob")
        assert client.get(f"{BASE}/{number}/{path}", headers=headers).status_code == 403
