"""Signing in on the page: a cookie for a day in place of the key, and for that page alone."""

import time
from datetime import timedelta

import pytest
from box_client import BASE, bearer, box_of, key, session_of
from litestar.testing import TestClient

from api import app, cookie
from appliance.settings import Settings
from appliance.store import keys
from appliance.store.entities import ApiKey, now
from appliance.store.keys import SCOPES, Caller

ME, IN, OUT = "/api/v1/me", "/api/v1/sign-in", "/api/v1/sign-out"
OWN = {"Sec-Fetch-Site": "same-origin"}
READ, WRITE = "sessions:read", "sessions:write"


def signed_in(client, *scopes):
    """Sign in with a new key; return its row and its plain text."""
    row, plain = key(client, *scopes)
    assert client.post(IN, json={"key": plain}, headers=OWN).status_code == 200
    return row, plain


def attributes(answer):
    """Return what follows the value in the cookie that an answer sets, in small letters."""
    return {part.strip().lower() for part in answer.headers["Set-Cookie"].split(";")[1:]}


@pytest.mark.parametrize("scope", SCOPES)
def test_any_key_learns_whose_it_is_and_what_it_may(started, scope):
    row, plain = key(started, scope)
    answer = started.get(ME, headers={"Authorization": f"Bearer {plain}"})
    assert answer.json() == {
        "account": {"id": 1, "name": "default", "plan": "selfhosted", "timezone": "UTC"},
        "keyId": row.id,
        "keyName": "test",
        "scopes": [scope],
        "expiresAt": None,
    }


def test_without_a_key_nobody_is_known(started):
    answer = started.get(ME)
    assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == "Bearer"


def test_when_a_key_ends_is_told(started):
    row, plain = key(started, READ)
    moment = now() + timedelta(days=3)
    with box_of(started).database.write() as session:
        session.get_one(ApiKey, row.id).expires_at = moment
    told = started.get(ME, headers={"Authorization": f"Bearer {plain}"}).json()["expiresAt"]
    assert told == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites_and_lasts_a_day(started):
    _, plain = key(started, READ)
    answer = started.post(IN, json={"key": f" {plain}\n"}, headers=OWN)
    assert answer.status_code == 200 and answer.json()["scopes"] == [READ]
    assert attributes(answer) == {"httponly", "samesite=strict", "path=/", "max-age=86400"}
    assert answer.headers["Cache-Control"] == "no-store"
    secret = keys.FORM.fullmatch(plain)[2]
    assert secret not in answer.headers["Set-Cookie"] and secret not in answer.text
    assert started.get(ME).json() == answer.json()
    assert started.get(f"{BASE}/").status_code == 200
    assert started.get("/api/v1/keys").status_code == 403  # it may what the key may, no more


def test_over_tls_the_cookie_never_leaves_it(tmp_path):
    application = app.create(Settings(data_dir=tmp_path, model="absent"), "http://127.0.0.1:1")
    with TestClient(application, base_url="https://box.lan") as client:
        client.application = application
        _, plain = key(client, READ)
        assert "secure" in attributes(client.post(IN, json={"key": plain}, headers=OWN))
        assert client.get(ME).status_code == 200
        assert "secure" in attributes(client.post(OUT, headers=OWN))


def test_behind_a_proxy_that_ends_tls_the_cookie_is_secure_too(started):
    _, plain = key(started, READ)
    headers = {**OWN, "Origin": "https://box.lan"}
    assert "secure" in attributes(started.post(IN, json={"key": plain}, headers=headers))


def test_signing_out_takes_the_cookie_and_copies_of_it_end_too(started):
    signed_in(started, READ)
    copied = {"Cookie": f"{cookie.NAME}={started.cookies[cookie.NAME]}"}
    answer = started.post(OUT, headers=OWN)
    assert answer.status_code == 204 and "max-age=0" in attributes(answer)
    assert cookie.NAME not in started.cookies
    assert started.get(ME, headers=copied).status_code == 401
    assert started.post(OUT, headers=OWN).status_code == 204  # twice is fine


def test_the_others_who_have_signed_in_with_the_same_key_stay(started):
    _, plain = signed_in(started, READ)
    first = started.cookies[cookie.NAME]
    started.post(IN, json={"key": plain}, headers=OWN)
    started.post(OUT, headers=OWN)
    assert started.get(ME, headers={"Cookie": f"{cookie.NAME}={first}"}).status_code == 200


def test_the_cookie_ends_at_once_with_its_key(started):
    row, _ = signed_in(started, READ)
    assert started.get(ME).status_code == 200
    with box_of(started).database.write() as session:
        keys.revoke(session, row.id)
    assert started.get(ME).status_code == 401


def test_the_cookie_ends_when_its_key_expires(started):
    row, _ = signed_in(started, READ)
    with box_of(started).database.write() as session:
        session.get_one(ApiKey, row.id).expires_at = now() - timedelta(seconds=1)
    assert started.get(ME).status_code == 401


def test_the_cookie_ends_after_a_day(started):
    row, _ = key(started, READ)
    caller = Caller(row.id, 1, frozenset({READ}))
    for age_s, status in ((86_390, 200), (86_401, 401)):
        token = box_of(started).page_tokens.mint(caller, cookie.LIFETIME_S, time.time() - age_s)
        answer = started.get(ME, headers={"Cookie": f"{cookie.NAME}={token}"})
        assert answer.status_code == status


def test_a_header_comes_before_the_cookie(started):
    signed_in(started, "admin")
    started.application.state.authenticator.attempts.failed = lambda _: 0.0
    for wrong in ("Bearer sb_live_wrong", "Basic eDp5", "", "Bearer"):
        assert started.get(ME, headers={"Authorization": wrong}).status_code == 401, wrong
    narrow = bearer(started, "metrics")
    assert started.get(f"{BASE}/", headers=narrow).status_code == 403


FOREIGN = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},  # another port of the same host
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://testserver.local"},
    {"Origin": "null"},
    {"Origin": "http://evil.example"},
    {"Origin": "http://testserver.local:8081"},
    {"Origin": "https://testserver.local"},
    {"Origin": "http://testserver.local.evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_with_the_cookie_nobody_but_the_page_can_change_anything(started, headers):
    signed_in(started, "admin")
    number = session_of(started)
    for method, path, body in (
        ("PATCH", f"{BASE}/{number}/", {"title": "x"}),
        ("DELETE", f"{BASE}/{number}/", None),
        ("POST", "/api/v1/keys", {"name": "x", "scopes": ["admin"]}),
        ("PUT", "/api/v1/vocabulary", {}),
    ):
        answer = started.request(method, path, json=body, headers=headers)
        assert answer.status_code == 403 and "page of this box" in answer.json()["detail"], path
    assert started.get(f"{BASE}/{number}/").json()["title"] == "T"


@pytest.mark.parametrize("headers", [OWN, {"Origin": "http://testserver.local"}], ids=str)
def test_the_page_can(started, headers):
    signed_in(started, READ, WRITE)
    number = session_of(started)
    answer = started.patch(f"{BASE}/{number}/", json={"title": "x"}, headers=headers)
    assert answer.json()["title"] == "x"


def test_a_public_url_is_an_own_origin(tmp_path):
    settings = Settings(data_dir=tmp_path, model="absent", public_url="https://box.example/scribe")
    application = app.create(settings, "http://127.0.0.1:1")
    with TestClient(application) as client:
        client.application = application
        _, plain = key(client, READ)
        own, other = {"Origin": "https://box.example"}, {"Origin": "https://example"}
        assert client.post(IN, json={"key": plain}, headers=own).status_code == 200
        assert client.post(IN, json={"key": plain}, headers=other).status_code == 403


def test_another_site_reads_nothing_with_the_cookie(started):
    signed_in(started, READ)
    for site, status in (("cross-site", 403), ("same-site", 403), ("none", 200)):
        assert started.get(ME, headers={"Sec-Fetch-Site": site}).status_code == status
    assert started.get(ME).status_code == 200  # a browser from before Fetch Metadata


def test_a_key_in_the_header_needs_no_page(started):
    headers = {**bearer(started, WRITE), "Sec-Fetch-Site": "cross-site", "Origin": "null"}
    assert started.patch(f"{BASE}/{session_of(started)}/", json={}, headers=headers).is_success


@pytest.mark.parametrize("headers", FOREIGN[1:], ids=str)
def test_another_site_signs_nobody_in_or_out(started, headers):
    _, plain = signed_in(started, READ)
    before = started.cookies[cookie.NAME]
    for answer in (
        started.post(IN, json={"key": plain}, headers=headers),
        started.post(OUT, headers=headers),
    ):
        assert answer.status_code == 403 and "Set-Cookie" not in answer.headers
    assert started.cookies[cookie.NAME] == before
    assert started.get(ME).status_code == 200


def test_wrong_keys_are_slowed_down_and_a_valid_one_is_not(started):
    _, plain = key(started, READ)
    wrong = {"key": plain[:-1] + ("A" if plain[-1] != "A" else "B")}
    first, second = (started.post(IN, json=wrong, headers=OWN) for _ in "ab")
    assert first.status_code == 401 and "scribebox keys create" in first.json()["detail"]
    assert "Set-Cookie" not in first.headers
    assert second.status_code == 429 and int(second.headers["Retry-After"]) >= 1
    assert started.post(IN, json={"key": plain}, headers=OWN).status_code == 200


def test_a_cookie_that_has_ended_is_no_guess_at_a_key(started):
    for _ in range(30):
        stale = {"Cookie": f"{cookie.NAME}=stale"}
        assert started.get(ME, headers=stale).status_code == 401
    wrong = {"Authorization": "Bearer sb_live_wrong"}
    assert started.get(ME, headers=wrong).status_code == 401  # and not 429


@pytest.mark.parametrize(
    "said", [b"scribebox=\xff\xfe", b"scribebox", b"scribebox=;;=", b"scribebox=a.b.c; x=\x00"]
)
def test_a_cookie_that_is_none_is_nobody(started, said):
    assert started.get(ME, headers={"Cookie": said}).status_code == 401


def test_tokens_of_one_use_are_of_no_other(started):
    row, _ = signed_in(started, "admin")
    box, caller = box_of(started), Caller(row.id, 1, frozenset({"admin"}))
    started.application.state.authenticator.attempts.failed = lambda _: 0.0
    page, local = started.cookies[cookie.NAME], box.tokens.mint(caller, 60)
    assert started.get(ME, headers={"Authorization": f"Bearer {page}"}).status_code == 401
    assert started.get(ME, headers={"Cookie": f"{cookie.NAME}={local}"}).status_code == 401
    with box.database.read() as session:
        assert box.tokens.caller(session, page) is None


def test_a_socket_takes_no_cookie(started):
    signed_in(started, "admin")
    with started.websocket_connect("/v1/listen", headers=OWN) as socket:
        answer = socket.receive(timeout=60)  # not accepted: the body of a refusal
    assert b"INVALID_AUTH" in answer["body"]


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'{"key": 3}', b'{"key": "a", "b": 1}', b"[]"])
def test_a_body_that_makes_no_sense_is_400(started, body):
    assert started.post(IN, content=body, headers=OWN).status_code == 400


def test_a_key_too_long_is_refused_before_it_is_looked_at(started):
    assert started.post(IN, json={"key": "x" * 201}, headers=OWN).status_code == 400
    assert started.post(IN, json={"key": "x" * 10_000}, headers=OWN).status_code == 413


def test_no_key_is_told_to_the_log(started, caplog):
    caplog.set_level("DEBUG")
    _, plain = signed_in(started, READ)
    started.post(IN, json={"key": "sb_live_mistyped"}, headers=OWN)
    started.post(IN, json={"key": ["sb_live_mistyped"]}, headers=OWN)
    assert plain not in caplog.text and "mistyped" not in caplog.text
    assert started.cookies[cookie.NAME] not in caplog.text


def test_signing_in_counts_as_using_the_key(started):
    row, _ = signed_in(started, READ)
    started.application.state.authenticator.write_last_used()
    with box_of(started).database.write() as session:
        first = session.get_one(ApiKey, row.id).last_used_at
        assert first is not None
    started.get(ME)
    started.application.state.authenticator.write_last_used()
    with box_of(started).database.read() as session:
        assert session.get_one(ApiKey, row.id).last_used_at > first
