"""A key opens what its scopes say, for as long as it is valid, and is known to nobody else."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from appliance.errors import NotFound, Refused
from appliance.store import keys
from appliance.store.entities import Account, ApiKey, now


def made(database, account, *scopes, **more):
    with database.write() as session:
        return keys.create(
            session, session.get_one(Account, account), "laptop", list(scopes), **more
        )


def known(database, plain):
    with database.read() as session:
        return keys.caller(session, plain)


def test_a_key_has_the_form_that_scanners_know_and_opens_its_account(database, account):
    key, plain = made(database, account, "sessions:read")
    assert keys.FORM.fullmatch(plain)
    caller = known(database, plain)
    assert (caller.key_id, caller.account_id) == (key.id, account)
    assert caller.may("sessions:read") and not caller.may("sessions:write")


def test_the_secret_is_nowhere_in_the_database(database, account):
    _, plain = made(database, account, "admin")
    secret = keys.FORM.fullmatch(plain)[2].encode()
    assert secret not in database.path.read_bytes()
    wal = database.path.with_name(database.path.name + "-wal")
    assert secret not in wal.read_bytes()


def test_admin_may_everything_and_a_family_all_of_its_own(database, account):
    admin = known(database, made(database, account, "admin")[1])
    assert all(admin.may(scope) for scope in keys.SCOPES)
    family = known(database, made(database, account, "transcribe:*")[1])
    assert family.may("transcribe:token") and family.may("transcribe:usage")
    assert not family.may("sessions:read") and not family.may("admin")


def test_a_revoked_key_and_an_expired_key_open_nothing(database, account):
    key, plain = made(database, account, "admin")
    with database.write() as session:
        keys.revoke(session, key.id)
    assert known(database, plain) is None
    key, plain = made(database, account, "admin", expires_at=now() + timedelta(hours=1))
    assert known(database, plain) is not None
    with database.write() as session:
        session.get_one(ApiKey, key.id).expires_at = now() - timedelta(seconds=1)
    assert known(database, plain) is None


@pytest.mark.parametrize("plain", ["", "sb_live_", "x" * 60, "sb_live_ABCDEFGH_" + "a" * 43])
def test_what_is_no_key_opens_nothing(database, account, plain):
    assert known(database, plain) is None


def test_one_altered_letter_of_the_secret_opens_nothing(database, account):
    _, plain = made(database, account, "admin")
    other = plain[:-1] + ("A" if plain[-1] != "A" else "B")
    assert known(database, other) is None


def test_an_unknown_scope_no_scope_and_a_nameless_key_are_refused(database, account):
    with pytest.raises(Refused, match="sessions:read"):
        made(database, account, "everything")
    with pytest.raises(Refused, match="needs a scope"):
        made(database, account)
    with database.write() as session, pytest.raises(Refused, match="key name"):
        keys.create(session, session.get_one(Account, account), " ", ["admin"])


def test_revoking_an_unknown_key_is_refused(database):
    with database.write() as session, pytest.raises(NotFound, match="nosuchid"):
        keys.revoke(session, "nosuchid")


def test_the_last_use_is_written_down(database, account):
    key, _ = made(database, account, "admin")
    moment = now()
    with database.write() as session:
        keys.used(session, {key.id: moment, "gone": moment})
    with database.read() as session:
        assert session.exec(select(ApiKey)).one().last_used_at == moment


@pytest.mark.parametrize(("text", "days"), [("90d", 90), ("48h", 2), ("2w", 14), ("1y", 365)])
def test_an_expiry_is_so_long_from_now(text, days):
    start = now()
    assert keys.expiry(text, start) - start == timedelta(days=days)


@given(st.text(max_size=8))
def test_any_other_expiry_is_refused_or_in_the_future(text):
    try:
        assert keys.expiry(text) > now()
    except Refused as refused:
        assert "expiry" in str(refused)
