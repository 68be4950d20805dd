"""The list of sessions while it is open: what ends late comes, deletions take none along."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from many_sessions import finished
from page_browser import until
from test_page_sessions import DAYS, FIRST_ID, PAGES, ROW, SESSIONS, SHOWN_IDS, page_box

from appliance.store import accounts
from appliance.store.database import Database
from appliance.store.entities import SessionRow, SessionState

__all__ = ["page_box"]
pytestmark = pytest.mark.long


def test_what_ends_later_than_a_newer_one_and_many_at_once_come_into_the_open_list(visit, page_box):
    """Numbers are given at the start; a clock that was set puts one of them under another day."""
    now = datetime.now(UTC)
    with written(page_box) as (session, owner):
        early = finished(owner, now, "Ends last", "Slow.")
        astray = finished(owner, now - timedelta(days=40), "By a wrong clock", "Slow.")
        for row in (early, astray):
            row.state = SessionState.OPEN
        rows = [finished(owner, now, "Quick", "Quick.") for _ in range(3)]
        for row in (rows[0], early, rows[1], astray, rows[2]):
            session.add(row)
            session.flush()
        late = [early.id, astray.id]
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    newest = page.evaluate(FIRST_ID)
    first = newest - 4
    assert [first + 1, first + 3] == late
    assert not set(late) & set(page.evaluate(SHOWN_IDS))
    page.locator(".session-link").nth(1).focus()
    with written(page_box) as (session, owner):
        for number in late:
            session.get(SessionRow, number).state = SessionState.DONE
        session.add_all([finished(owner, now, "At once", "New.") for _ in range(45)])
    until(page, f"{FIRST_ID} === {newest + 45}")
    ids = page.evaluate(SHOWN_IDS)
    assert ids == sorted(set(ids), reverse=True)
    assert set(range(first, newest + 46)) <= set(ids)
    days = page.evaluate(DAYS, [first, newest])
    assert [one for one in days if one in range(first, newest + 1)] == list(
        range(newest, first - 1, -1)
    )
    at = days.index(late[1])
    assert days[at - 1] not in ("Today", newest) and days[at + 1] == "Today", days
    assert page.evaluate("document.activeElement.className") == "session-link"


def test_a_session_that_ends_late_is_found_far_down_the_list(visit, page_box):
    with written(page_box) as (session, owner):
        row = finished(owner, datetime.now(UTC), "Ends last", "Slow.")
        row.state = SessionState.OPEN
        session.add(row)
        session.flush()
        late = row.id
        for _ in range(25):
            session.add(finished(owner, datetime.now(UTC), "Quick", "Quick."))
    page = visit("#/record")
    page.evaluate(PAGES)
    page.evaluate("pages.again(60).then(() => null)")
    assert late not in page.evaluate("ids()")
    with written(page_box) as (session, _):
        session.get(SessionRow, late).state = SessionState.DONE
    assert page.evaluate("pages.newer().then((rows) => rows.map((one) => one.id))") == [late]
    ids = page.evaluate("ids()")
    assert ids == sorted(set(ids), reverse=True) and late in ids
    assert page.evaluate("pages.newer()") == []


@pytest.mark.parametrize("deleted", [1, 20, 45, 60])
def test_no_session_is_left_out_after_deletions_that_a_look_for_newer_ones_saw(
    visit, page_box, deleted
):
    page = visit("#/record")
    page.evaluate(PAGES)
    page.evaluate("pages.again(60).then(() => null)")
    for number in page.evaluate("ids()")[:deleted]:
        assert page_box.client.delete(f"{SESSIONS}{number}/").status_code == 204
    page.evaluate("pages.newer()")
    page.evaluate("pages.next().then(() => null)")
    ids = page.evaluate("ids()")
    there = {row["id"] for number in range(6) for row in page_box.client.get(
        SESSIONS, params={"page": number, "perPage": 100}).json()}  # fmt: skip
    assert {one for one in there if one >= ids[-1]} <= set(ids)
    assert ids == sorted(set(ids), reverse=True)


@contextlib.contextmanager
def written(page_box):
    """Write into the database of the box; yield the session and the number of the account."""
    opened = contextlib.closing(Database(page_box.data / "scribebox.db"))
    with opened as database, database.write() as session:
        yield session, accounts.named(session, accounts.DEFAULT).id
