"""The vocabulary is an account's own, is checked, and is used from the next job on."""

import pytest

from appliance.errors import Refused
from appliance.store import accounts, vocabulary


def test_what_is_put_comes_back_for_its_account_only(database, account):
    with database.write() as session:
        other = accounts.create(session, "bob").id
        vocabulary.put(session, account, ["Scribebox", " Scribebox "], [("scribe  box", "S")])
    with database.write() as session:
        vocabulary.put(session, account, ["Scribebox"], [("scribe box", "Scribebox")])
    with database.read() as session:
        found = vocabulary.of(session, account)
        assert found.hotwords == ["Scribebox"]
        assert found.replacements == [{"from": "scribe box", "to": "Scribebox"}]
        assert vocabulary.of(session, other).hotwords == []


@pytest.mark.parametrize(
    ("hotwords", "replacements"),
    [
        ([""], []),
        (["x" * 101], []),
        (["x"] * 201, []),
        ([], [("", "x")]),
        ([], [("a", "b"), ("A", "c")]),
        ([], [(str(n), "x") for n in range(501)]),
    ],
)
def test_what_makes_no_sense_is_refused(database, account, hotwords, replacements):
    with database.write() as session, pytest.raises(Refused):
        vocabulary.put(session, account, hotwords, replacements)
