"""Sessions are found by what is in them, by their owner only, and by any spelling of a query."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.errors import Refused
from appliance.store import accounts, search, sessions
from appliance.store.entities import Source


def made(session, account, *, tags="", title="T", note="", said=""):
    row = sessions.open_one(session, account, Source.UPLOAD, tags=tags)
    sessions.finish(
        session, row, title=title, note=note, original_transcript=said, language="en",
        engine="e", captured_seconds=1, elapsed_seconds=1,
    )  # fmt: skip
    return row.id


def found(database, account, words=None, tag=None, number=0, size=20):
    with database.read() as session:
        return [row.id for row in search.find(session, account, number, size, words, tag).rows]


def whole(database):
    """Let FTS5 compare its index with the rows."""
    with database.write() as session:
        check = "INSERT INTO session_fts(session_fts, rank) VALUES ('integrity-check', 1)"
        session.connection().exec_driver_sql(check)


@pytest.fixture
def three(database, account):
    """Make three sessions that differ in where the words are."""
    with database.write() as session:
        return [
            made(session, account, title="Budget of Köln", tags="weekly, Board"),
            made(session, account, note="We talk: the budget, it's c++ code", tags="weekly"),
            made(session, account, said="the plan for the budget meeting", note="-"),
        ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("budget", [2, 1, 0]),
        ("BUDGET", [2, 1, 0]),
        ("koln", [0]),
        ("köln budget", [0]),
        ("bud", [2, 1, 0]),
        ("bud meeting", []),
        ("meeting bud", [2]),
        ('"budget meeting"', [2]),
        ('"meeting budget"', []),
        ('"budget meet"', []),
        ("it's", [1]),
        ("c++", [1, 1]),
        ("nothing", []),
        ("talk OR nothing", []),
        ('bud"get', []),
        ("++", []),
        ('"', []),
        ("budget NOT", []),  # no operator: a word
        ("title:budget", []),
        ("b\x00dget", []),
    ],
)
def test_words_are_found_wherever_they_stand(database, account, three, words, expected):
    if words == "c++":  # its c is a prefix: code, too
        assert three[1] in found(database, account, words)
        return
    assert found(database, account, words) == [three[index] for index in expected]


def test_a_tag_is_found_however_it_is_spelt_and_together_with_words(database, account, three):
    assert found(database, account, tag="WEEKLY") == [three[1], three[0]]
    assert found(database, account, tag=" board ") == [three[0]]
    assert found(database, account, tag="week") == []
    assert found(database, account, words="talk", tag="weekly") == [three[1]]
    assert found(database, account, words="weekly") == []


def test_no_search_finds_what_belongs_to_another_account(database, account, three):
    with database.write() as session:
        other = accounts.create(session, "bob").id
        mine = made(session, other, title="Budget", tags="weekly")
    assert found(database, other, "budget") == [mine]
    assert found(database, other, tag="weekly") == [mine]
    assert found(database, account, f"a{other}") == []


def test_a_session_is_found_once_it_is_done_by_what_it_holds_now_and_not_when_it_is_gone(
    database, account, three
):
    with database.write() as session:
        hidden = sessions.open_one(session, account, Source.UPLOAD, title="Budget")
    assert hidden.id not in found(database, account, "budget")
    with database.write() as session:
        row = sessions.get(session, account, three[1])
        sessions.change(session, row, note="something else", tags="new")
        session.delete(sessions.get(session, account, three[2]))
        sessions.fail(session, session.merge(hidden))
    assert found(database, account, "budget") == [three[0]]
    assert found(database, account, "something") == [three[1]]
    assert found(database, account, tag="weekly") == [three[0]]
    assert found(database, account, tag="NEW") == [three[1]]
    whole(database)


def test_pages_go_on_and_totals_are_capped(database, account, monkeypatch):
    monkeypatch.setattr(search, "MAX_COUNTED", 4)
    with database.write() as session:
        numbers = [made(session, account, title="same") for _ in range(7)][::-1]
    pages = [found(database, account, "same", number=n, size=2) for n in range(5)]
    assert pages == [numbers[0:2], numbers[2:4], numbers[4:6], numbers[6:], []]
    with database.read() as session:
        first = search.find(session, account, 0, 2, "same", None)
        last = search.find(session, account, 3, 2, "same", None)
    assert (first.total, first.capped) == (4, True)
    assert (last.total, last.capped) == (7, False)


def test_a_query_that_is_too_long_is_refused():
    with pytest.raises(Refused, match="500"):
        search.expression(1, "x" * 501, None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(words=st.text(max_size=60), tag=st.none() | st.text(max_size=20))
def test_no_query_is_an_error(database, account, words, tag):
    found(database, account, words, tag)


@given(st.text(max_size=200).filter(lambda text: text.count(",") < 40))
def test_tags_in_one_spelling_stay_as_they_are(text):
    once = search.checked_tags(text)
    assert search.checked_tags(once) == once
    assert search.labels_of(1, once) == search.labels_of(1, text)
