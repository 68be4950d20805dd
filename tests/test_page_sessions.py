"""The sessions on the page, in a real browser: found as one types, uploaded, followed, given up."""

import base64
import contextlib
import json
import re
from datetime import UTC, datetime, timedelta

import axe
import numpy as np
import pytest
from many_sessions import finished, folder_with
from page_browser import page_box_at, shoot, until
from speech_fixtures import SPEECH, encode, words_wrong

from appliance.store import accounts
from appliance.store.database import Database
from engine.audio import read

pytestmark = pytest.mark.long

MANY = 300
SESSIONS = "/api/v1/audioscribe/sessions/"
HTML = "<img src=x onerror=document.title='planted'><b>bold</b>"
KOELN = f"Besuch in Köln {HTML}"
ROW, MARK, WORK, FIELD = ".session", ".session mark", ".work-row", "#session-search"
TITLES = "[...document.querySelectorAll('.session-title')].map((one) => one.textContent)"
DROP = """([target, name, type, base64]) => {
  const moved = new DataTransfer();
  const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
  moved.items.add(new File([bytes], name, { type }));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.querySelector(target).dispatchEvent(
      new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: moved }));
  }
}"""
FOUND = """async ([query, text]) => {
  const { excerpt, marked, patternOf } = await import("/page/js/sessions/highlight.js");
  const pattern = patternOf(query);
  const nodes = marked(text, pattern).map((one) => one.textContent ? `[${one.textContent}]` : one);
  return [nodes.join(""), excerpt(text, pattern)];
}"""
PAGES = """async () => {
  const { Pages } = await import("/page/js/sessions/pages.js");
  window.pages = new Pages({ q: "", tag: "" }, new AbortController().signal);
  window.ids = () => window.pages.rows.map((one) => one.id);
}"""
FIRST_ID = "Number(document.querySelector('.session').dataset.id)"
SHOWN_IDS = "[...document.querySelectorAll('.session')].map((one) => Number(one.dataset.id))"
DAYS = """([from, to]) => [...document.querySelectorAll(".session, .session-day-name")]
  .map((one) => Number(one.dataset.id) || one.textContent)
  .filter((one) => typeof one === "string" || (one >= from && one <= to))"""


@pytest.fixture(scope="module")
def long_talk(tmp_path_factory):
    """Return a file that is not over before it is looked at, however fast the machine is."""
    minutes = np.tile(read(SPEECH / "meeting.flac"), 60)
    path = tmp_path_factory.mktemp("long") / "talk.ogg"
    return encode(path, "ogg", "libopus", minutes, options={"b": "16k"})


@pytest.fixture(scope="module")
def page_box(tmp_path_factory):
    """Run a box with so many sessions that nobody fetches them at once, and one that means harm."""
    data = tmp_path_factory.mktemp("box")
    folder = folder_with(data, MANY)
    database = Database(folder.database)
    with database.write() as session:
        owner = accounts.named(session, accounts.DEFAULT).id
        note = f"Wir waren in Köln. {HTML} Das Dach ist neu."
        at = datetime.now(UTC) - timedelta(minutes=1)
        session.add(finished(owner, at, KOELN, note, "Köln,<i>planted</i>", f"{note} Unerhört."))
    database.close()
    with page_box_at(data) as box:
        yield box


def test_the_sessions_stand_under_their_days_and_what_looks_like_html_is_text(visit):
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    first = page.locator(ROW).first
    assert first.locator("h3").inner_text() == KOELN
    assert HTML in first.locator(".session-text").inner_text()
    assert "<i>planted</i>" in first.locator(".session-tags").inner_text()
    assert page.locator(f"{ROW} img, {ROW} b, {ROW} i").count() == 0
    assert page.title() == "Sessions · Scribebox"
    assert page.locator(".session-day-name").first.inner_text() in ("Today", "Yesterday")
    assert page.locator(".page-head p").inner_text() == f"{MANY + 1} sessions"


def test_what_is_typed_is_found_without_a_request_for_each_key(visit):
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    asked = []
    page.on("request", lambda request: "q=" in request.url and asked.append(request.url))
    page.locator(FIELD).press_sequentially("koln", delay=20)
    page.wait_for_selector(MARK)
    until(page, f"{TITLES}.length === 1")
    assert page.locator(MARK).all_inner_texts() == ["Köln", "Köln"]
    assert len(asked) < len("koln")
    page.locator("p:text-is('1 session found')").wait_for()
    assert page.url.endswith("#/sessions?q=koln")
    page.reload()
    page.wait_for_selector(MARK)
    assert page.input_value(FIELD) == "koln"
    page.locator(FIELD).press("Escape")
    until(page, f"{TITLES}.length >= 20")
    assert page.url.endswith("#/sessions")


def test_typing_on_gives_up_the_request_before_and_its_answer_never_wins(visit):
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    held, given_up = [], []
    page.route("**/sessions/?*q=board*", lambda route: held.append(route))
    page.on("requestfailed", lambda request: given_up.append(request.url))
    page.fill(FIELD, "board")
    while not held:
        page.wait_for_timeout(20)
    page.fill(FIELD, "koln")
    page.wait_for_selector(MARK)
    assert any("q=board" in url for url in given_up)
    until(page, f"{TITLES}.length === 1")


def test_what_is_marked_is_what_the_index_has_found(visit):
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    cases = {
        ("roof", "The roof, roofs and roofing."): "The [roof], [roof]s and [roof]ing.",
        ("roof new", "The new roofs newly."): "The [new] roofs [new]ly.",
        ('"new roof" x', "A new  roof; a new door."): "A [new  roof]; a new door.",
        ("koln", "KÖLN und Köln, Kölner"): "[KÖLN] und [Köln], [Köln]er",
        ("it's", "It's what it's worth; its"): "[It's] what [it's] worth; its",
        ("c++ (", "C++ and c"): "[C]++ and [c]",
        ("<b>", "<b>bold</b>"): "<[b]>[b]old</[b]>",
    }
    for (query, text), wanted in cases.items():
        assert page.evaluate(FOUND, [query, text])[0] == wanted, query
    long = "nothing here. " * 60 + "Then the needle came. " + "nothing there. " * 60
    excerpt = page.evaluate(FOUND, ["needle", long])[1]
    assert excerpt.startswith("… ") and "the needle came" in excerpt and len(excerpt) < 260
    assert page.evaluate(FOUND, ["absent", long])[1] is None


def test_what_only_the_original_has_is_shown_as_that(visit):
    page = visit("#/sessions?q=unerhort")
    page.wait_for_selector(MARK)
    shown = page.locator(".session-text").inner_text()
    assert shown.startswith("In the original:") and "Unerhört" in shown


def test_a_tag_narrows_the_list_and_can_be_taken_back(visit, page_box):
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    page.locator(".session-tags button", has_text="Köln").first.click()
    pressed = page.locator(".tag-filter [aria-pressed=true]")
    pressed.wait_for()
    answer = page_box.client.get(SESSIONS, params={"tag": "Köln"})
    page.locator(f"p:text-is('{answer.headers['X-Total-Count']} sessions found')").wait_for()
    assert "tag=K%C3%B6ln" in page.url
    page.locator("nav[aria-label=Sections] a", has_text="Sessions").click()  # that is: all of them
    page.locator(f"p:text-is('{MANY + 1} sessions')").wait_for()
    assert pressed.count() == 0
    page.locator(".tag-filter button", has_text="Köln").click()
    pressed.click()
    page.locator(f"p:text-is('{MANY + 1} sessions')").wait_for()


def test_nothing_found_says_so_and_leads_back(visit):
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    page.fill(FIELD, "<b>zzz")
    page.locator("h2:text-is('Nothing found')").wait_for()
    assert "“<b>zzz”" in page.locator(".empty").inner_text()
    assert page.locator(ROW).count() == 0
    page.get_by_role("button", name="Show all sessions").click()
    until(page, f"{TITLES}.length >= 20")
    assert page.evaluate("document.activeElement.id") == "session-search"


def test_pages_come_while_scrolling_none_twice_none_left_out(visit, page_box):
    """Sessions come and go meanwhile: one that was shown already goes, and a new one comes."""
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    shown = [int(one) for one in page.evaluate(
        "[...document.querySelectorAll('.session')].map((one) => one.dataset.id)")]  # fmt: skip
    assert len(shown) <= 60
    assert page_box.client.delete(f"{SESSIONS}{shown[5]}/").status_code == 204
    with written(page_box) as (session, owner):
        session.add(finished(owner, datetime.now(UTC), "Come in between", "New."))
    scroll_to_the_end(page)
    ids = [int(one) for one in page.evaluate(
        "[...document.querySelectorAll('.session')].map((one) => one.dataset.id)")]  # fmt: skip
    assert len(ids) == len(set(ids))
    assert ids == sorted(ids, reverse=True)
    there = {row["id"] for number in range(4) for row in page_box.client.get(
        SESSIONS, params={"page": number, "perPage": 100}).json()}  # fmt: skip
    newest = max(there)
    assert there - {newest} <= set(ids)
    # going away and coming back shows it: here the page is told by a look at the list
    page.reload()
    page.locator("h3", has_text="Come in between").wait_for()


def test_back_from_a_session_leads_to_the_same_place(visit):
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    until(page, f"scrollTo(0, document.body.scrollHeight), {TITLES}.length >= 80")
    link = page.locator(".session-link").nth(70)
    name = link.text_content()  # it may not be laid out yet
    link.scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    link.click()
    page.wait_for_url("**/#/sessions/*")
    page.go_back()
    page.wait_for_selector(ROW)
    until(page, f"document.activeElement.textContent === {json.dumps(name)}")
    assert abs(page.evaluate("scrollY") - before) < 400


def test_the_keyboard_alone_finds_and_opens_a_session(visit):
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    page.keyboard.press("/")
    page.keyboard.type("koln")
    page.wait_for_selector(MARK)
    until(page, f"{TITLES}.length === 1")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == KOELN
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"#/sessions/\d+$"))


def test_a_list_that_cannot_be_had_says_why_and_can_be_tried_again(visit):
    page = visit("#/box")
    page.wait_for_selector("h1")
    problem = {"status": 503, "title": "x", "detail": "The database is busy."}
    busy = {"status": 503, "content_type": "application/problem+json", "body": json.dumps(problem)}
    page.route("**/audioscribe/sessions/?*", lambda route: route.fulfill(**busy))
    page.evaluate("location.hash = '#/sessions'")
    alert = page.get_by_role("alert").filter(has_text="The database is busy.")
    alert.wait_for()
    page.unroute("**/audioscribe/sessions/?*")
    alert.get_by_role("button", name="Try again").click()
    page.wait_for_selector(ROW)
    assert alert.count() == 0


def test_a_file_is_followed_from_its_upload_to_its_text(visit, page_box):
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    slow(page, 60_000)
    page.locator("summary").click()
    page.get_by_label("Tags, separated by commas").fill("spoken, <u>u</u>")
    page.set_input_files("#upload-files", SPEECH / "dictation.flac")
    row = page.locator(WORK, has_text="dictation")
    row.locator("text=/Uploading, [0-9.]+ .* of 90/").wait_for()
    shoot(page, "sessions-uploading")
    page.locator("text=/Transcribing|Queued|Begins/").first.wait_for()
    slow(page, -1)
    page.locator(".toast", has_text="dictation is transcribed.").wait_for()
    assert row.count() == 0
    top = page.locator(ROW).first
    assert top.locator("h3").inner_text() == "dictation"
    assert "<u>u</u>" in top.locator(".session-tags").inner_text()
    session = page_box.client.get(SESSIONS).json()[0]
    truth = json.loads((SPEECH / "dictation.json").read_text())["text"]
    assert words_wrong(truth, session["originalTranscript"]) <= 2
    page.locator(".toast button", has_text="Open").click()
    page.wait_for_url(f"**/#/sessions/{session['id']}")


def test_an_upload_goes_on_while_one_looks_at_something_else(visit, page_box):
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    slow(page, 60_000)
    page.set_input_files("#upload-files", SPEECH / "dictation.flac")
    page.locator("text=/Uploading/").first.wait_for()
    page.locator("nav[aria-label=Sections] a", has_text="Box").click()
    page.wait_for_selector("[data-view=box] h1")
    page.locator("nav[aria-label=Sections] a", has_text="Sessions").click()
    page.locator(WORK, has_text="dictation").wait_for()
    slow(page, -1)
    page.locator(".toast", has_text="dictation is transcribed.").wait_for()


def test_what_is_dropped_waits_in_the_queue_and_can_be_given_up(visit, page_box, long_talk):
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    before = [one["id"] for one in page_box.client.get("/api/v1/jobs").json()]
    drop(page, long_talk, "long_talk.ogg", "audio/ogg")
    drop(page, SPEECH / "dictation.flac", "second.flac")
    assert page.locator(".drop-veil").is_hidden()
    waiting = page.locator(WORK, has_text="second").filter(has_text="Queued, 1 file before it")
    waiting.wait_for()
    page.locator(WORK, has_text="long talk").locator("text=/Transcribing, [1-9]/").wait_for()
    shoot(page, "sessions-queue")
    waiting.get_by_role("button", name="Cancel: second").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Keep it").click()
    waiting.get_by_role("button", name="Cancel: second").click()
    dialog.get_by_role("button", name="Cancel transcription").click()
    waiting.wait_for(state="detached")
    page.locator(WORK, has_text="long talk").get_by_role(
        "button", name=re.compile("Cancel")
    ).click()
    dialog.get_by_role("button", name="Cancel transcription").click()
    page.locator(WORK, has_text="long talk").wait_for(state="detached")
    jobs = [one for one in page_box.client.get("/api/v1/jobs").json() if one["id"] not in before]
    assert [(one["title"], one["state"]) for one in jobs] == [
        ("second", "cancelled"), ("long talk", "cancelled"),
    ]  # fmt: skip


def test_an_upload_given_up_in_the_middle_leaves_nothing_on_the_box(visit, page_box):
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    before = len(page_box.client.get("/api/v1/jobs").json())
    slow(page, 20_000)
    page.set_input_files("#upload-files", [SPEECH / "meeting.flac", SPEECH / "german.flac"])
    page.locator(WORK, has_text="german").locator("text=Waits for the upload before it").wait_for()
    page.locator(WORK, has_text="meeting").locator("text=/Uploading/").wait_for()
    page.get_by_role("button", name="Cancel: german.flac").click()
    page.get_by_role("button", name="Cancel: meeting.flac").click()
    page.locator(".work").wait_for(state="hidden")
    assert len(page_box.client.get("/api/v1/jobs").json()) == before


def test_what_is_no_sound_is_told_in_place_and_dismissed_for_good(visit, page_box):
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    drop(page, SPEECH / "dictation.json", "notes.txt", "text/plain")
    refused = page.locator(WORK, has_text="notes.txt")
    refused.locator("text=This is neither sound nor video.").wait_for()
    refused.get_by_role("button", name="Dismiss: notes.txt").click()
    drop(page, SPEECH / "dictation.json", "broken.mp3", "audio/mpeg")
    broken = page.locator(WORK, has_text="broken")
    broken.locator("text=/not an audio file/i").wait_for()
    assert "upload it again" in broken.inner_text()
    page.reload()
    broken.get_by_role("button", name="Dismiss: broken").click()
    broken.wait_for(state="detached")
    page.reload()
    page.wait_for_selector(ROW)
    page.wait_for_load_state("networkidle")
    assert page.locator(".work").is_hidden()


def test_an_upload_cut_off_by_the_box_can_be_tried_again(visit, page_box):
    visit.expected("ERR_")  # the browser itself says that the box is away
    page = visit("#/sessions")
    page.wait_for_selector(ROW)
    slow(page, 20_000)
    page.set_input_files("#upload-files", SPEECH / "dictation.flac")
    page.locator("text=/Uploading, [1-9]/").first.wait_for()
    page_box.stop()
    row = page.locator(WORK, has_text="dictation.flac")
    row.get_by_role("alert").wait_for()
    page_box.start()
    slow(page, -1)
    page.locator(".banner").wait_for(state="hidden")
    row.get_by_role("button", name="Try again").click()
    page.locator(".toast", has_text="dictation is transcribed.").wait_for()


def test_a_key_that_may_only_read_finds_and_cannot_upload(visit, page_box, long_talk):
    page = visit("#/sessions?q=koln", key=page_box.new_key("sessions:read"))
    page.wait_for_selector(MARK)
    assert page.locator("#upload-files, .drop").count() == 0
    sound = long_talk.read_bytes()
    jobs = [page_box.client.post(SESSIONS, content=sound).json()["job"] for _ in range(5)]
    page.locator("text=/Queued, [1-4] files? before it/").first.wait_for()
    assert page.get_by_role("button", name=re.compile("Cancel|Upload")).count() == 0
    for job in reversed(jobs):
        page_box.client.post(f"/api/v1/jobs/{job}/cancel")
    page.locator("text=/Transcribing|Queued|Begins/").first.wait_for(state="detached")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_while_files_are_on_their_way(visit, theme):
    script = axe.source()
    page = visit("#/sessions?tag=Köln", width=390, theme=theme)
    page.wait_for_selector(ROW)
    page.locator("summary").click()
    slow(page, 20_000)
    page.set_input_files(
        "#upload-files", [SPEECH / "meeting.flac", SPEECH / "german.flac", SPEECH / "german.json"]
    )
    page.locator("text=/Uploading/").first.wait_for()
    found = [one for one in axe.problems(page, script) if one["impact"] in axe.GRAVE]
    assert not found, axe.told(found)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1440])
def test_nothing_is_cut_off_at_any_width(visit, width, theme):
    page = visit("#/sessions", width=width, theme=theme)
    page.wait_for_selector(ROW)
    shoot(page, f"sessions-{width}-{theme}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.fill(FIELD, "koln")
    page.wait_for_selector(MARK)
    shoot(page, f"sessions-search-{width}-{theme}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@contextlib.contextmanager
def written(page_box):
    """Write into the database of the box; yield the session and the number of the account."""
    opened = contextlib.closing(Database(page_box.data / "scribebox.db"))
    with opened as database, database.write() as session:
        yield session, accounts.named(session, accounts.DEFAULT).id


def scroll_to_the_end(page):
    """Scroll until there is nothing more to come."""
    end = "document.querySelector('.session-end').childElementCount === 0"
    until(page, f"scrollTo(0, document.body.scrollHeight), {end}")


def slow(page, bytes_per_second):
    """Have the browser send no faster; -1: as fast as it can."""
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send(
        "Network.emulateNetworkConditions", {**limits, "uploadThroughput": bytes_per_second}
    )


def drop(page, path, name, media_type="audio/flac"):
    """Drop a file on the view as a person does."""
    content = base64.b64encode(path.read_bytes()).decode()
    page.evaluate(DROP, [".view", name, media_type, content])
