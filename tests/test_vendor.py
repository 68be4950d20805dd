"""Tokens are vended by what the cloud says and the plan allows, and each one leaves its marks."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from box_client import bearer, box_of, key
from fake_deepgram import fake_deepgram
from litestar.testing import TestClient
from sqlmodel import select

from api import app
from api.head import Head
from appliance.settings import Settings
from appliance.store.entities import Audit, UsageEvent
from engine.deepgram import DEADLINE_S

PATH = "/v1/transcribe/token"
CLOUD_KEY = "a-key-of-the-cloud"
ANSWER_WITHIN_S = DEADLINE_S + 5  # what a busy machine adds
REFUSED, UNREACHABLE = "cloudRefused", "cloudUnreachable"


@pytest.fixture(scope="module")
def cloud():
    with fake_deepgram() as fake:
        yield fake


@pytest.fixture(scope="module")
def client(cloud, tmp_path_factory):
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("box"),
        model="absent",
        deepgram_url=cloud.url,
        deepgram_api_key=CLOUD_KEY,
    )
    application = app.create(settings, "http://127.0.0.1:1")
    with TestClient(Head(application)) as started, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        started.application = application
        yield started


def ask(client, headers, engine):
    """Ask for a token, for as long as an answer may take."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.get, f"{PATH}?engine={engine}", headers=headers)
        return asked.result(ANSWER_WITHIN_S)


@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        ("400", REFUSED), ("401", REFUSED), ("402", REFUSED), ("403", REFUSED), ("429", REFUSED),
        ("500", UNREACHABLE), ("garbage", UNREACHABLE),
        pytest.param("nothing", UNREACHABLE, marks=pytest.mark.long),
        pytest.param("drip", UNREACHABLE, marks=pytest.mark.long),
        ("closed", UNREACHABLE), ("huge", UNREACHABLE),
        ("redirect", UNREACHABLE),
    ],
)  # fmt: skip
def test_without_the_cloud_the_answer_is_right_and_in_time(client, cloud, caplog, mood, reason):
    headers = bearer(client, "transcribe:token")
    caplog.set_level(logging.DEBUG)
    cloud.behave = mood
    local = ask(client, headers, "auto")
    assert local.status_code == 200
    assert (local.json()["engine"], local.json()["reason"]) == ("local", reason)
    cloud.behave = mood
    refused = ask(client, headers, "cloud")
    assert refused.status_code == 503
    for text in (local.text, refused.text, caplog.text):
        assert CLOUD_KEY not in text


def test_without_a_cloud_key_there_are_local_tokens_only(started):
    headers = bearer(started, "transcribe:token")
    local = started.get(PATH, headers=headers).json()
    assert (local["engine"], local["reason"]) == ("local", "noCloudKey")
    refused = started.get(f"{PATH}?engine=cloud", headers=headers)
    assert refused.status_code == 503
    assert "SCRIBEBOX_DEEPGRAM_API_KEY" in refused.json()["detail"]


def test_a_second_try_may_bring_it(client, cloud):
    cloud.behave = "500 200"
    assert ask(client, bearer(client, "transcribe:token"), "cloud").json()["token"] == cloud.token


def test_every_token_is_in_the_ledger_and_in_the_audit(client, cloud):
    cloud.behave = "200"
    row, plain = key(client, "transcribe:token", "listen")
    headers = {"Authorization": f"Bearer {plain}"}
    ask(client, headers, "cloud")
    ask(client, headers, "local")
    client.post("/v1/auth/grant", headers=headers)
    with box_of(client).database.read() as session:
        lines = session.exec(select(UsageEvent).where(UsageEvent.reference == row.id)).all()
        notes = session.exec(select(Audit).where(Audit.key_id == row.id)).all()
    assert [(line.kind, line.engine) for line in lines] == [
        ("token", "cloud"), ("token", "local"), ("token", "local")
    ]  # fmt: skip
    assert [(note.action, note.target) for note in notes] == [
        ("token.vend", "cloud"), ("token.vend", "local"), ("token.vend", "local")
    ]  # fmt: skip


def test_a_local_token_stands_for_its_caller(client, cloud):
    row, plain = key(client, "transcribe:token")
    answer = ask(client, {"Authorization": f"Bearer {plain}"}, "local").json()
    box = box_of(client)
    with box.database.read() as session:
        caller = box.tokens.caller(session, answer["token"])
    assert (caller.key_id, caller.account_id) == (row.id, row.account_id)


def test_a_local_token_is_no_key_for_anything_else(client, cloud):
    token = ask(client, bearer(client, "transcribe:token"), "local").json()["token"]
    client.application.state.authenticator.attempts.failed = lambda _: 0.0
    for path in (PATH, "/v1/transcribe/history", "/api/v1/audioscribe/sessions/"):
        answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


def test_the_cloud_key_is_not_in_the_document(client):
    assert CLOUD_KEY not in client.get("/schema/openapi.json").text
    assert CLOUD_KEY not in repr(box_of(client))
