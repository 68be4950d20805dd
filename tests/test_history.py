"""The dictation history: what is posted is kept once, counted once, and nobody else's."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from box_client import account, bearer, box_of

from appliance.errors import Conflict
from appliance.store import history, idempotency, usage
from appliance.store.entities import HistoryEntry, IdempotencyKey, now
from appliance.store.history import Dictation

PATH = "/v1/transcribe/history"
ENTRY = {"rawTranscript": "um two words", "cleanedText": "Two words.", "durationMs": 900}
SAID = Dictation(raw_transcript="a", cleaned_text="a b c", duration_ms=1000)
DIGEST = hashlib.sha256(b"x").hexdigest()


def post(client, headers, **more):
    return client.post(PATH, json={**ENTRY, **more}, headers=headers)


def test_ids_are_of_version_7_and_in_the_order_of_the_entries(started):
    headers = bearer(started, "transcribe:history")
    ids = [post(started, headers).json()["id"] for _ in range(20)]
    assert {UUID(one).version for one in ids} == {7}
    assert ids == sorted(ids)
    listed = started.get(f"{PATH}?limit=100", headers=headers).json()["items"]
    assert [item["id"] for item in listed] == ids[::-1]


def test_many_clients_at_once_lose_and_double_nothing(started):
    headers = bearer(started, "transcribe:*")

    def send(number):
        key = {**headers, "Idempotency-Key": f"k{number % 100}"}
        return post(started, key, tone=f"t{number % 100}").json()["id"]

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(send, range(200)))
    assert len(set(ids)) == 100
    assert started.get(PATH, headers=headers).json()["total"] == 100
    month = started.get("/v1/transcribe/usage", headers=headers).json()["months"][0]
    assert (month["dictationCount"], month["wordCount"]) == (100, 200)


def test_the_box_counts_the_words_itself(started):
    headers = bearer(started, "transcribe:*")
    assert post(started, headers, wordCount=0).json()["wordCount"] == 0
    limit = started.get("/v1/transcribe/usage/check-limit", headers=headers).json()
    assert limit["dailyWordsUsed"] == 2


def test_deleting_an_entry_lowers_no_usage(started):
    headers = bearer(started, "transcribe:*")
    entry = post(started, headers).json()["id"]
    assert started.delete(f"{PATH}/{entry}", headers=headers).status_code == 204
    month = started.get("/v1/transcribe/usage", headers=headers).json()["months"][0]
    assert (month["dictationCount"], month["wordCount"]) == (1, 2)


def test_audio_minutes_are_those_of_the_audio_else_of_the_recording():
    assert SAID.audio_ms == 1000
    assert Dictation(
        raw_transcript="", cleaned_text="", duration_ms=1000, audio_duration_sec=0.25
    ).audio_ms == 250  # fmt: skip


def test_two_accounts_may_use_one_idempotency_key(started):
    account(started, "bob")
    mine = {**bearer(started, "transcribe:*"), "Idempotency-Key": "same"}
    his = {**bearer(started, "transcribe:*", account="bob"), "Idempotency-Key": "same"}
    assert post(started, mine).json()["id"] != post(started, his, tone="other").json()["id"]


@pytest.mark.parametrize("field", ["tone", "targetApp", "model", "requestId", "confidence"])
def test_a_field_that_is_null_is_as_good_as_absent(started, field):
    answer = post(started, bearer(started, "transcribe:*"), **{field: None})
    assert answer.status_code == 201 and answer.json()[field] is None


@pytest.mark.parametrize("number", [1e300, -0.1, True, "1"], ids=str)
def test_a_duration_that_can_not_be_is_refused(started, number):
    answer = post(started, bearer(started, "transcribe:*"), durationMs=number)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["durationMs"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b'{"rawTranscript":"\xff"}', b"[" * 100_000, b"\xff\xfe"],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_is_no_entry_is_refused(started, body):
    headers = {**bearer(started, "transcribe:*"), "Content-Type": "application/json"}
    answer = started.post(PATH, content=body, headers=headers)
    assert answer.status_code == 400, answer.text


def test_a_body_full_of_unknown_fields_costs_little_and_names_the_first(started):
    headers = {**bearer(started, "transcribe:*"), "Content-Type": "application/json"}
    body = "{" + ",".join(f'"{number}":0' for number in range(300_000)) + "}"
    answer = started.post(PATH, content=body.encode(), headers=headers)
    assert answer.status_code == 400
    named = [error["field"] for error in answer.json()["errors"]]
    assert named == ["rawTranscript", "cleanedText", "durationMs", "0"]


def test_a_short_text_has_a_kibibyte_at_most(started):
    answer = post(started, bearer(started, "transcribe:*"), tone="é" * 513)
    assert answer.status_code == 400
    assert answer.json()["errors"] == [
        {"field": "tone", "message": "has 1026 bytes; 1024 are the most"}
    ]


def test_a_whole_number_may_be_written_as_javascript_does(started):
    headers = {**bearer(started, "transcribe:*"), "Content-Type": "application/json"}
    body = b'{"rawTranscript": "", "cleanedText": "", "durationMs": 0, "wordCount": 12.0}'
    assert started.post(PATH, content=body, headers=headers).json()["wordCount"] == 12


def test_a_text_of_a_mebibyte_is_taken_also_when_every_character_is_escaped(started):
    headers = {**bearer(started, "transcribe:*"), "Content-Type": "application/json"}
    text = "\\u0061" * (1 << 20)
    body = f'{{"rawTranscript": "{text}", "cleanedText": "{text}", "durationMs": 0}}'
    answer = started.post(PATH, content=body.encode(), headers=headers)
    assert answer.status_code == 201
    assert answer.json()["rawTranscript"] == "a" * (1 << 20)


def test_an_idempotency_key_is_forgotten_after_a_day(database, account):
    with database.write() as session:
        row = history.add(session, account, SAID, 0)
        idempotency.remember(session, account, "k", DIGEST, row.id)
    with database.write() as session:
        assert idempotency.earlier(session, account, "k", DIGEST) == row.id
        with pytest.raises(Conflict, match="another body"):
            idempotency.earlier(session, account, "k", "other")
        session.get_one(IdempotencyKey, (account, "k")).created_at = now() - timedelta(hours=25)
    with database.write() as session:
        assert idempotency.earlier(session, account, "k", "other") is None


def test_the_texts_of_a_deleted_entry_are_nowhere_in_the_database(started):
    headers = {**bearer(started, "transcribe:*"), "Idempotency-Key": "k"}
    entry = post(started, headers, rawTranscript="unforgettable").json()["id"]
    started.delete(f"{PATH}/{entry}", headers=headers)
    with box_of(started).database.read() as session:
        assert session.get(HistoryEntry, entry) is None
        kept = session.get_one(IdempotencyKey, (1, "k"))
        assert "unforgettable" not in kept.answer


def test_entry_and_ledger_are_one_transaction(database, account):
    with pytest.raises(RuntimeError), database.write() as session:
        history.add(session, account, SAID, 5)
        raise RuntimeError
    with database.read() as session:
        assert history.page(session, account, 10, 0) == ([], 0)
        assert session.get(HistoryEntry, "x") is None
    assert usage.count_words(SAID.cleaned_text) == 3
