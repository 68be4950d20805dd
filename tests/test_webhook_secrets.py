"""Secrets of webhooks: sealed at rest, and signatures that a stranger's library verifies."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from appliance import secret
from appliance.errors import StoreUnusable
from appliance.store.webhooks import message_id
from appliance.webhook_secrets import WebhookSecrets, signature_headers

KEPT = WebhookSecrets(b"k" * 32)
EVENT = "session.created"
bodies = st.text().map(str.encode)


def signed(secrets, body, at=None):
    return signature_headers(secrets, "msg_01", EVENT, body, at or datetime.now(UTC))


def test_a_new_secret_is_256_random_bits_that_are_never_the_same():
    made = {KEPT.new() for _ in range(50)}
    assert len(made) == 50
    assert {one[:6] for one in made} == {"whsec_"}
    assert {len(base64.b64decode(one[6:], validate=True)) for one in made} == {32}


@given(body=bodies)
def test_the_independent_library_verifies_any_body(body):
    key = KEPT.new()
    Webhook(key).verify(body, signed([key], body), json_parse=False)


@given(body=bodies)
def test_while_a_rotation_lasts_both_secrets_verify(body):
    new, old = KEPT.new(), KEPT.new()
    headers = signed([new, old], body)
    Webhook(new).verify(body, headers, json_parse=False)
    Webhook(old).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(KEPT.new()).verify(body, headers, json_parse=False)


@given(body=bodies, other=bodies)
def test_no_other_body_id_or_time_verifies(body, other):
    key = KEPT.new()
    headers = signed([key], body)
    for altered in (
        {"webhook-id": "msg_02"},
        {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)},
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(body, {**headers, **altered}, json_parse=False)
    if other != body:
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(other, headers, json_parse=False)


def test_the_headers_are_those_of_the_contract():
    at = datetime(2026, 11, 5, 12, 0, 0, 999999, tzinfo=UTC)
    headers = signature_headers([KEPT.new()], message_id(), EVENT, b"{}", at)
    assert set(headers) == {
        *("webhook-id", "webhook-timestamp", "webhook-signature", "webhook-event"),
        *("Content-Type", "User-Agent"),
    }
    assert headers["webhook-id"].startswith("msg_") and "." not in headers["webhook-id"]
    assert headers["webhook-timestamp"] == str(int(at.timestamp()))
    assert (headers["webhook-event"], headers["Content-Type"]) == (EVENT, "application/json")
    assert headers["User-Agent"].startswith("Scribebox/")


@given(plain=st.text(st.characters(codec="utf-8")))
def test_what_is_sealed_comes_back_and_does_not_show(plain):
    sealed = KEPT.seal(plain)
    assert KEPT.open(sealed) == plain
    assert len(plain) < 20 or plain.encode() not in sealed  # shorter ones may be there by chance


def test_no_two_seals_of_a_secret_are_alike():
    assert KEPT.seal("a") != KEPT.seal("a")


@given(sealed=st.binary(max_size=200))
def test_what_is_no_seal_is_refused_with_the_way_out(sealed):
    with pytest.raises(StoreUnusable, match="restore that file from a backup"):
        KEPT.open(sealed)


def test_another_key_or_an_altered_byte_is_refused_without_the_secret_in_the_words():
    plain = KEPT.new()
    sealed = KEPT.seal(plain)
    with pytest.raises(StoreUnusable, match="rotate the webhook's secret") as refusal:
        WebhookSecrets(b"x" * 32).open(sealed)
    assert plain not in str(refusal.value)
    for place in range(0, len(sealed), 7):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(StoreUnusable):
            KEPT.open(bytes(altered))


def test_it_is_kept_by_a_key_of_the_box_and_shows_nothing(tmp_path):
    box = secret.load(tmp_path / "secret")
    key = box.key(secret.WEBHOOK_SECRETS)
    kept = WebhookSecrets(key)
    again = WebhookSecrets(secret.load(tmp_path / "secret").key(secret.WEBHOOK_SECRETS))
    assert again.open(kept.seal("whsec_x")) == "whsec_x"
    assert key not in (box.key(secret.SIGNED_URLS), box.key(secret.LOCAL_TOKENS))
    assert repr(kept) == "WebhookSecrets(…)"
