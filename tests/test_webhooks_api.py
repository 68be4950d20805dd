"""Webhooks as a client of the API meets them: endpoints, their secrets, their deliveries."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from box_client import BASE, account, bearer, box_of, session_of
from delivering import until
from litestar.testing import TestClient
from receiver import receiving
from sqlmodel import select
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from api import app
from api.head import Head
from api.threads import TESTERS, THREADS, WRITERS
from appliance.settings import Settings
from appliance.store import accounts
from appliance.store.entities import Audit, Delivery, DeliveryState, Message, Webhook, now
from appliance.store.sessions import timestamp
from scheduler.sending import Outcome

PATH = "/api/v1/webhooks"
URL = "https://hooks.example.com/in?token=t0ps3cret"
PUBLIC = {
    *("id", "url", "events", "description", "enabled", "disabledBecause", "failures"),
    *("failingSince", "createdAt"),
}
WAIT_S = 60
NO_ENDPOINTS = (
    ({}, "url"),
    ({"url": URL, "hookUrl": URL + "x"}, "differ"),
    ({"url": "ftp://example.com/"}, "http"),
    ({"url": "https://user:word@example.com/"}, "user"),
    ({"url": "https:///path"}, ""),
    ({"url": "https://example.com/" + "x" * 5000}, ""),
    ({"url": "https://example.com/\x00"}, ""),
    ({"url": ""}, ""),
    ({"url": None}, ""),
    ({"url": "http://127.0.0.1:9/"}, "webhook_allow"),
    ({"url": "http://0x7f000001/"}, "webhook_allow"),
    ({"url": "http://169.254.169.254/latest"}, "webhook_allow"),
    ({"url": "http://[::ffff:169.254.169.254]/"}, "webhook_allow"),
    ({"url": URL, "events": ["session.deleted"]}, "session.created"),
    ({"url": URL, "events": ["ping"]}, "session.created"),
    ({"url": URL, "events": []}, "at least one"),
    ({"url": URL, "events": ["session.created"] * 2}, "once"),
    ({"url": URL, "events": "session.created"}, "array"),
    ({"url": URL, "description": "x" * 301}, "300"),
    ({"url": URL, "description": "two\nlines"}, "printable"),
    ({"url": URL, "secret": "whsec_mine"}, "secret"),
)
WRONG_QUERIES = (
    ("state=lost", "pending, retrying, delivered, dead, cancelled"),
    ("since=yesterday", "zone"),
    ("since=2026-11-21T08:30:00", "zone"),
    ("since=2026-11-21", "zone"),
    ("since=0001-01-01T00:00:00%2B05:00", "zone"),
    ("since=9999-12-31T23:59:59-05:00", "zone"),
    ("since=%00", "zone"),
    ("endpoint=x", "endpoint"),
    ("endpoint=0", "endpoint"),
    (f"endpoint={2**63}", "endpoint"),
    ("limit=0", "limit"),
    ("limit=101", "limit"),
    ("offset=-1", "offset"),
)


@pytest.fixture
def client(started):
    """Return a client with the scope of webhooks, of a box that reaches nothing on loopback."""
    started.headers.update(bearer(started, "webhooks"))
    return started


@pytest.fixture
def there():
    """Run a receiver."""
    with receiving() as running:
        yield running


@pytest.fixture
def reaching(tmp_path, there):
    """Return a client of a box that may reach the receiver."""
    settings = Settings(data_dir=tmp_path, model="absent", webhook_allow=f"127.0.0.1:{there.port}")
    application = app.create(settings, "http://127.0.0.1:1")
    with TestClient(Head(application)) as client:
        client.application = application
        client.headers.update(bearer(client, "webhooks"))
        yield client


def made(client, url=URL, **more):
    """Make an endpoint; return the answer's object."""
    answer = client.post(PATH, json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def refused(client, method, path, status, **more):
    """Return what a problem says."""
    answer = client.request(method, path, **more)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["detail"]


def listed(client, **query):
    """Return the items of the list of deliveries."""
    answer = client.get(f"{PATH}/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def stored(client, number):
    """Return the row of an endpoint."""
    with box_of(client).database.read() as session:
        return session.get(Webhook, number)


def ended(client, number, state, **values):
    """Give all deliveries of an endpoint a state, as the sender would."""
    with box_of(client).database.write() as session:
        for row in session.exec(select(Delivery).where(Delivery.webhook_id == number)):
            row.state, row.finished_at = state, now()
            for name, value in values.items():
                setattr(row, name, value)
            session.add(row)


def held(client):
    """Let no delivery be sent; it stays as it is."""
    client.application.state.deliverer.stop()


def test_the_secret_is_shown_once_and_kept_sealed(client):
    answer = client.post(PATH, json={"url": URL, "description": "accounting"})
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    given = answer.json()
    secret = given.pop("secret")
    assert secret.startswith("whsec_") and given.keys() == PUBLIC
    assert answer.headers["Location"] == f"{PATH}/{given['id']}"
    assert (given["url"], given["events"], given["description"]) == (
        URL, ["session.created"], "accounting",
    )  # fmt: skip
    assert (given["enabled"], given["disabledBecause"], given["failures"]) == (True, None, 0)
    assert client.get(f"{PATH}/{given['id']}").json() == given
    assert client.get(PATH).json() == [given]
    assert client.get(PATH).headers["Cache-Control"] == "no-store"
    assert client.patch(f"{PATH}/{given['id']}", json={}).json() == given
    assert secret.encode() not in stored(client, given["id"]).secret
    assert box_of(client).webhook_secrets.open(stored(client, given["id"]).secret) == secret


def test_zapier_subscribes_with_its_name_of_the_url_and_unsubscribes(client):
    answer = client.post(PATH, json={"hookUrl": URL})
    number = answer.json()["id"]
    assert (answer.status_code, answer.json()["url"]) == (201, URL)
    assert made(client, hookUrl=URL)["url"] == URL  # twice the same is one
    assert client.delete(f"{PATH}/{number}").status_code == 204
    assert client.get(f"{PATH}/{number}").status_code == 404
    assert client.delete(f"{PATH}/{number}").status_code == 404


def test_what_can_not_be_an_endpoint_is_refused_with_what_is_wrong(client):
    for body, said in NO_ENDPOINTS:
        assert said in refused(client, "POST", PATH, 400, json=body), body
    assert client.get(PATH).json() == []


def test_what_is_no_json_object_is_refused(client):
    number = made(client)["id"]
    for body in (b"", b"{", b"[]", b'{"url": "\\ud800"}', b"\xff", b'{"url":' + b"[" * 100_000):
        refused(client, "POST", PATH, 400, content=body)
        refused(client, "PATCH", f"{PATH}/{number}", 400, content=body)
    refused(client, "POST", PATH, 413, content=b"x" * 11_000_000)


def test_a_change_leaves_what_is_not_named(client):
    given = made(client, description="old")
    number = given["id"]
    changed = client.patch(f"{PATH}/{number}", json={"description": "new"}).json()
    assert (changed["description"], changed["url"]) == ("new", URL)
    changed = client.patch(f"{PATH}/{number}", json={"url": "http://10.0.0.7:8080/in"}).json()
    assert (changed["description"], changed["url"]) == ("new", "http://10.0.0.7:8080/in")
    for body in (
        {"url": "http://127.0.0.1/"}, {"events": []}, {"description": "\t"}, {"enabled": None},
        {"failures": 0}, {"hookUrl": URL},
    ):  # fmt: skip
        refused(client, "PATCH", f"{PATH}/{number}", 400, json=body)
    assert client.get(f"{PATH}/{number}").json() == changed


def test_disabling_cancels_what_waits_and_enabling_forgives_the_failures(client):
    held(client)
    number = made(client)["id"]
    session_of(client)
    disabled = client.patch(f"{PATH}/{number}", json={"enabled": False}).json()
    assert (disabled["enabled"], disabled["disabledBecause"]) == (False, "asked")
    assert [d["state"] for d in listed(client)] == ["cancelled"]
    session_of(client)
    assert len(listed(client)) == 1  # it is told of nothing meanwhile
    with box_of(client).database.write() as session:
        row = session.get(Webhook, number)
        row.failures, row.failing_since, row.disabled_because = 40, now(), "failing"
        session.add(row)
    failing = client.get(f"{PATH}/{number}").json()
    assert (failing["failures"], failing["disabledBecause"]) == (40, "failing")
    assert failing["failingSince"].endswith("Z")
    enabled = client.patch(f"{PATH}/{number}", json={"enabled": True}).json()
    assert enabled["enabled"] and enabled["disabledBecause"] is None
    assert (enabled["failures"], enabled["failingSince"]) == (0, None)
    assert [d["state"] for d in listed(client)] == ["cancelled"]  # only a replay brings it back


def test_the_failures_of_an_address_are_not_those_of_the_next(client):
    number = made(client)["id"]
    with box_of(client).database.write() as session:
        row = session.get(Webhook, number)
        row.failures, row.failing_since = 3, now()
        session.add(row)
    assert client.patch(f"{PATH}/{number}", json={"url": URL}).json()["failures"] == 3
    moved = client.patch(f"{PATH}/{number}", json={"url": URL + "2"}).json()
    assert (moved["failures"], moved["failingSince"]) == (0, None)


def test_deleting_cancels_what_waits_and_leaves_it_to_be_looked_at(client):
    held(client)
    number = made(client)["id"]
    session_of(client)
    assert client.delete(f"{PATH}/{number}").status_code == 204
    (delivery,) = listed(client, endpoint=number)
    assert (delivery["state"], delivery["nextTryAt"]) == ("cancelled", None)
    assert client.get(PATH).json() == []


def test_what_was_deleted_is_sent_to_nobody(client):
    held(client)
    number = made(client)["id"]
    kept, gone = session_of(client), session_of(client)
    assert len(listed(client, endpoint=number)) == 2
    box_of(client).uploads.delete_session(1, gone)
    (left,) = listed(client, endpoint=number)
    with box_of(client).database.read() as session:
        (message,) = session.exec(select(Message)).all()
    assert (left["state"], message.session_id) == ("pending", kept)


def test_rotating_shows_a_new_secret_and_till_when_the_old_one_signs(client):
    given = made(client)
    before = now()
    answer = client.post(f"{PATH}/{given['id']}/rotate")
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    rotated = answer.json()
    assert rotated.keys() == {*PUBLIC, "secret", "oldSecretUntil"}
    assert rotated["secret"].startswith("whsec_") and rotated["secret"] != given["secret"]
    until = datetime.fromisoformat(rotated["oldSecretUntil"])
    assert timedelta(hours=23.9) < until - before < timedelta(hours=24.1)
    row, secrets = stored(client, given["id"]), box_of(client).webhook_secrets
    assert secrets.open(row.secret) == rotated["secret"]
    assert secrets.open(row.old_secret) == given["secret"]


def test_an_account_has_a_hundred_endpoints_and_no_more(client):
    with box_of(client).database.write() as session:
        owner = accounts.named(session, accounts.DEFAULT).id
        session.add_all(
            Webhook(account_id=owner, url=URL, events=["session.created"], secret=b"s")
            for _ in range(100)
        )
    assert "100" in refused(client, "POST", PATH, 409, json={"url": URL})
    assert client.delete(f"{PATH}/{client.get(PATH).json()[0]['id']}").status_code == 204
    made(client)


def test_another_accounts_endpoints_and_deliveries_are_404_everywhere(client):
    held(client)
    account(client, "bob")
    headers = bearer(client, "webhooks", account="bob")
    number = client.post(PATH, json={"url": URL}, headers=headers).json()["id"]
    session_of(client, "bob")
    (delivery,) = client.get(f"{PATH}/deliveries", headers=headers).json()["items"]
    assert client.get(PATH).json() == listed(client) == listed(client, endpoint=number) == []
    since = {"since": "2020-01-01T00:00:00Z"}
    for method, path, more in (
        ("GET", f"{PATH}/{number}", {}),
        ("PATCH", f"{PATH}/{number}", {"json": {"enabled": False}}),
        ("DELETE", f"{PATH}/{number}", {}),
        ("POST", f"{PATH}/{number}/rotate", {}),
        ("POST", f"{PATH}/{number}/test", {}),
        ("POST", f"{PATH}/{number}/replay", {"params": since}),
        ("POST", f"{PATH}/deliveries/{delivery['id']}/replay", {}),
    ):
        refused(client, method, path, 404, **more)
    assert client.get(f"{PATH}/{number}", headers=headers).json()["enabled"]


def test_a_number_no_endpoint_can_have_is_404(client):
    for number in ("0", "-1", 2**63, 2**70, "x", "1%00"):
        refused(client, "GET", f"{PATH}/{number}", 404)
        refused(client, "PATCH", f"{PATH}/{number}", 404, json={})
        for action in ("rotate", "test", "replay?since=2020-01-01T00:00:00Z"):
            refused(client, "POST", f"{PATH}/{number}/{action}", 404)


def test_a_name_no_delivery_has_is_404(client):
    for name in ("x", "msg_", "1", "%00", "%ff%fe", "%ED%A0%80", "msg_" + "0" * 26, "a" * 3000):
        refused(client, "POST", f"{PATH}/deliveries/{name}/replay", 404)


def test_other_scopes_open_nothing(started):
    headers = bearer(started, "sessions:read", "sessions:write", "recordings", "metrics")
    for method, path in (("GET", PATH), ("POST", PATH), ("GET", f"{PATH}/deliveries")):
        assert "webhooks" in refused(started, method, path, 403, headers=headers, json={})


def test_deliveries_are_listed_newest_first_and_never_with_what_they_tell(client):
    held(client)
    first, second = made(client)["id"], made(client)["id"]
    for title in ("Budget", "Merger"):
        session_of(client, title=title)
    answer = client.get(f"{PATH}/deliveries")
    assert "Budget" not in answer.text and "Merger" not in answer.text
    page = answer.json()
    assert (page["total"], page["limit"], page["offset"]) == (4, 20, 0)
    items = page["items"]
    assert {item["endpoint"] for item in items} == {first, second}
    assert [item["createdAt"] for item in items] == sorted(
        (item["createdAt"] for item in items), reverse=True
    )
    one = items[0]
    assert one.keys() == {
        *("id", "endpoint", "event", "state", "attempts", "tries", "nextTryAt", "createdAt"),
    }
    assert one["id"].startswith("msg_") and one["nextTryAt"] is not None
    assert (one["event"], one["state"], one["attempts"], one["tries"]) == (
        "session.created", "pending", [], 0,
    )  # fmt: skip
    part = client.get(f"{PATH}/deliveries", params={"limit": 2, "offset": 1}).json()
    assert (part["items"], part["total"]) == (items[1:3], 4)
    past = client.get(f"{PATH}/deliveries", params={"offset": 2**80}).json()
    assert (past["items"], past["total"]) == ([], 4)


def test_deliveries_are_chosen_by_state_endpoint_and_time(client):
    held(client)
    first, second = made(client)["id"], made(client)["id"]
    session_of(client)
    ended(client, first, DeliveryState.DEAD)
    long_ago = now() - timedelta(days=9)
    ended(client, second, DeliveryState.DELIVERED, created_at=long_ago)
    assert [d["endpoint"] for d in listed(client, state="dead")] == [first]
    assert [d["state"] for d in listed(client, endpoint=second)] == ["delivered"]
    assert (
        listed(client, state="pending") == listed(client, endpoint=first, state="delivered") == []
    )
    assert listed(client, endpoint=2**63 - 1) == []
    yesterday = now() - timedelta(days=1)
    assert [d["endpoint"] for d in listed(client, since=timestamp(yesterday))] == [first]
    abroad = timestamp(yesterday).replace("Z", "+00:00")
    assert [d["endpoint"] for d in listed(client, since=abroad)] == [first]
    unescaped = client.get(f"{PATH}/deliveries?since={abroad}").json()  # its + is a space
    assert [d["endpoint"] for d in unescaped["items"]] == [first]
    assert len(listed(client, since="0001-01-01T00:00:00Z")) == 2


def test_a_wrong_parameter_is_named(client):
    for query, said in WRONG_QUERIES:
        assert said in refused(client, "GET", f"{PATH}/deliveries?{query}", 400), query


def test_one_delivery_begins_again_under_its_id(client):
    held(client)
    number = made(client)["id"]
    session_of(client)
    ended(client, number, DeliveryState.DEAD, tries=11)
    (dead,) = listed(client)
    answer = client.post(f"{PATH}/deliveries/{dead['id']}/replay")
    assert answer.status_code == 202
    again = answer.json()
    assert (again["id"], again["state"], again["tries"]) == (dead["id"], "pending", 0)
    assert again["nextTryAt"] is not None
    assert listed(client) == [again]


def test_all_since_a_time_begin_again_and_the_time_must_be_given(client):
    held(client)
    first, second = made(client)["id"], made(client)["id"]
    for _ in range(3):
        session_of(client)
    for number in (first, second):
        ended(client, number, DeliveryState.DELIVERED)
    assert "since" in refused(client, "POST", f"{PATH}/{first}/replay", 400)
    refused(client, "POST", f"{PATH}/{first}/replay?since=2020-01-01", 400)
    later = timestamp(now() + timedelta(hours=1))
    answer = client.post(f"{PATH}/{first}/replay", params={"since": later})
    assert (answer.status_code, answer.json()) == (202, {"replayed": 0})
    earlier = timestamp(now() - timedelta(hours=1))
    answer = client.post(f"{PATH}/{first}/replay", params={"since": earlier})
    assert (answer.status_code, answer.json()) == (202, {"replayed": 3})
    assert {d["state"] for d in listed(client, endpoint=first)} == {"pending"}
    assert {d["state"] for d in listed(client, endpoint=second)} == {"delivered"}


def test_nothing_is_sent_to_a_disabled_endpoint(client):
    held(client)
    number = made(client)["id"]
    session_of(client)
    client.patch(f"{PATH}/{number}", json={"enabled": False})
    (delivery,) = listed(client)
    since = {"since": "2020-01-01T00:00:00Z"}
    for path, more in (
        (f"{PATH}/{number}/test", {}),
        (f"{PATH}/{number}/replay", {"params": since}),
        (f"{PATH}/deliveries/{delivery['id']}/replay", {}),
    ):
        assert "disabled" in refused(client, "POST", path, 409, **more)
    assert [d["state"] for d in listed(client)] == ["cancelled"]


def test_every_change_is_in_the_audit_without_address_and_secret(client):
    held(client)
    given = made(client)
    number = given["id"]
    session_of(client)
    client.patch(f"{PATH}/{number}", json={"description": "x"})
    client.post(f"{PATH}/{number}/rotate")
    (delivery,) = listed(client)
    client.post(f"{PATH}/{number}/replay", params={"since": "2020-01-01T00:00:00Z"})
    client.post(f"{PATH}/deliveries/{delivery['id']}/replay")
    client.delete(f"{PATH}/{number}")
    with box_of(client).database.read() as session:
        rows = session.exec(select(Audit).where(Audit.action.startswith("webhook."))).all()
    assert [row.action.removeprefix("webhook.") for row in rows] == [
        *("create", "change", "rotate", "replay", "replay", "delete"),
    ]
    assert {row.target for row in rows} == {str(number), delivery["id"]}
    assert all(row.key_id and row.account_id and row.address for row in rows)


def test_tests_that_wait_hold_no_thread_that_others_need(client, monkeypatch):
    waiting, go_on = threading.Semaphore(0), threading.Event()

    def send_now(_):
        waiting.release()
        assert go_on.wait(WAIT_S)
        return "msg_1", Outcome(200, None, 1)

    monkeypatch.setattr(client.application.state.deliverer, "send_now", send_now)
    number = made(client)["id"]
    count = THREADS[WRITERS] + THREADS[TESTERS]
    with ThreadPoolExecutor(count) as pool:
        tests = [pool.submit(client.post, f"{PATH}/{number}/test") for _ in range(count)]
        try:
            for _ in range(THREADS[TESTERS]):
                assert waiting.acquire(timeout=WAIT_S)
            changed = client.patch(f"{PATH}/{number}", json={"description": "meanwhile"})
            refused(client, "POST", f"{PATH}/{number + 1}/test", 404)
        finally:
            go_on.set()
        assert changed.json()["description"] == "meanwhile"
        assert all(test.result().json()["delivered"] for test in tests)


def test_a_test_that_waits_ends_when_the_box_begins_to_stop(client, monkeypatch):
    waiting, go_on = threading.Event(), threading.Event()

    def send_now(_):
        waiting.set()
        assert go_on.wait(WAIT_S)

    monkeypatch.setattr(client.application.state.deliverer, "send_now", send_now)
    number = made(client)["id"]
    with ThreadPoolExecutor(1) as pool:
        test = pool.submit(refused, client, "POST", f"{PATH}/{number}/test", 409)
        assert waiting.wait(WAIT_S)
        client.application.state.closing.begin()
        assert "stop" in test.result(WAIT_S)
    go_on.set()


def test_a_test_of_an_endpoint_arrives_signed_and_is_kept_as_a_delivery(reaching, there):
    given = made(reaching, there.url("/hook?token=x"))
    told = reaching.post(f"{PATH}/{given['id']}/test")
    assert told.status_code == 200
    (request,) = there.received()
    assert request.headers["webhook-event"] == "ping"
    Verifier(given["secret"]).verify(request.body, request.headers)
    outcome = told.json()
    assert outcome.pop("ms") >= 0
    number = request.headers["webhook-id"]
    assert outcome == {"delivered": True, "status": 200, "error": None, "id": number}
    (kept,) = listed(reaching)
    assert (kept["id"], kept["event"], kept["state"]) == (number, "ping", "delivered")
    assert [attempt["status"] for attempt in kept["attempts"]] == [200]


@pytest.mark.parametrize(
    ("mood", "status", "error"),
    [("503", 503, None), ("redirect?to=http://a/", 302, "redirect"), ("down", None, "reset")],
)
def test_a_test_that_fails_tells_what_happened_and_is_not_tried_again(
    reaching, there, mood, status, error
):
    number = made(reaching, there.url(mood))["id"]
    outcome = reaching.post(f"{PATH}/{number}/test").json()
    assert (outcome["delivered"], outcome["status"], outcome["error"]) == (False, status, error)
    (kept,) = listed(reaching, endpoint=number)
    assert (kept["state"], kept["nextTryAt"], kept["tries"]) == ("dead", None, 1)
    (attempt,) = kept["attempts"]
    assert (attempt["status"], attempt["error"]) == (status, error)


def test_a_name_that_leads_to_the_box_itself_is_not_called(client, there):
    number = made(client, f"http://localhost:{there.port}/hook")["id"]
    outcome = client.post(f"{PATH}/{number}/test").json()
    assert (outcome["delivered"], outcome["error"]) == (False, "forbidden destination")
    assert there.connections() == 0


def test_no_address_of_an_endpoint_is_logged(reaching, there, caplog):
    caplog.set_level(logging.INFO)
    for mood in ("ok", "down", "410"):
        url = there.url(f"{mood}/t0ps3cret-path?token=t0ps3cret")
        number = made(reaching, url)["id"]
        reaching.post(f"{PATH}/{number}/test")
        refused(reaching, "PATCH", f"{PATH}/{number}", 400, json={"url": "ftp://t0ps3cret/"})
    session_of(reaching)
    there.wait_for(5)
    held(reaching)
    assert "t0ps3cret" not in caplog.text and "whsec_" not in caplog.text


def test_a_session_is_told_signed_through_a_rotation_and_no_more_once_deleted(reaching, there):
    given = made(reaching, there.url("/hook"))
    number, old = given["id"], Verifier(given["secret"])

    def told(title, count):
        """Finish a session; return it as the API shows it, and the request that told of it."""
        session = session_of(reaching, title=title)
        there.wait_for(count)
        headers = bearer(reaching, "sessions:read")
        return reaching.get(f"{BASE}/{session}", headers=headers).json(), there.received()[-1]

    shown, request = told("Before", 1)
    assert old.verify(request.body, request.headers) == shown and len(shown) == 6
    assert request.headers["webhook-event"] == "session.created"
    assert request.headers["content-type"] == "application/json"

    until(lambda: listed(reaching, state="delivered"))
    (delivery,) = listed(reaching)
    assert delivery["id"] == request.headers["webhook-id"]
    assert reaching.post(f"{PATH}/deliveries/{delivery['id']}/replay").status_code == 202
    there.wait_for(2)
    again = there.received()[-1]
    assert (again.headers["webhook-id"], again.body) == (delivery["id"], request.body)
    assert old.verify(again.body, again.headers) == shown

    new = Verifier(reaching.post(f"{PATH}/{number}/rotate").json()["secret"])
    shown, request = told("During", 3)
    assert len(request.headers["webhook-signature"].split()) == 2
    for verifier in (old, new):
        assert verifier.verify(request.body, request.headers) == shown

    with box_of(reaching).database.write() as session:
        session.get_one(Webhook, number).old_secret_until = now()  # a day later
    shown, request = told("After", 4)
    assert new.verify(request.body, request.headers) == shown
    with pytest.raises(WebhookVerificationError):
        old.verify(request.body, request.headers)

    there.set("/hook", "503")
    told("Not taken", 5)
    assert reaching.delete(f"{PATH}/{number}").status_code == 204
    session_of(reaching, title="Nobody is told")
    held(reaching)
    assert [d["state"] for d in listed(reaching)] == ["cancelled", *["delivered"] * 3]
    assert [a["status"] for a in listed(reaching)[0]["attempts"]] == [503]
    assert there.count() == 5
