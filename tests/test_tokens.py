"""Local tokens: for the box's own ears, for a short time, as long as the key lasts."""

import time

import jwt
import pytest

from appliance.store import accounts, keys
from appliance.store.entities import now
from appliance.tokens import LocalTokens

TOKENS = LocalTokens(b"k" * 32)


@pytest.fixture
def caller(database, account):
    """Return a caller, as its key in the database says."""
    with database.write() as session:
        owner = accounts.numbered(session, account)
        _, plain = keys.create(session, owner, "k", ["transcribe:token"])
        return keys.caller(session, plain)


def heard(database, token):
    with database.read() as session:
        return TOKENS.caller(session, token)


def test_a_token_stands_for_account_and_key_and_may_listen_only(database, caller):
    found = heard(database, TOKENS.mint(caller, 30))
    assert (found.account_id, found.key_id) == (caller.account_id, caller.key_id)
    assert found.scopes == {"listen"}


def test_it_ends_after_its_time(database, caller):
    assert heard(database, TOKENS.mint(caller, 30, time.time() - 31)) is None


def test_it_ends_with_its_key(database, caller):
    token = TOKENS.mint(caller, 30)
    with database.write() as session:
        keys.revoke(session, caller.key_id)
    assert heard(database, token) is None


@pytest.mark.parametrize(
    "change",
    [{"aud": "speak"}, {"iss": "other"}, {"kid": "nobody00"}, {"sub": "99"}, {"exp": None}],
    ids=str,
)
def test_nothing_else_passes_for_one(database, caller, change):
    claims = jwt.decode(TOKENS.mint(caller, 30), options={"verify_signature": False})
    claims = {name: value for name, value in {**claims, **change}.items() if value is not None}
    assert heard(database, jwt.encode(claims, b"k" * 32, "HS256")) is None


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "sb_live_abcdefgh_x", "ä.ö.ü", "." * 10_000])
def test_garbage_is_no_token(database, token):
    assert heard(database, token) is None


def test_another_algorithm_or_key_is_refused(database, caller):
    claims = jwt.decode(TOKENS.mint(caller, 30), options={"verify_signature": False})
    assert heard(database, jwt.encode(claims, None, "none")) is None
    assert heard(database, jwt.encode(claims, b"x" * 64, "HS256")) is None
    assert heard(database, jwt.encode(claims, b"k" * 64, "HS512")) is None
    assert now().timestamp() - claims["iat"] < 60
