"""Signed links: for one thing, until a moment, letter for letter."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import Forbidden
from appliance.signatures import DOWNLOAD, UPLOAD, Signatures

SIGNATURES = Signatures(b"k" * 32)
PATH = "/v1/transcribe/audio/0123456789abcdef0123456789abcdef"
NOW = 1_800_000_000.0
SIGNED = SIGNATURES.sign(UPLOAD, PATH, 1, 3600, NOW)
ALPHABET = string.ascii_letters + string.digits + "-_.=~+/ %!"
moments = st.floats(0, 4_000_000_000)
lifetimes = st.floats(1, 100_000)


@given(st.integers(1, 2**62), moments, lifetimes)
def test_a_link_works_for_its_account_until_its_time_is_over(account, at, lifetime):
    signature = SIGNATURES.sign(UPLOAD, PATH, account, lifetime, at)
    assert SIGNATURES.check(signature, UPLOAD, PATH, at) == account
    with pytest.raises(Forbidden, match="expired"):
        SIGNATURES.check(signature, UPLOAD, PATH, at + lifetime)


@given(st.data())
def test_no_altered_character_passes(data):
    at = data.draw(st.integers(0, len(SIGNED) - 1))
    other = data.draw(st.sampled_from(ALPHABET.replace(SIGNED[at], "")))
    refused(SIGNED[:at] + other + SIGNED[at + 1 :])


@given(st.data())
def test_no_character_more_or_less_passes(data):
    at = data.draw(st.integers(0, len(SIGNED) - 1))
    refused(SIGNED[:at] + data.draw(st.sampled_from(ALPHABET)) + SIGNED[at:])
    refused(SIGNED + data.draw(st.sampled_from(ALPHABET)))
    refused(SIGNED[:at] + SIGNED[at + 1 :])


@given(st.text(max_size=300))
def test_no_text_passes_by_chance(text):
    refused(text)


def test_a_link_does_one_thing_with_one_file():
    assert SIGNATURES.check(SIGNED, UPLOAD, PATH, NOW) == 1
    refused(SIGNED, action=DOWNLOAD)
    refused(SIGNED, path=PATH[:-1] + "0")


def test_another_box_does_not_know_it():
    refused(Signatures(b"x" * 32).sign(UPLOAD, PATH, 1, 3600, NOW))


def test_two_links_for_the_same_are_never_the_same():
    assert len({SIGNATURES.sign(UPLOAD, PATH, 1, 3600, NOW) for _ in range(10)}) == 10


def refused(signature, action=UPLOAD, path=PATH):
    with pytest.raises(Forbidden):
        SIGNATURES.check(signature, action, path, NOW)
