"""Who opens `/v1/listen`: every form in which SDKs and browsers present a key or a token."""

import time

import anyio
import pytest
from box_client import box_of, key
from hypothesis import given
from hypothesis import strategies as some
from litestar.datastructures import Headers

from api.listen.credentials import Credential, caller_of, presented
from appliance.store import keys
from appliance.store.keys import Caller

SESSION = ("x-deepgram-session-id", "7d0c4b62-7a0e-4c1f-8e0e-3a2b5d0f1c9a")
WORDS = some.one_of(
    some.sampled_from(("token", "bearer", "Bearer", "TOKEN", "", " ", "x-deepgram-session-id")),
    some.text(max_size=20),
)


@pytest.mark.parametrize(
    ("header", "offered", "secret", "answered"),
    [
        pytest.param("Token K", [], "K", None, id="any SDK with a key"),
        pytest.param("bearer J", [], "J", None, id="py 5 to 7 with a token"),
        pytest.param("Bearer J", [], "J", None, id="py 4, js 4 and 5 with a token"),
        pytest.param("TOKEN   K ", [], "K", None, id="any case, any spaces"),
        pytest.param(None, ["token", "K"], "K", "token", id="browser, js 3 and 4, key"),
        pytest.param(None, ["bearer", "J"], "J", "bearer", id="browser, js 3 and 4, token"),
        pytest.param(None, ["token", "K", *SESSION], "K", "token", id="browser, js 5, key"),
        pytest.param(None, ["bearer", "J", *SESSION], "J", "bearer", id="browser, js 5, token"),
        pytest.param(None, ["mine", "v2", "token", "K"], "K", "token", id="own protocols first"),
        pytest.param(None, [" Bearer ", " J "], "J", "Bearer", id="answered as it was offered"),
        pytest.param("Token K", ["bearer", "J"], "K", "bearer", id="the header counts"),
        pytest.param("Basic cHc6cHc=", ["token", "K"], "K", "token", id="a proxy has a password"),
        pytest.param("Token ", ["token", "K"], "K", "token", id="an empty header"),
    ],
)
def test_each_form_is_found(header, offered, secret, answered):
    headers = Headers({"authorization": header} if header else {})
    assert presented(headers, offered) == Credential(secret, answered)


@pytest.mark.parametrize(
    ("header", "offered"),
    [
        (None, []), ("", []), ("Token", []), ("Bearer ", []), ("sb_live_x", []), ("Basic K", []),
        ("Tokens K", []), (None, ["token"]), (None, ["bearer"]), (None, ["mine", "K"]),
        (None, ["K", "token"]), (None, ["token", ""]), (None, [*SESSION]),
    ],
)  # fmt: skip
def test_what_is_no_credential_is_none(header, offered):
    headers = Headers({} if header is None else {"authorization": header})
    assert presented(headers, offered) is None


def test_the_secret_is_not_shown():
    assert "hidden" not in f"{Credential('hidden', 'token')!r} {Credential('hidden')}"


@given(some.one_of(some.none(), some.text(), some.tuples(WORDS, WORDS).map(" ".join)),
       some.lists(WORDS))  # fmt: skip
def test_anything_presented_is_a_credential_or_none(header, offered):
    found = presented({} if header is None else {"authorization": header}, offered)
    if found is None:
        return
    assert found.secret and found.secret.strip() == found.secret
    assert found.secret in (header or "") or found.secret in [name.strip() for name in offered]
    if found.subprotocol is not None:
        assert found.subprotocol.lower() in ("token", "bearer")
        assert found.subprotocol in [name.strip() for name in offered]


def caller(client, secret):
    return anyio.run(caller_of, client.application, Credential(secret))


def test_a_key_and_a_token_of_it_stand_for_the_same_caller(started):
    row, plain = key(started, "listen", "sessions:read")
    by_key = caller(started, plain)
    assert by_key == Caller(row.id, row.account_id, frozenset({"listen", "sessions:read"}))
    by_token = caller(started, box_of(started).tokens.mint(by_key, 30))
    assert by_token == Caller(row.id, row.account_id, frozenset({"listen"}))


def test_neither_outlives_the_key(started):
    row, plain = key(started, "listen")
    token = box_of(started).tokens.mint(caller(started, plain), 30)
    with box_of(started).database.write() as session:
        keys.revoke(session, row.id)
    assert caller(started, plain) is None
    assert caller(started, token) is None


def test_what_is_wrong_or_over_stands_for_nobody(started):
    row, plain = key(started, "listen")
    over = box_of(started).tokens.mint(caller(started, plain), 30, time.time() - 31)
    for secret in (over, plain[:-1], plain + "x", "a.b.c", "ä", "x" * 10_000, "\0", row.id):
        assert caller(started, secret) is None
