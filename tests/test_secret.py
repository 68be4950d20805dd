"""The secret of the box and the keys made of it."""

import stat

import pytest

from appliance import secret
from appliance.errors import StoreUnusable


def test_it_is_made_once_for_its_owner_only(tmp_path):
    path = tmp_path / "secret"
    first = secret.load(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret.load(path).key("a") == first.key("a")


def test_each_purpose_has_a_key_of_its_own(tmp_path):
    box = secret.load(tmp_path / "secret")
    keys = {box.key(secret.SIGNED_URLS), box.key(secret.LOCAL_TOKENS)}
    assert len(keys) == 2
    assert {len(key) for key in keys} == {32}
    assert secret.load(tmp_path / "another").key(secret.SIGNED_URLS) not in keys


def test_it_shows_itself_to_nobody(tmp_path):
    path = tmp_path / "secret"
    assert path.exists() or secret.load(path)
    assert path.read_text().strip() not in repr(secret.load(path))


@pytest.mark.parametrize("content", ["", "ab" * 31, "xyz", "ab" * 33, "ä" * 64])
def test_a_damaged_one_is_refused_with_the_way_out(tmp_path, content):
    path = tmp_path / "secret"
    path.write_text(content)
    with pytest.raises(StoreUnusable, match="restore it from a backup"):
        secret.load(path)
