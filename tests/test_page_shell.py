"""The frame of the page, in a real browser: signing in and out, finding one's way, the box away."""

import re

import pytest
from page_browser import WIDTHS, page_box_at, until
from virtual_microphone import wait_until

pytestmark = pytest.mark.long

FOREIGN_KEY = f"sb_live_abcdefgh_{'x' * 43}"
SECTIONS = "nav[aria-label=Sections] a"
CUT_OFF = (  # what a browser says of a box that stops
    "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE",
    "ERR_CONTENT_LENGTH_MISMATCH",
)  # fmt: skip
STORED_KEY = "sessionStorage.getItem('scribebox.key')"


@pytest.fixture
def away(visit, tmp_path, monkeypatch):
    """Run a box that may go away, and let `visit` open its page."""
    with page_box_at(tmp_path / "box") as box:
        monkeypatch.setattr(visit, "_box", box)
        visit.expected(*CUT_OFF)
        yield box


def test_a_key_signs_in_for_the_tab(visit, page_box):
    page = visit(key=None)
    sign_in(page, page_box.key)
    page.wait_for_selector(SECTIONS)
    assert page.evaluate(STORED_KEY) == page_box.key
    assert page.context.cookies() == []
    page.reload()
    page.wait_for_selector(SECTIONS)
    other = page.context.new_page()
    visit.watch(other)
    other.goto(page_box.url)
    other.wait_for_selector("form.sign-in")  # another tab has nothing of it


def test_on_request_a_cookie_that_no_script_reads_signs_in_for_a_day(visit, page_box):
    page = visit(key=None)
    page.wait_for_selector("form.sign-in")
    page.get_by_label("Keep me signed in").check()
    sign_in(page, page_box.key)
    page.wait_for_selector(SECTIONS)
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    assert 0 < cookie["expires"] - page.evaluate("Date.now() / 1000") <= 86_400
    held = page.evaluate("JSON.stringify([document.cookie, {...sessionStorage, ...localStorage}])")
    assert page_box.key not in held and cookie["value"] not in held
    assert page_box.key not in cookie["value"]
    other = page.context.new_page()
    visit.watch(other)
    other.goto(page_box.url)
    other.wait_for_selector(SECTIONS)
    sign_out(other)
    assert page.context.cookies() == []
    page.reload()
    page.wait_for_selector("form.sign-in")


def test_the_cookie_is_no_good_after_signing_out_even_if_it_was_kept(visit, page_box):
    page = visit(key=None)
    page.wait_for_selector("form.sign-in")
    page.get_by_label("Keep me signed in").check()
    sign_in(page, page_box.key)
    page.wait_for_selector(SECTIONS)
    kept = page.context.cookies()
    sign_out(page)
    page.context.add_cookies(kept)
    assert page.evaluate("fetch('/api/v1/me').then((answer) => answer.status)") == 401


def test_a_wrong_key_is_told_with_what_to_do_next(visit, page_box):
    page = visit(key=None)
    sign_in(page, "sb_live_half")
    alert = page.get_by_role("alert").filter(has_text="This isn't a whole key.")
    alert.wait_for()
    sign_in(page, FOREIGN_KEY)
    page.get_by_role("alert").filter(has_text="The box doesn't know this key.").wait_for()
    assert "Copy it again" in page.locator("form.sign-in").inner_text()
    assert page.locator("#key").get_attribute("aria-invalid") == "true"
    assert page.evaluate("document.activeElement.id") == "key"
    assert page.evaluate(STORED_KEY) is None


@pytest.mark.parametrize(
    ("scopes", "sections", "begins"),
    [
        (["recordings"], ["Record", "Box"], "#/record"),
        (["sessions:read"], ["Sessions", "Box"], "#/sessions"),
        (["listen"], ["Box"], "#/box"),
    ],
)
def test_a_narrow_key_sees_only_what_it_may(visit, page_box, scopes, sections, begins):
    page = visit(key=page_box.new_key(*scopes))
    page.wait_for_selector(SECTIONS)
    assert page.locator(SECTIONS).all_inner_texts() == sections
    page.wait_for_url(lambda url: begins in url)
    hidden = "#/sessions" if "sessions:read" not in scopes else "#/record"
    page.goto(f"{page_box.url}/{hidden}")
    page.get_by_role("heading", name="This key doesn't open this page").wait_for()
    lacking = "sessions:read" if hidden == "#/sessions" else "recordings"
    assert f"lacks the scope {lacking}" in page.locator("main").inner_text()


def test_signing_out_forgets_the_key(visit):
    page = visit("#/nowhere")
    sign_out(page)
    assert page.get_by_text("You are signed out.").is_visible()
    assert page.evaluate(STORED_KEY) is None
    page.reload()
    page.wait_for_selector("form.sign-in")


def test_a_key_that_is_revoked_leads_to_signing_in_and_back_to_the_same_place(visit, page_box):
    key = page_box.described_key("sessions:read", "webhooks")
    page = visit("#/box/webhooks", key=key["key"])
    page.wait_for_selector(SECTIONS)
    page_box.client.delete(f"/api/v1/keys/{key['id']}").raise_for_status()
    with_it = {"Authorization": f"Bearer {key['key']}"}
    wait_until(  # what was looked up at that moment is good for a second more
        lambda: page_box.client.get("/api/v1/me", headers=with_it).status_code == 401, "end"
    )
    page.evaluate("location.hash = '#/sessions'")
    page.get_by_text("You were signed out: the key was revoked, or has expired.").wait_for()
    sign_in(page, page_box.key)
    page.wait_for_selector(SECTIONS)
    assert page.url.endswith("#/sessions")
    page.wait_for_selector("[data-view=sessions] h1")


def test_an_address_that_names_nothing_says_so_and_leads_on(visit):
    page = visit("#/nowhere/at/all")
    page.get_by_role("heading", name="There is no such page").wait_for()
    assert page.title() == "There is no such page · Scribebox"
    page.get_by_role("link", name="Go to the start").click()
    page.wait_for_url(re.compile("#/record$"))


def test_the_keyboard_alone_signs_in_walks_the_sections_and_signs_out(visit, page_box):
    page = visit(key=None)
    until(page, "document.activeElement.id === 'key'")
    page.keyboard.type(page_box.key)
    page.keyboard.press("Enter")
    page.wait_for_selector(SECTIONS)
    page.evaluate("document.activeElement.blur()")
    press_until(page, "Skip to the content")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for section in ("Sessions", "Box", "Record"):
        press_until(page, section, "Shift+Tab" if section != "Box" else "Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"{SECTIONS}[aria-current=page]:has-text('{section}')")
        until(page, "document.activeElement.tagName === 'H1'")
    press_until(page, "Account default", "Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#account-menu:popover-open")
    press_until(page, "Sign out")
    page.keyboard.press("Enter")
    page.wait_for_selector("form.sign-in")


@pytest.mark.parametrize("width", WIDTHS)
def test_no_width_needs_scrolling_sideways(visit, width):
    for hash, theme in (("#/nowhere", "light"), ("#/box", "dark")):
        page = visit(hash, width=width, theme=theme)
        page.wait_for_selector("main h1")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_theme_is_the_systems_until_one_is_chosen_and_is_kept(visit):
    page = visit("#/nowhere", theme="dark")
    page.wait_for_selector(SECTIONS)
    dark = background(page)
    page.get_by_role("button", name="Account").click()
    page.get_by_role("radio", name="Light").check()
    light = background(page)
    assert light != dark
    page.reload()
    page.wait_for_selector(SECTIONS)
    assert background(page) == light
    page.get_by_role("button", name="Account").click()
    page.get_by_role("radio", name="System").check()
    assert background(page) == dark


def test_while_the_box_is_away_the_page_says_so_and_then_goes_on_by_itself(visit, away):
    page = visit("#/nowhere")
    page.wait_for_selector(SECTIONS)
    away.stop()
    page.get_by_role("link", name="Sessions").click()
    page.get_by_text("The box can't be reached.").first.wait_for()
    banner = page.locator(".banner")
    assert "this page goes on by itself" in banner.inner_text()
    away.start()
    banner.wait_for(state="hidden")
    page.get_by_text("The box is back.").first.wait_for()
    page.wait_for_selector("[data-view=sessions] h1")


def test_a_part_of_the_box_that_could_not_come_comes_once_the_box_is_back(visit, away):
    page = visit("#/box/vocabulary")
    nav, body = page.locator(".box-nav"), page.locator(".box-body")
    body.get_by_role("textbox").first.wait_for()
    away.stop()
    nav.get_by_role("link", name="Keys").click()
    body.get_by_text("The box can't be reached.").wait_for()
    away.start()
    body.get_by_role("button", name="New key").wait_for()
    nav.get_by_role("link", name="Health").click()
    body.get_by_role("list", name="Each part").wait_for()


def sign_in(page, key):
    """Fill the form and send it."""
    page.locator("#key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def sign_out(page):
    """Sign out by the menu."""
    page.get_by_role("button", name="Account").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_selector("form.sign-in")


def press_until(page, name, key="Tab"):
    """Press the key until what has that name has the focus."""
    said = "(document.activeElement.ariaLabel || document.activeElement.innerText || '').trim()"
    met = []
    for _ in range(60):
        page.keyboard.press(key)
        met.append(page.evaluate(said)[:40])
        if met[-1] == name:
            return
    raise AssertionError(f"{name!r} is never reached: {met}")


def background(page):
    """Return what the page lies on."""
    return page.evaluate("getComputedStyle(document.body).backgroundColor")
