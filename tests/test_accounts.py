"""Accounts have names, plans and time zones that exist."""

import pytest

from appliance.errors import Conflict, NotFound, Refused
from appliance.store import accounts


def test_an_account_can_be_made_found_and_changed(database):
    with database.write() as session:
        accounts.create(session, "alice", "hobby", "Europe/Berlin")
    with database.write() as session:
        accounts.change(session, "alice", plan="pro")
    with database.read() as session:
        alice = accounts.named(session, "alice")
        assert (alice.plan, alice.timezone) == ("pro", "Europe/Berlin")


def test_a_name_is_taken_once(database):
    with database.write() as session:
        accounts.create(session, "alice")
        with pytest.raises(Conflict, match="alice"):
            accounts.create(session, "alice")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("",), "1 to 64"),
        (("a\nb",), "printable"),
        (("a", "gold"), "hobby"),
        (("a", "pro", "Mars/Olympus"), "Europe/Berlin"),
        (("a", "pro", "../etc/passwd"), "Europe/Berlin"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(database, values, said):
    with database.write() as session, pytest.raises(Refused, match=said):
        accounts.create(session, *values)


def test_an_unknown_account_is_named(database):
    with database.read() as session, pytest.raises(NotFound, match="carol"):
        accounts.named(session, "carol")
