"""Audio of the dictation history: kept, attached, replaced, removed, each file with its row."""

from datetime import timedelta

import pytest
from speech_fixtures import fixture, tone, write_wav

from appliance.audio_folder import AudioFolder
from appliance.errors import Conflict, NotFound
from appliance.history_audio import HistoryAudio, sniffed
from appliance.store import audio_files, history
from appliance.store.entities import AudioFile, now
from appliance.store.history import Dictation
from engine.errors import AudioUnreadable, Cancelled

SPEECH = fixture("dictation").path.read_bytes()


@pytest.fixture
def audio(tmp_path, database):
    folder = tmp_path / "audio"
    folder.mkdir()
    return HistoryAudio(database, AudioFolder(folder))


def kept(audio, account, name, content=SPEECH):
    with audio.folder.receive() as incoming:
        incoming.write(content)
        audio.keep(incoming, name, account)
    return name


def entry(database, account):
    said = Dictation(raw_transcript="a", cleaned_text="a", duration_ms=1)
    with database.write() as session:
        return history.add(session, account, said, 0).id


def files(audio):
    return sorted(path.name for path in audio.folder.path.iterdir())


def test_what_was_never_attached_goes_after_a_day(audio, database, account):
    old, new, used = (kept(audio, account, name) for name in ("old", "new", "used"))
    audio.attach(account, entry(database, account), used)
    with database.write() as session:
        for name in (old, used):
            session.get_one(AudioFile, name).created_at = now() - timedelta(hours=25)
    audio.remove_unattached()
    with pytest.raises(NotFound):
        audio.stored(account, old)
    left = {audio.stored(account, name).path.removeprefix("audio/") for name in (new, used)}
    assert set(files(audio)) == left


def test_what_is_replaced_goes_with_its_file(audio, database, account):
    one, two = (kept(audio, account, name) for name in ("one", "two"))
    number = entry(database, account)
    audio.attach(account, number, one)
    audio.attach(account, number, two)
    assert audio.of(account, number).storage_id == two
    assert len(files(audio)) == 1
    with pytest.raises(NotFound):
        audio.stored(account, one)


def test_a_link_takes_one_sound_only(audio, account):
    kept(audio, account, "one")
    kept(audio, account, "one")
    with pytest.raises(Conflict):
        kept(audio, account, "one", SPEECH + b"x")
    assert len(files(audio)) == 1


def test_a_link_takes_nothing_else_after_its_audio_was_deleted(audio, database, account):
    number = entry(database, account)
    audio.attach(account, number, kept(audio, account, "one"))
    audio.delete_entry(account, number)
    for content in (SPEECH, SPEECH + b"x"):
        with pytest.raises(Conflict):
            kept(audio, account, "one", content)
    assert files(audio) == []


def test_who_received_it_may_be_cancelled_while_it_is_filed(audio, account):
    with audio.folder.receive() as incoming:
        incoming.write(SPEECH)
        with incoming.filing():
            incoming.__exit__(None, None, None)  # the request is gone, the thread goes on
            assert incoming.path.exists()
        incoming.close()
        incoming.settle()
    assert len(files(audio)) == 1


def test_what_was_given_up_is_not_filed(audio, account):
    with audio.folder.receive() as incoming:
        incoming.write(SPEECH)
    with pytest.raises(Cancelled):
        audio.keep(incoming, "one", account)
    assert files(audio) == []


def test_the_clean_up_goes_on_after_one_that_is_gone(audio, database, account, monkeypatch):
    for name in ("one", "two"):
        kept(audio, account, name)
        with database.write() as session:
            session.get_one(AudioFile, name).created_at = now() - timedelta(hours=25)
    listed = audio_files.unattached

    def and_then_one_goes(session, before):
        rows = listed(session, before)
        number = entry(database, account)
        audio.attach(account, number, rows[0].storage_id)
        audio.delete_entry(account, number)
        return rows

    monkeypatch.setattr(audio_files, "unattached", and_then_one_goes)
    audio.remove_unattached()
    assert files(audio) == []


def test_a_deletion_that_can_not_be_written_leaves_the_audio(audio, database, account, monkeypatch):
    number = entry(database, account)
    audio.attach(account, number, kept(audio, account, "one"))
    before = files(audio)

    def refuse(*_):
        raise OSError("the disk is gone")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="the disk is gone"):
        patched.setattr(database, "write", refuse)
        audio.delete_entry(account, number)
    assert files(audio) == before
    assert audio.of(account, number).storage_id == "one"


def test_another_account_can_neither_see_nor_attach(audio, database, account):
    kept(audio, account, "one")
    with pytest.raises(NotFound):
        audio.stored(account + 1, "one")
    with pytest.raises(NotFound):
        audio.attach(account + 1, entry(database, account), "one")


def test_the_type_is_that_of_the_content(tmp_path):
    assert sniffed(fixture("dictation").path) == "audio/flac"
    assert sniffed(write_wav(tmp_path / "speech.mp3", tone(1))) == "audio/wav"


@pytest.mark.parametrize(
    "content", [b"", b"#EXTM3U\nhttp://x/", b"ffconcat version 1.0\nfile secret", b"\0" * 5000]
)
def test_what_can_not_be_decoded_is_refused_without_a_path(tmp_path, content):
    path = tmp_path / "secret-folder"
    path.write_bytes(content)
    with pytest.raises(AudioUnreadable) as caught:
        sniffed(path)
    assert "secret-folder" not in str(caught.value)
