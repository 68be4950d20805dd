"""Files without a row go after a day, and never one that is somebody's."""

import logging
import os
import threading
from datetime import timedelta

import pytest
from aged_box import FILE, JOURNAL, NOW, AgedBox

from appliance.store import recordings, retention, sessions
from appliance.store.entities import AudioFile, SessionRow, Source, now
from scheduler import sweep as duty

DAY = timedelta(days=1)
NOBODYS = "0123456789abcdef" * 2


@pytest.fixture
def box(tmp_path):
    made = AgedBox(tmp_path / "box")
    yield made
    made.database.close()


def lay(box, name, age=2 * DAY, content=b"R"):
    """Put a file there that is so old."""
    path = box.folder.audio / name
    path.write_bytes(content)
    at_s = (now() - age).timestamp()
    os.utime(path, (at_s, at_s))
    return path


def names(box):
    return {path.name for path in box.folder.audio.iterdir()}


def test_what_no_row_names_goes_after_a_day(box, caplog):
    for ending in ("", ".part", ".gone"):
        lay(box, NOBODYS + ending)
        lay(box, "f" * 32 + ending, age=DAY - timedelta(minutes=1))
    lay(box, "recording-7")
    with caplog.at_level(logging.WARNING):
        box.sweep().run()
    assert names(box) == {"f" * 32 + ending for ending in ("", ".part", ".gone")}
    assert "4 deleted" in caplog.text and NOBODYS not in caplog.text


def test_what_rows_name_and_what_is_not_ours_stays(box, tmp_path):
    alice = box.account()
    for audio in (FILE, JOURNAL, None):
        box.session(alice, 9 * DAY, audio=audio)
    box.dictation(alice, 9 * DAY)
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (box.folder.audio / ("a" * 32)).symlink_to(tmp_path / "elsewhere")
    (box.folder.audio / ("b" * 32)).mkdir()
    for strange in ("notes.txt", NOBODYS.upper(), NOBODYS + ".wav", ".keep", "recording-x"):
        lay(box, strange)
    before = box.there()
    sweep = box.sweep()
    sweep.run(now() + 99 * DAY)
    assert box.there() == before
    assert sweep.missing == 0
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"


def test_what_is_being_received_stays_however_long_it_takes(box):
    with box.audio.receive() as incoming:
        incoming.write(b"RI")
        box.sweep().run(now() + 99 * DAY)
        assert incoming.path.exists()
    lay(box, incoming.name + ".part")  # it was given up: now it is nobody's
    box.sweep().run()
    assert names(box) == set()


def test_the_audio_of_a_recording_that_is_being_finished_stays(box):
    alice = box.account()
    with box.database.write() as session:
        hidden = sessions.open_one(session, alice, Source.MICROPHONE)
        row = recordings.add(session, alice, hidden.id, device="d", profile="meeting")
    folder = box.folder.recordings / str(row.id)
    folder.mkdir()
    lay(box, f"recording-{row.id}.part")
    box.sweep().run()
    assert names(box) == {f"recording-{row.id}.part"} and folder.is_dir()
    with box.database.write() as session:
        recordings.delete(session, row)
    box.sweep().run()
    assert names(box) == set() and not folder.exists()


@pytest.mark.parametrize("ending", [".part", ".gone"])
def test_what_a_row_names_is_completed_at_once(box, ending):
    number = box.session(box.account(), DAY)
    with box.database.read() as session:
        path = box.folder.path / session.get_one(SessionRow, number).audio_path
    path.rename(path.with_name(path.name + ending))
    sweep = box.sweep()
    sweep.run()
    assert path.read_bytes() == b"RI" and names(box) == {path.name}
    assert sweep.missing == 0


def test_rows_without_their_file_are_counted_and_told_without_a_name(box, caplog):
    alice = box.account()
    for audio in (FILE, JOURNAL):
        box.session(alice, 9 * DAY, audio=audio)
    box.dictation(alice, 9 * DAY)
    sweep = box.sweep()
    sweep.run()
    assert sweep.missing == 0
    lost = box.there()
    for path in lost:
        (box.folder.path / path).unlink()
    with caplog.at_level(logging.WARNING, "scheduler.sweep"):
        sweep.run()
    assert sweep.missing == 3
    assert "3 audio files are missing" in caplog.text
    assert not any(path in caplog.text for path in lost)


def test_a_database_that_knows_few_of_the_files_lets_none_go(box, caplog):
    box.session(box.account(), 9 * DAY)
    for number in range(duty.FEW + 1):
        lay(box, f"{number:032x}")
    lay(box, NOBODYS + ".part")
    with caplog.at_level(logging.ERROR, "scheduler.sweep"):
        box.sweep().run()
    assert len(names(box)) == duty.FEW + 2
    assert "right database" in caplog.text
    (box.folder.audio / f"{0:032x}").unlink()
    box.sweep().run()
    assert len(names(box)) == 1


def test_a_row_that_came_after_the_first_look_saves_its_file(box, monkeypatch):
    alice = box.account()
    lay(box, NOBODYS)
    named_among = retention.named_among

    def and_then_there_is_a_row(session, paths):
        with box.database.write() as writing:
            writing.add(
                AudioFile(storage_id="s", account_id=alice, path=f"audio/{NOBODYS}", bytes=1,
                          sha256="ab" * 32, media_type="audio/wav")
            )  # fmt: skip
        return named_among(session, paths)

    monkeypatch.setattr(duty.retention, "named_among", and_then_there_is_a_row)
    box.sweep().run()
    assert names(box) == {NOBODYS}


def test_nothing_is_deleted_while_something_is_being_filed(box):
    lay(box, NOBODYS)
    for lock in (box.uploads.filing, box.history_audio.filing):
        with lock:
            running = threading.Thread(target=box.sweep().run)
            running.start()
            running.join(0.2)
            assert running.is_alive() and names(box) == {NOBODYS}
            box.stopping.set()
        running.join(60)
        lay(box, NOBODYS)
        box.stopping.clear()


def test_a_sweep_that_is_stopped_leaves_the_rest(box):
    lay(box, NOBODYS)
    box.stopping.set()
    box.sweep().run()
    assert names(box) == {NOBODYS}
    box.stopping.clear()
    box.sweep().run(NOW)
    assert names(box) == set()
