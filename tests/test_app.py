"""The HTTP surface: no route without a check, every failure one clear problem."""

import sqlite3

import pytest
from box_client import BASE, bearer, box_of, key, session_of
from litestar import get
from litestar.handlers import WebsocketRouteHandler
from litestar.testing import TestClient

from api import app, auth, hosts
from api.server import url_of
from appliance.errors import Conflict
from appliance.settings import Settings
from appliance.store import accounts, keys


def handlers_of(route):
    """Return the handlers of a route; of a WebSocket there is one."""
    return getattr(route, "route_handlers", None) or [route.route_handler]


def test_every_route_is_open_by_name_or_asks_for_a_scope():
    application = app.create(Settings(), "http://127.0.0.1:1")
    seen = 0
    for route in application.routes:
        if route.path.startswith("/schema"):
            continue
        for handler in handlers_of(route):
            if getattr(handler, "http_methods", None) == {"OPTIONS"}:  # made by the framework
                continue
            seen += 1
            is_open, scope = handler.opt.get("open"), handler.opt.get("scope")
            assert bool(is_open) != bool(scope), f"{route.path} has no check"
            if isinstance(handler, WebsocketRouteHandler):
                continue  # it refuses in its own way: tests/test_listen_stream.py
            assert not scope or handler.guards, f"{route.path} names a scope that nothing checks"
    assert seen == len(app.ROUTES)


def test_every_route_with_a_key_shows_its_refusals_in_the_document():
    document = app.create(Settings(), "http://127.0.0.1:1").openapi_schema.to_schema()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path == "/health" or "/audio/{" in path or "/sign-" in path:  # they need no key
                continue
            shown = operation["responses"].keys()
            assert shown >= {"400", "401", "403", "429", "503"}, (method, path)
            assert "404" in shown or "{" not in path, (method, path)
            assert operation["security"] == [{"apiKey": []}], (method, path)


def test_head_answers_as_get_does_without_the_body(started):
    number = session_of(started, audio=b"abcdef")
    headers = bearer(started, "sessions:read")
    for path in ("/health", BASE, f"{BASE}/{number}", f"{BASE}/{number}/segments"):
        got, head = (started.request(m, path, headers=headers) for m in ("GET", "HEAD"))
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["Content-Length"] == got.headers["Content-Length"]
    assert started.head(f"{BASE}/{number}/audio").status_code == 401


def test_wrong_keys_are_slowed_down_and_a_valid_one_is_not(started):
    headers = bearer(started, "sessions:read")
    wrong = {"Authorization": "Bearer sb_live_wrong"}
    assert started.get(BASE, headers=wrong).status_code == 401
    refused = started.get(BASE, headers=wrong)
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) >= 1
    assert refused.headers["content-type"] == "application/problem+json"
    assert started.get(BASE, headers=headers).status_code == 200
    assert started.get(BASE).status_code == 401  # no key at all is no guess


@pytest.mark.long
def test_a_database_that_is_locked_for_long_is_503_and_loses_nothing(started):
    number = session_of(started)
    headers = bearer(started, "sessions:read", "sessions:write")
    database = box_of(started).database
    with sqlite3.connect(database.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert started.get(f"{BASE}/{number}", headers=headers).status_code == 200
        answer = started.patch(f"{BASE}/{number}", headers=headers, json={"note": "x"})
        other.execute("ROLLBACK")
    other.close()
    assert answer.status_code == 503 and "Retry-After" in answer.headers


def test_every_operation_that_takes_a_body_shows_it():
    document = app.create(Settings(), "http://127.0.0.1:1").openapi_schema.to_schema()
    without = {
        *("cancelJob", "createUploadUrl", "stopRecording", "discardRecording"),
        *("rotateWebhook", "testWebhook", "replayDelivery", "replayDeliveries", "signOut"),
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method in ("post", "put", "patch") and operation["operationId"] not in without:
                assert operation["requestBody"]["content"], (method, path)


@pytest.mark.parametrize(
    "path", ["/api/v1/keys", "/api/v1/accounts", "/v1/transcribe/history/x/audio"]
)
def test_a_body_that_is_not_utf_8_is_refused(started, path):
    headers = {**bearer(started, "admin"), "Content-Type": "application/json"}
    answer = started.post(path, content=b'{"name": "\xff"}', headers=headers)
    assert answer.status_code == 400


def test_asking_for_the_head_of_a_token_makes_none(started):
    headers = bearer(started, "admin")
    assert started.head("/v1/transcribe/token", headers=headers).status_code == 405


def test_only_the_health_signed_links_and_the_page_are_open(started):
    opened = {
        path
        for r in started.application.routes
        for h in handlers_of(r)
        for path in h.paths
        if h.opt.get("open")
    }
    signed = {"/v1/transcribe/audio/{storage_id:str}", "/api/v1/audioscribe/audio/{session_id:int}"}
    page = {"/", "/page/{path:path}", "/api/v1/sign-in", "/api/v1/sign-out"}
    assert opened == {"/health"} | signed | page


def test_without_a_valid_key_it_is_401_with_one_answer_for_every_reason(started):
    revoked, plain = key(started, "admin")
    with box_of(started).database.write() as session:
        keys.revoke(session, revoked.id)
    started.application.state.authenticator.attempts.failed = lambda _: 0.0
    answers = [
        started.get(f"{BASE}/", headers=headers)
        for headers in (
            {},
            {"Authorization": "Bearer nonsense"},
            {"Authorization": f"Bearer {plain}"},
            {"Authorization": f"Basic {plain}"},
        )
    ]
    assert {a.status_code for a in answers} == {401}
    assert {a.headers["WWW-Authenticate"] for a in answers} == {"Bearer"}
    assert len({a.text for a in answers}) == 1
    assert answers[0].headers["content-type"] == "application/problem+json"


def test_without_the_scope_it_is_403_and_names_it(started):
    answer = started.get(f"{BASE}/", headers=bearer(started, "metrics"))
    assert answer.status_code == 403
    assert "sessions:read" in answer.json()["detail"]


def test_a_revoked_key_is_refused_at_once_or_within_the_cache(started, monkeypatch):
    monkeypatch.setattr(auth, "CACHE_S", 0.0)
    row, plain = key(started, "sessions:read")
    headers = {"Authorization": f"Bearer {plain}"}
    assert started.get(f"{BASE}/", headers=headers).status_code == 200
    with box_of(started).database.write() as session:
        keys.revoke(session, row.id)
    assert started.get(f"{BASE}/", headers=headers).status_code == 401


def test_when_a_key_was_used_is_written_by_the_clock_and_not_by_the_request(started):
    row, plain = key(started, "sessions:read")
    started.get(f"{BASE}/", headers={"Authorization": f"Bearer {plain}"})
    database = box_of(started).database
    with database.read() as session:
        assert session.get(keys.ApiKey, row.id).last_used_at is None
    started.application.state.authenticator.write_last_used()
    with database.read() as session:
        assert session.get(keys.ApiKey, row.id).last_used_at is not None


def test_sessions_are_listed_newest_first_by_zero_based_pages(started):
    numbers = [session_of(started) for _ in range(3)]
    headers = bearer(started, "sessions:read")
    first = started.get(f"{BASE}/?perPage=2", headers=headers)
    assert [s["id"] for s in first.json()] == numbers[:0:-1]
    assert int(first.headers["X-Total-Count"]) == 3
    assert 'rel="next"' in first.headers["Link"] and 'rel="prev"' not in first.headers["Link"]
    last = started.get(f"{BASE}/?page=1&perPage=2", headers=headers)
    assert [s["id"] for s in last.json()] == numbers[:1]
    assert started.get(f"{BASE}/?page=99", headers=headers).json() == []


@pytest.mark.parametrize("query", ["page=-1", "page=x", "page=1.5", "perPage=0", "perPage=101"])
def test_a_page_that_can_not_be_is_400_and_names_the_field(started, query):
    answer = started.get(f"{BASE}/?{query}", headers=bearer(started, "sessions:read"))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == query.split("=")[0]


def test_one_session_answers_with_and_without_the_slash_and_never_redirects(started):
    number = session_of(started, title="Kickoff")
    headers = bearer(started, "sessions:read")
    for path in (f"{BASE}/{number}", f"{BASE}/{number}/", BASE, f"{BASE}/"):
        assert started.get(path, headers=headers, follow_redirects=False).status_code == 200
    answer = started.get(f"{BASE}/{number}", headers=headers).json()
    assert list(answer) == ["id", "title", "note", "originalTranscript", "tags", "createdAt"]
    assert answer["title"] == "Kickoff"


@pytest.mark.parametrize("number", ["0", "999", "99999999999999999999", "abc", "1.5"])
def test_a_session_that_does_not_exist_is_404(started, number):
    answer = started.get(f"{BASE}/{number}/", headers=bearer(started, "sessions:read"))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_another_accounts_session_is_404_and_not_listed(started):
    with box_of(started).database.write() as session:
        accounts.create(session, "bob")
    number = session_of(started)
    headers = bearer(started, "sessions:read", account="bob")
    assert started.get(f"{BASE}/{number}/", headers=headers).status_code == 404
    assert started.get(f"{BASE}/", headers=headers).json() == []


def test_the_health_tells_what_is_the_matter_and_nothing_private(started, tmp_path):
    answer = started.get("/health")
    assert answer.status_code == 200
    body = answer.json()
    assert body["checks"]["database"]["status"] == "ok"
    assert body["checks"]["scheduler"]["status"] == "ok"
    assert str(tmp_path) not in answer.text


def test_an_error_nobody_foresaw_is_500_with_a_number_and_nothing_else(
    tmp_path, monkeypatch, caplog
):
    @get("/broken", opt={"open": True}, sync_to_thread=False)
    def broken() -> None:
        raise RuntimeError("a private detail")

    @get("/conflict", opt={"open": True}, sync_to_thread=False)
    def conflict() -> None:
        raise Conflict("it is in use")

    monkeypatch.setattr(app, "ROUTES", [*app.ROUTES, broken, conflict])
    settings = Settings(data_dir=tmp_path, model="absent")
    application = app.create(settings, "http://127.0.0.1:1")
    with TestClient(application, raise_server_exceptions=False) as client:
        answer = client.get("/broken")
        assert client.get("/conflict").status_code == 409
    assert answer.status_code == 500
    assert "private" not in answer.text and "Traceback" not in answer.text
    number = answer.json()["detail"].split()[-1].rstrip(".")
    assert number in caplog.text


def test_the_openapi_document_is_served_and_names_no_foreign_host(started):
    answer = started.get("/schema/openapi.json")
    document = answer.json()
    assert answer.status_code == 200
    assert document["paths"].keys() >= {"/health", f"{BASE}", f"{BASE}/{{session_id}}"}
    one = document["paths"][f"{BASE}/{{session_id}}"]["get"]
    assert one["responses"].keys() >= {"200", "400", "401", "403", "404"}
    for status in ("400", "401", "403", "404"):
        assert list(one["responses"][status]["content"]) == ["application/problem+json"]
    assert "cdn" not in answer.text


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("127.0.0.1:8080", "127.0.0.1"),
        ("[::1]:8080", "::1"),
        ("Box.Local", "box.local"),
        ("box.local.:8080", "box.local"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("", ""),
    ],
)
def test_a_host_header_is_read_in_any_spelling(header, host):
    assert hosts.host_of(header) == host


def test_a_foreign_host_is_refused_and_the_boxes_own_names_are_not(tmp_path):
    settings = Settings(data_dir=tmp_path, model="absent", allowed_hosts="scribe.lan")
    application = app.create(settings, "http://127.0.0.1:1")
    with TestClient(hosts.AllowedHosts(application, hosts.own_names(settings))) as client:
        assert client.get("/health", headers={"Host": "scribe.lan:8080"}).status_code == 200
        for address in ("127.0.0.1", "10.1.2.3:8080", "[fd00::2]:8080"):
            assert client.get("/health", headers={"Host": address}).status_code == 200
        answer = client.get("/health", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "allowed_hosts" in answer.json()["detail"]


def test_the_url_is_one_that_can_be_pasted():
    class Listener:
        @staticmethod
        def getsockname():
            return ("::1", 8081, 0, 0)

    assert url_of(Listener, Settings(host="::1")) == "http://[::1]:8081"
