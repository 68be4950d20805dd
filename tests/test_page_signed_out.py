"""Uploads on the page when somebody signs out: they go to nobody else, and wait for their owner."""

import pytest
from speech_fixtures import SPEECH
from test_page_sessions import ROW, TITLES, WORK, page_box, slow

__all__ = ["page_box"]
pytestmark = pytest.mark.long


@pytest.mark.parametrize("ends", ["signed out", "key revoked"])
def test_files_of_who_is_signed_out_go_to_nobody_else_and_wait_for_who_comes_back(
    visit, page_box, ends
):
    mine = page_box.described_key("admin", name="mine")
    name = f"other {ends}"
    assert page_box.client.post("/api/v1/accounts", json={"name": name}).status_code == 201
    wishes = {"name": "theirs", "scopes": ["sessions:read", "sessions:write"], "account": name}
    theirs = page_box.client.post("/api/v1/keys", json=wishes).json()["key"]
    page = visit("#/sessions", key=mine["key"])
    page.wait_for_selector(ROW)
    slow(page, 20_000)
    page.set_input_files("#upload-files", [SPEECH / "meeting.flac", SPEECH / "dictation.flac"])
    page.locator("text=/Uploading, [1-9]/").first.wait_for()
    sent = []
    page.on("request", lambda one: one.method == "POST" and "/sessions/" in one.url
            and sent.append(one.headers.get("authorization")))  # fmt: skip
    if ends == "signed out":
        page.get_by_role("button", name="Account").click()
        page.get_by_role("button", name="Sign out").click()
    else:
        page_box.client.delete(f"/api/v1/keys/{mine['id']}").raise_for_status()
    sign_in(page, theirs)
    page.get_by_role("heading", name="No sessions yet").wait_for()
    assert page.locator(".work").is_hidden()
    slow(page, -1)
    page.set_input_files("#upload-files", SPEECH / "dictation.flac")
    page.locator(".toast", has_text="dictation is transcribed.").wait_for()
    assert sent == [f"Bearer {theirs}"]
    assert page.evaluate(TITLES) == ["dictation"]
    page.get_by_role("button", name="Account").click()
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, page_box.key)
    said = {"meeting": "The upload ended when you were signed out.",
            "dictation": "It was not sent: you were signed out before."}  # fmt: skip
    for stem, sentence in said.items():
        row = page.locator(WORK, has_text=f"{stem}.flac")
        row.get_by_role("alert").filter(has_text=sentence).wait_for()
    for stem in said:
        page.get_by_role("button", name=f"Try again: {stem}.flac").click()
    for stem in said:
        page.locator(".toast", has_text=f"{stem} is transcribed.").wait_for()
    page.locator(".work").wait_for(state="hidden")


def sign_in(page, key):
    """Fill the form and send it."""
    page.locator("#key").fill(key)
    page.get_by_role("button", name="Sign in").click()
