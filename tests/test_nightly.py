"""A backup each night, a few of them kept, and nothing else ever touched."""

import shutil
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from filled_box import filled

from appliance import archive, backup
from appliance.data_folder import DataFolder
from appliance.errors import NoRoom, NotFound
from appliance.gathering import Gathering, Options
from appliance.settings import Settings
from scheduler import backup as nightly
from scheduler.backup import Nightly

HOUR = timedelta(hours=1)
NIGHT = datetime(2026, 3, 10, 3, 0, tzinfo=UTC)
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
WAIT_S = 60


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("template") / "box", count=1, audio_bytes=300).path


@pytest.fixture
def folder(template, tmp_path, monkeypatch):
    """Return the data folder of a box, in a zone in which it is as late as in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield DataFolder(shutil.copytree(template, tmp_path / "box"))
    monkeypatch.undo()
    time.tzset()


def keeper(folder, running_s=7200.0, **settings):
    """Return what makes the backups of a box that has run for two hours."""
    made = Nightly(Settings(data_dir=folder.path, **settings), folder)
    made._started_s -= running_s
    return made


def names(folder):
    return sorted(path.name for path in folder.backups.iterdir()) if folder.backups.exists() else []


def test_the_first_is_made_when_the_box_has_run_for_an_hour(folder):
    keeper(folder, running_s=60).carry_out(NOON)
    assert names(folder) == []
    keeper(folder).carry_out(NOON)
    assert names(folder) == ["nightly-20260310T120000Z"]
    manifest = archive.verify(folder.backups / names(folder)[0])
    assert (manifest.kind, manifest.sessions) == ("nightly", 1)


@pytest.mark.parametrize(
    ("age", "now", "due"),
    [
        (21 * HOUR, NIGHT, True),
        (24 * HOUR, NIGHT + 1.9 * HOUR, True),
        (19 * HOUR, NIGHT, False),
        (24 * HOUR, NIGHT + 2 * HOUR, False),  # five o'clock
        (24 * HOUR, NIGHT - 1.1 * HOUR, False),
        (29 * HOUR, NOON, False),
        (30 * HOUR, NOON, True),
        (900 * HOUR, NOON, True),
        (-2 * HOUR, NIGHT, False),  # the clock was set back a little
        (-900 * HOUR, NIGHT, True),  # it was wrong for good
    ],
)
def test_the_next_is_made_at_night_or_when_it_is_overdue(folder, age, now, due):
    keeper(folder).carry_out(now - age)
    keeper(folder).carry_out(now)
    assert len(names(folder)) == 1 + due


def test_night_is_where_the_box_stands(folder, monkeypatch):
    keeper(folder).carry_out(NIGHT - 24 * HOUR)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    keeper(folder).carry_out(NIGHT)
    assert len(names(folder)) == 1
    keeper(folder).carry_out(NIGHT - 9 * HOUR)  # 18:00 in UTC is 3:00 there
    assert len(names(folder)) == 1  # but that is not a day yet
    keeper(folder).carry_out(NIGHT - 9 * HOUR + 6 * HOUR)
    keeper(folder).carry_out(NIGHT + 15 * HOUR)
    assert len(names(folder)) == 2


def test_looked_at_each_hour_there_is_one_each_night(folder):
    nights = keeper(folder, backup_keep=100)
    for hour in range(10 * 24 - 1):
        nights.carry_out(NIGHT + hour * HOUR + timedelta(minutes=hour % 7))
    made = [night.at for night in nightly.nights(folder.backups)]
    assert len(made) == 10 and {at.hour for at in made} <= {2, 3, 4}


def test_the_newest_are_kept_and_nothing_else_is_touched(folder):
    folder.backups.mkdir()
    by_hand = backup.create(folder, folder.backups).path
    before = backup.create(folder, folder.backups / "before-step-0003").path
    asked = backup.create(folder, folder.backups / "nightly-20200101T000000Z").path
    for name in ("nightly-20200102T000000Z", "nightly-photos", "photos"):
        (folder.backups / name).mkdir()
    (folder.backups / "nightly-20200102T000000Z" / archive.MANIFEST).write_text("holidays")
    (folder.backups / "nightly-20200103T000000Z").symlink_to(by_hand)
    strangers = set(names(folder))
    for day in range(5):
        keeper(folder, backup_keep=2).carry_out(NIGHT + 24 * day * HOUR)
    made = sorted(set(names(folder)) - strangers)
    assert made == ["nightly-20260313T030000Z", "nightly-20260314T030000Z"]
    assert strangers <= set(names(folder))
    for path in (by_hand, before, asked):
        archive.verify(path)


def test_with_none_to_keep_none_is_made(folder):
    keeper(folder, backup_keep=0).carry_out(NOON)
    assert names(folder) == []


def test_another_folder_is_made_and_used(folder, tmp_path):
    keeper(folder, backup_dir=tmp_path / "disk").carry_out(NOON)
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["nightly-20260310T120000Z"]
    assert names(folder) == []


def test_a_disk_that_is_away_is_not_made_up_for(folder, tmp_path):
    with pytest.raises(NotFound, match="is a disk away"):
        keeper(folder, backup_dir=tmp_path / "usb" / "box").carry_out(NOON)
    assert not (tmp_path / "usb").exists()


def test_without_room_the_last_one_stays_and_the_error_says_what_to_do(folder, monkeypatch):
    nights = keeper(folder, backup_keep=1)
    nights.carry_out(NOON)
    assert (nights.last.archive.name, nights.last.error) == ("nightly-20260310T120000Z", None)

    def refuse(*_):
        raise NoRoom("the disk has 0 MB left; make room")

    with monkeypatch.context() as patch:
        patch.setattr(Gathering, "_check_room", refuse)
        with pytest.raises(NoRoom, match="make room"):
            nights.carry_out(NOON + 40 * HOUR)
    assert names(folder) == ["nightly-20260310T120000Z"]
    assert (nights.last.archive, nights.last.error) == (None, "NoRoom")
    nights.carry_out(NOON + 41 * HOUR)
    assert names(folder) == ["nightly-20260312T050000Z"]
    assert nights.newest() == NOON + 41 * HOUR


def test_the_last_one_with_all_audio_outlives_those_without(folder):
    nights = keeper(folder, backup_keep=2)
    nights.carry_out(NIGHT)
    (folder.audio / "upload0").unlink()
    for day in range(1, 5):
        nights.carry_out(NIGHT + 24 * day * HOUR)
    assert [name[14:16] for name in names(folder)] == ["10", "13", "14"]


def test_one_from_the_future_goes_before_those_of_today(folder):
    nights = keeper(folder, backup_keep=2)
    nights.carry_out(NIGHT + 9000 * HOUR)  # before the clock was set
    nights.carry_out(NIGHT)
    nights.carry_out(NIGHT + 24 * HOUR)
    assert names(folder) == ["nightly-20260310T030000Z", "nightly-20260311T030000Z"]


def test_one_from_the_future_does_not_call_for_one_each_hour(folder):
    nights = keeper(folder)
    nights.carry_out(NIGHT + 9000 * HOUR)
    for hour in range(5):
        nights.carry_out(NIGHT + hour * HOUR)
    assert len(names(folder)) == 2


def test_a_box_that_stops_waits_for_no_backup(folder, monkeypatch):
    nights, begun, waited = keeper(folder), threading.Event(), []
    pace = nights._pace

    def slowly(*told):
        begun.set()
        assert nights._closing.wait(WAIT_S)
        waited.append(True)
        pace(*told)

    monkeypatch.setattr(nights, "_pace", slowly)
    thread = threading.Thread(target=nights.carry_out, args=[NOON])
    thread.start()
    assert begun.wait(WAIT_S)
    nights.close()
    thread.join(WAIT_S)
    assert not thread.is_alive() and len(waited) == 1
    assert (names(folder), nights.last) == ([], None)


def test_a_removal_that_is_cut_off_leaves_nothing_that_looks_whole(folder, monkeypatch):
    nights = keeper(folder, backup_keep=1)
    nights.carry_out(NIGHT)
    with monkeypatch.context() as patch:
        patch.setattr("appliance.unfinished.shutil.rmtree", lambda *_, **__: None)
        nights.carry_out(NIGHT + 24 * HOUR)
    hidden, made = names(folder)
    assert hidden.startswith(".nightly-20260310") and made == "nightly-20260311T030000Z"
    assert len(nightly.nights(folder.backups)) == 1
    nights.carry_out(NIGHT + 48 * HOUR)
    assert names(folder) == ["nightly-20260312T030000Z"]


def test_the_newest_is_found_and_that_there_is_none_is_told(folder, tmp_path):
    with pytest.raises(NotFound, match="no nightly backup"):
        nightly.newest(tmp_path / "none")
    keeper(folder).carry_out(NIGHT)
    keeper(folder).carry_out(NIGHT + 24 * HOUR)
    backup.create(folder, folder.backups, Options())
    assert nightly.newest(folder.backups).name == "nightly-20260311T030000Z"
