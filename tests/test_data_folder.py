"""One process holds the data folder; the next is told who."""

import os
import stat
import subprocess
import sys

import pytest

from appliance.data_folder import DataFolder, write_private
from appliance.errors import FolderBusy, SettingRefused


def test_the_second_to_hold_the_folder_is_told_who_was_first(tmp_path):
    folder = DataFolder(tmp_path).make()
    with folder.held("serve", url="http://127.0.0.1:1"):
        with pytest.raises(FolderBusy) as busy, folder.held("serve"):
            pass
        assert f"process {os.getpid()}" in str(busy.value)
        assert "http://127.0.0.1:1" in str(busy.value)
    with folder.held("restore"):
        pass


def test_a_holder_that_was_killed_holds_nothing(tmp_path):
    script = (
        "import sys, pathlib, os, signal; from appliance.data_folder import DataFolder\n"
        "with DataFolder(pathlib.Path(sys.argv[1])).make().held('serve'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=120)
    with DataFolder(tmp_path).held("serve"):
        pass


def test_the_folder_is_made_for_its_owner_alone(tmp_path):
    folder = DataFolder(tmp_path / "new" / "box").make()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_folder_that_can_not_be_made_is_refused_with_its_name(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingRefused, match=r"file/box.*SCRIBEBOX_DATA_DIR"):
        DataFolder(tmp_path / "file" / "box").make()


def test_a_secret_is_never_readable_by_others(tmp_path):
    write_private(tmp_path / "key", "secret")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert (tmp_path / "key").read_text() == "secret"
