"""An archive is believed only if each of its bytes is what it was, and nothing was added."""

import json
import os
import shutil
import subprocess
from dataclasses import replace

import pytest
from filled_box import everything, filled
from hypothesis import given, settings
from hypothesis import strategies as some

from appliance import archive, backup
from appliance.archive import MANIFEST, SEAL
from appliance.errors import ArchiveDamaged, StoreUnusable


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return an archive that no test may leave changed."""
    folder = tmp_path_factory.mktemp("archive")
    return backup.create(filled(folder / "box"), folder / "whole").path


@pytest.fixture
def copied(whole, tmp_path):
    """Return an archive of this test."""
    return shutil.copytree(whole, tmp_path / "copied")


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@settings(max_examples=80)
@given(draw=some.data())
def test_a_damaged_byte_anywhere_is_found(whole, draw):
    path = draw.draw(some.sampled_from(files_of(whole)))
    content = path.read_bytes()
    at = draw.draw(some.integers(0, len(content) - 1))
    other = bytes([content[at] ^ draw.draw(some.integers(1, 255))])
    path.write_bytes(content[:at] + other + content[at + 1 :])
    try:
        with pytest.raises(ArchiveDamaged, match=r"manifest|" + path.name):
            archive.verify(whole)
    finally:
        path.write_bytes(content)


def test_every_file_cut_short_grown_or_gone_is_found(copied):
    for path in files_of(copied):
        content = path.read_bytes()
        for other in (content[:-1], content + b"\0", b""):
            path.write_bytes(other)
            with pytest.raises(ArchiveDamaged, match=r"manifest|" + path.name):
                archive.verify(copied)
        path.unlink()
        with pytest.raises(ArchiveDamaged, match=r"no backup|" + path.name):
            archive.verify(copied)
        path.write_bytes(content)
    archive.verify(copied)


def test_all_that_is_damaged_is_told_at_once(copied):
    for path in files_of(copied / "audio"):
        path.write_bytes(b"x")
    with pytest.raises(ArchiveDamaged) as error:
        archive.verify(copied)
    assert str(error.value).count("has other bytes") == len(files_of(copied / "audio"))


def add_file(copied):
    (copied / "audio" / "more").write_bytes(b"x")


def add_log(copied):
    (copied / "scribebox.db-wal").write_bytes(b"x")


def add_folder(copied):
    (copied / "models").mkdir()


def link_file(copied):
    path = files_of(copied / "audio")[0]
    path.rename(copied.parent / "away")
    path.symlink_to(copied.parent / "away")


def link_folder(copied):
    (copied / "audio").rename(copied.parent / "away")
    (copied / "audio").symlink_to(copied.parent / "away")


def pipe(copied):
    path = files_of(copied / "audio")[0]
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [add_file, add_log, add_folder, link_file, link_folder, pipe])
def test_what_does_not_belong_there_is_found(copied, change):
    change(copied)
    with pytest.raises(ArchiveDamaged, match="does not belong there"):
        archive.verify(copied)


def forge(copied, *more, **changes):
    """Seal another manifest, as somebody would who means harm."""
    manifest = replace(archive.read(copied), **changes)
    text = manifest.encode() + b"".join(json.dumps(line).encode() + b"\n" for line in more)
    (copied / MANIFEST).write_bytes(text)
    (copied / SEAL).write_bytes(archive.seal_of(text))


@pytest.mark.parametrize(
    "path",
    [
        "../x", "/etc/passwd", "audio/../x", "audio/.", "audio//x", "audio/a/b", "lock", "models/x",
        "recordings/x/audio.pcm", "recordings/1/lock", "restore.ready/swap.json", "audio/x\n", "",
        "scribebox.db-wal", "tls/../secret", 7, None, ["audio/x"], "audio/upload0",
    ],
)  # fmt: skip
def test_a_manifest_names_only_what_a_box_has_and_that_once(copied, path):
    forge(copied, {"path": path, "bytes": 1, "sha256": "ab" * 32})
    with pytest.raises(ArchiveDamaged, match="can't be right"):
        archive.verify(copied)


def test_a_manifest_without_the_database_or_of_another_step_is_refused(copied):
    forge(copied, step=1)
    with pytest.raises(ArchiveDamaged, match="not of step 1"):
        archive.verify(copied)
    forge(copied, files=())
    with pytest.raises(ArchiveDamaged, match="no database"):
        archive.verify(copied)


@settings(max_examples=60)
@given(text=some.one_of(some.binary(), some.recursive(
    some.none() | some.integers() | some.text() | some.floats(),
    lambda inner: some.lists(inner) | some.dictionaries(
        some.sampled_from(["format", "kind", "createdAt", "step", "files", "missing"]), inner),
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_a_manifest_may_say_anything(whole, text):
    with pytest.raises((ValueError, StoreUnusable)):
        archive.Manifest.decode(text)


def test_a_manifest_of_a_newer_format_asks_for_a_newer_version(copied):
    head, rest = (copied / MANIFEST).read_bytes().split(b"\n", 1)
    text = head.replace(b'"format": 1', b'"format": 2') + b"\n" + rest
    (copied / MANIFEST).write_bytes(text)
    (copied / SEAL).write_bytes(archive.seal_of(text))
    with pytest.raises(StoreUnusable, match="newer version"):
        archive.verify(copied)


def test_a_folder_that_is_no_archive_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ArchiveDamaged, match="no backup is there"):
            archive.verify(path)


def test_to_verify_changes_nothing(whole):
    before = everything(whole)
    archive.verify(whole)
    assert everything(whole) == before


def test_anybodys_tool_can_prove_the_manifest(whole):
    done = subprocess.run(["sha256sum", "-c", SEAL], cwd=whole, capture_output=True, check=False)
    assert done.returncode == 0


def test_the_way_is_told_up_to_its_end(whole):
    told = []
    manifest = archive.verify(whole, lambda done, total: told.append((done, total)))
    assert told[-1] == (manifest.total_bytes, manifest.total_bytes)
    assert told == sorted(told)
