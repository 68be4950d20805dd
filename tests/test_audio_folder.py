"""A file has its final name only if a row names it, whatever is cut off on the way."""

import errno
import os

import pytest

from appliance.audio_folder import AudioFolder, out_of_room
from appliance.errors import NoRoom, TooLarge


@pytest.fixture
def folder(tmp_path):
    return AudioFolder(tmp_path, limit_bytes=100)


def names(folder):
    return sorted(path.name for path in folder.path.iterdir())


def test_a_file_is_a_part_until_it_is_settled(folder):
    with folder.receive() as incoming:
        incoming.write(b"abc")
        incoming.close()
        assert names(folder) == [f"{incoming.name}.part"]
        incoming.settle()
    assert names(folder) == [incoming.name]
    assert incoming.sha256.startswith("ba7816bf") and incoming.bytes == 3


def test_a_file_that_is_given_up_leaves_nothing(folder):
    with pytest.raises(RuntimeError), folder.receive() as incoming:
        incoming.write(b"abc")
        raise RuntimeError
    assert names(folder) == []


def test_a_file_over_the_limit_is_refused_as_it_grows(folder):
    with pytest.raises(TooLarge, match="100 bytes"), folder.receive() as incoming:
        incoming.write(b"x" * 60)
        incoming.write(b"x" * 60)
    assert names(folder) == []


def test_what_would_fill_the_reserve_of_the_disk_is_refused_before_it_comes(tmp_path):
    with pytest.raises(NoRoom, match="make room"):
        AudioFolder(tmp_path, reserve_bytes=1 << 60).check(10, 10)


def test_a_full_disk_says_so():
    with pytest.raises(NoRoom, match="full"), out_of_room():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(PermissionError), out_of_room():
        raise PermissionError(errno.EACCES, "no")


def test_a_file_leaves_with_the_commit_and_comes_back_without_it(folder):
    (folder.path / "a").write_bytes(b"a")
    with pytest.raises(RuntimeError), folder.leaving("a"):
        assert names(folder) == ["a.gone"]
        raise RuntimeError
    assert names(folder) == ["a"]
    with folder.leaving("a"):
        pass
    with folder.leaving("a"), folder.leaving(None):
        pass
    assert names(folder) == []


def test_the_sweep_goes_by_the_rows_and_never_touches_a_final_name(folder):
    for name in ("kept.part", "never.part", "kept2.flac.gone", "deleted.gone", "stranger"):
        (folder.path / name).write_bytes(b"x")
    assert folder.sweep(lambda asked: {"kept", "kept2.flac"} & set(asked)) == 4
    assert names(folder) == ["kept", "kept2.flac", "stranger"]
