"""Recording on the box's own page: a real browser, a real server, a microphone that hears."""

import contextlib
import os
import re
import signal
import subprocess

import pytest
from page_browser import page_box_at, shoot
from running_box import WAIT_S
from speech_fixtures import fixture, words_of, words_wrong
from virtual_microphone import VirtualMicrophone, missing, wait_until

from appliance.store import recordings
from appliance.store.database import Database
from appliance.store.entities import Recording

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
PATH = "/api/v1/recordings"
DICTATION, MEETING = fixture("dictation"), fixture("meeting")
HTML = "<img src=x onerror=\"document.title='taken'\"><b>bold</b> & so on"


@pytest.fixture(scope="module")
def microphone():
    with VirtualMicrophone() as plugged:
        yield plugged


@pytest.fixture(scope="module")
def page_box(tmp_path_factory, microphone):
    """Run a box that hears the microphone."""
    with page_box_at(tmp_path_factory.mktemp("box"), **microphone.environment) as box:
        box.box.wait_for("It heard its sample as")  # the engine is there
        yield box


@pytest.fixture(autouse=True)
def free(page_box):
    """Leave the microphone to the next test, whatever this one did."""
    yield
    for one in page_box.client.get(PATH).json():
        if one["state"] in ("recording", "finishing"):
            page_box.client.post(f"{PATH}/{one['id']}/discard")


@contextlib.contextmanager
def playing(microphone, spoken):
    """Let the microphone hear a file from now on; it has heard all of it when the block ends."""
    player = subprocess.Popen(
        ["paplay", "--device=mic", str(spoken.path)],
        env={**os.environ, **microphone.environment},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
        assert player.wait(WAIT_S) == 0
    finally:
        player.kill()
        player.wait(WAIT_S)


def begin(page, title=""):
    """Start to record on the page; return the number of the recording."""
    page.get_by_label("Title (optional)").fill(title)
    page.get_by_role("button", name="Start recording").click()
    page.locator(".rec-live").wait_for()
    return int(page.evaluate("location.hash").rpartition("/")[2])


def lines(page):
    """Return the texts that are settled on the page, in order."""
    return page.locator(
        ".lines > .line:not(.line-gap, .line-held) > .line-text"
    ).all_text_contents()


def stop(page):
    """End the recording on the page; return when it is saved."""
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("The recording is saved as a session.").first.wait_for()


def told(box, number, kind):
    """Return the stored events of a kind, as the box tells them."""
    database = Database(box.data / "scribebox.db")
    with contextlib.closing(database), database.read() as session:
        return recordings.events_of(session, number, kind)


def plant(box, number, **segment):
    """Have a recording tell of a segment that nobody said."""
    heard = {"start": 0.5, "end": 1.0, "words": [], "confidence": 0.9, "engine": "whisper-tiny.en"}
    database = Database(box.data / "scribebox.db")
    with contextlib.closing(database), database.write() as session:
        row = session.get_one(Recording, number)
        recordings.append_event(session, row, recordings.SEGMENT, {**heard, **segment})


def test_what_is_said_is_read_on_the_page_while_it_is_said_and_becomes_a_session(
    visit, microphone, page_box
):
    page = visit("#/record")
    number = begin(page, "Standup <i>one</i>")
    assert page.locator("h1").text_content() == "Standup <i>one</i>"
    page.get_by_text("Words appear here while people speak.").wait_for()
    with playing(microphone, DICTATION):
        page.locator(".line-now:visible").wait_for()
        first = page.locator(".line-now").text_content()
        level = page.get_by_role("meter", name="Level")
        page.wait_for_function(
            "m => Number(m.getAttribute('aria-valuenow')) > -50", arg=level.element_handle()
        )
    assert set(words_of(first)) & set(words_of(DICTATION.text))
    shoot(page, "record-live-1440-light")
    stop(page)
    assert words_wrong(DICTATION.text, " ".join(lines(page))) <= 1
    assert page.locator(".line-by").first.text_content() == "tiny.en"
    assert not page.locator(".line-now").is_visible()
    elapsed, captured = page.locator(".rec-clock, .rec-figure:first-child dd").all_text_contents()
    assert elapsed == captured and re.fullmatch(r"\d:\d\d", elapsed)
    session = page_box.client.get(f"{PATH}/{number}").json()["sessionId"]
    opens = page.get_by_role("link", name="Open session")
    assert opens.get_attribute("href") == f"#/sessions/{session}"
    page.get_by_role("link", name="New recording").click()
    listed = page.get_by_role("link", name="Standup <i>one</i>")
    assert listed.get_attribute("href") == f"#/sessions/{session}"


def test_two_viewers_read_the_same_and_one_of_them_may_come_late(visit, microphone, page_box):
    page = visit("#/record")
    number = begin(page)
    narrow = page_box.new_key("recordings")
    with playing(microphone, MEETING):
        page.locator(".lines > .line").nth(1).wait_for()
        late = visit(f"#/record/{number}", width=390, key=narrow)
        late.locator(".lines > .line").nth(1).wait_for()
        late.locator(".line-now:visible").wait_for()
        shoot(late, "record-live-390-light")
    stop(page)
    late.get_by_text("The recording is saved as a session.").first.wait_for()
    assert lines(late) == lines(page)
    assert words_wrong(MEETING.text, " ".join(lines(page))) <= 4
    assert late.get_by_role("link", name="Open session").count() == 0  # its key may not
    assert page.locator("h1").text_content() != f"Recording {number}"  # the session has a title
    assert late.locator("h1").text_content() == page.locator("h1").text_content()


def test_a_server_that_is_killed_and_comes_back_loses_and_repeats_no_line(
    visit, microphone, page_box
):
    visit.expected("net::ERR_")
    page = visit("#/record")
    number = begin(page)
    room = visit(f"#/captions/{number}")
    with playing(microphone, MEETING):
        page.locator(".lines > .line").nth(1).wait_for()
        before = lines(page)
        page_box.box.stop(signal.SIGKILL)
        page_box.box.close()
        page.locator(".alert").get_by_text("The line to the box is interrupted.").wait_for()
        room.locator(".cap-status").get_by_text("The line to the box is interrupted").wait_for()
        assert lines(page)[: len(before)] == before
        page_box.start()
        page.locator(".alert").get_by_text("interrupted").wait_for(state="detached")
    stop(page)
    room.locator(".cap-status").get_by_text("The recording has ended.").wait_for()
    heard = [one["text"] for one in told(page_box, number, "segment") if "reason" not in one]
    assert lines(page) == heard == room.locator(".cap-line").all_text_contents()
    assert words_wrong(MEETING.text, " ".join(heard)) <= 4


def test_a_box_that_is_stopped_saves_what_there_is_and_the_page_says_so_when_it_is_back(
    visit, microphone, page_box
):
    visit.expected("net::ERR_")
    page = visit("#/record")
    begin(page)
    with playing(microphone, DICTATION):
        page.locator(".line-now:visible").wait_for()
    page_box.stop()
    page_box.start()
    page.get_by_text("is saved as a session.").first.wait_for()
    assert words_wrong(DICTATION.text, " ".join(lines(page))) <= 1


def test_who_discards_is_asked_first_and_all_viewers_are_told(visit, page_box):
    page = visit("#/record")
    number = begin(page)
    other = visit(f"#/record/{number}")
    other.locator(".rec-state[data-state=recording]").wait_for()
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").wait_for(state="detached")
    assert page_box.client.get(f"{PATH}/{number}").json()["state"] == "recording"
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    for each in (page, other):
        each.locator(".rec-outcome").get_by_text("Nothing of it is kept.").wait_for()
        assert each.locator(".lines").count() == 0
    assert page_box.client.get(f"{PATH}/{number}").status_code == 404
    page.get_by_role("link", name="New recording").click()
    page.get_by_role("button", name="Start recording").wait_for()


def test_a_microphone_in_use_leads_to_the_recording_that_uses_it(visit, page_box):
    number = page_box.client.post(PATH, json={}).json()["id"]
    page = visit("#/record")
    page.locator(".rec-running").get_by_text(f"Recording {number}").wait_for()
    page.get_by_role("button", name="Start recording").click()
    alert = page.get_by_role("alert").filter(has_text="in use")
    alert.get_by_text(f"The microphone is in use by recording {number}.").wait_for()
    alert.get_by_text("choose another microphone").wait_for()
    page.get_by_role("link", name="Watch that recording").click()
    page.locator(".rec-state[data-state=recording]").wait_for()
    assert page.evaluate("location.hash") == f"#/record/{number}"
    assert page.evaluate("document.activeElement.tagName") == "H1"


def test_a_microphone_that_goes_away_is_told_and_what_is_missing_stands_in_the_text(
    visit, microphone, page_box
):
    page = visit("#/record")
    number = begin(page)
    wait_until(
        lambda: page_box.client.get(f"{PATH}/{number}").json()["capturedSeconds"] > 2, "sound"
    )
    microphone.unplug()
    page.locator(".alert.error").get_by_text("The microphone is gone.").wait_for()
    page.locator(".alert.error").get_by_text("Plug it in again").wait_for()
    wait_until(
        lambda: page_box.client.get(f"{PATH}/{number}").json()["elapsedSeconds"] > 5, "a gap"
    )
    microphone.plug()
    gap = page.locator(".line-gap")
    gap.wait_for()
    assert re.search(r"\d s missing here: the microphone was away\.$", gap.text_content())
    page.locator(".alert.error").wait_for(state="detached")
    page.locator(".rec-gaps").get_by_text("the microphone was away.").wait_for()
    captured = page.locator(".rec-figure.is-short dd")
    assert re.fullmatch(r"\d:\d\d of \d:\d\d", captured.text_content())


def test_silence_is_told_in_words(visit):
    page = visit("#/record", width=390, theme="dark")
    begin(page)
    page.locator(".alert.warning").get_by_text("The microphone hears nothing.").wait_for()
    shoot(page, "record-silent-390-dark")


def test_without_a_sound_server_the_page_says_what_to_do(visit, microphone, page_box):
    microphone.kill_server()
    try:
        page = visit("#/record")
        page.locator("#rec-device:enabled").wait_for()
        hint = page.locator("#rec-device-hint").text_content()
        page.get_by_role("button", name="Start recording").click()
        alert = page.get_by_role("alert").locator(".alert-title, p")
        alert.first.wait_for()
        assert page.get_by_role("button", name="Start recording").is_enabled()
    finally:
        microphone.restart_server()
    assert "microphone" in hint.lower() or "sound" in hint.lower(), hint
    page.get_by_role("button", name="Look for microphones again").click()
    page.locator("#rec-device option").filter(has_text="pulse").wait_for(state="attached")
    begin(page)


def test_the_device_the_tags_and_the_kind_of_talk_are_those_that_were_chosen(visit, page_box):
    page = visit("#/record")
    page.locator("#rec-device:enabled").wait_for()
    page.get_by_label("Microphone", exact=True).select_option("pulse")
    page.get_by_text("More options").click()
    page.get_by_label("Tags, separated by commas").fill("a, b")
    page.get_by_label("Language").select_option("en")
    page.get_by_label("Kind of talk").select_option("dictation")
    number = begin(page)
    database = Database(page_box.data / "scribebox.db")
    with contextlib.closing(database), database.read() as session:
        row = session.get_one(Recording, number)
        assert (row.device, row.language, row.profile) == ("pulse", "en", "dictation")
    page.goto(f"{page_box.url}/#/record")
    page.locator("#rec-device:enabled").wait_for()
    assert page.get_by_label("Microphone", exact=True).input_value() == "pulse"  # remembered


def test_a_language_that_the_model_does_not_know_is_refused_in_words(visit):
    page = visit("#/record")
    page.get_by_text("More options").click()
    page.get_by_label("Language").select_option("de")
    page.get_by_role("button", name="Start recording").click()
    page.get_by_role("alert").get_by_text("tiny.en").first.wait_for()


def test_it_all_works_with_the_keyboard_alone(visit):
    page = visit("#/record")
    page.get_by_role("button", name="Start recording").wait_for()
    page.locator("#rec-device:enabled").wait_for()
    tab_to(page, "rec-title")
    page.keyboard.type("By hand")
    page.keyboard.press("Enter")
    page.locator(".rec-state[data-state=recording]").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "By hand"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Stop"
    page.keyboard.press("Enter")
    page.get_by_text("is saved as a session.").first.wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Open session"


def tab_to(page, name):
    """Press Tab until an element has the focus."""
    for _ in range(30):
        if page.evaluate("document.activeElement.id") == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no Tab leads to {name}")


def test_text_with_html_stays_text_and_what_was_held_back_is_shown_on_demand(visit, page_box):
    page = visit("#/record")
    number = begin(page)
    room = visit(f"#/captions/{number}")
    plant(page_box, number, text=HTML)
    plant(page_box, number, text=f"Thank you for watching! {HTML}", reason="no speech")
    plant(page_box, number, start=0.8, text="", reason="engine error", engine="none")
    plant(
        page_box,
        number,
        start=0.9,
        text="from afar",
        engine="deepgram-nova-3",
        engineReason="behind",
    )
    page.get_by_text("from afar").wait_for()
    assert lines(page)[0] == HTML
    assert (
        page.locator(".line-lost").text_content().startswith("0:00No text here: the engine failed")
    )
    cloud = page.locator(".line-cloud")
    assert cloud.text_content() == "cloud · nova-3"
    assert "because this box was behind" in cloud.get_attribute("title")
    held = page.locator(".line-held")
    assert not held.is_visible()
    page.get_by_role("button", name="Show 1 passage held back").click()
    assert held.is_visible() and "it is probably no speech" in held.text_content()
    room.get_by_text("from afar").wait_for()
    assert room.locator(".cap-line").all_text_contents() == [HTML, "from afar"]
    for each in (page, room):
        assert each.locator("main img, main b").count() == 0 and each.title() != "taken"


def test_the_text_stays_where_it_is_read_until_the_reader_wants_the_newest(visit, page_box):
    page = visit("#/record")
    number = begin(page)
    for at in range(40):
        plant(page_box, number, start=at / 100, text=f"line {at}, " + at * "and on ")
    page.get_by_text("line 39,").wait_for()
    scroll = page.locator(".lines-scroll")
    at_end = "e => e.scrollHeight - e.scrollTop - e.clientHeight < 2"
    page.wait_for_function(at_end, arg=scroll.element_handle())
    scroll.evaluate("e => { e.scrollTop = 0; }")
    page.get_by_role("button", name="Newest text").wait_for()
    plant(page_box, number, start=0.9, text="one more")
    page.get_by_text("one more").wait_for()
    assert scroll.evaluate("e => e.scrollTop") == 0
    page.get_by_role("button", name="Newest text").click()
    page.wait_for_function(at_end, arg=scroll.element_handle())
    assert not page.get_by_role("button", name="Newest text").is_visible()


def test_a_recording_that_is_not_there_is_told_in_words(visit):
    page = visit("#/record/999999")
    page.locator(".rec-outcome").get_by_text("There is no such recording").wait_for()
    page.get_by_role("link", name="New recording").wait_for()
    room = visit("#/captions/999999")
    room.locator(".cap-status").get_by_text("There is no such recording.").wait_for()


def test_captions_wait_for_a_recording_and_show_it_as_large_as_one_likes(
    visit, microphone, page_box
):
    room = visit("#/captions")
    status = room.locator(".cap-status")
    status.get_by_text("Waiting for a recording to begin").wait_for()
    number = page_box.client.post(PATH, json={}).json()["id"]
    status.get_by_text("Waiting for the first words").wait_for()
    with playing(microphone, DICTATION):
        room.locator(".cap-now:visible").wait_for()
        size = "getComputedStyle(document.querySelector('.cap-text')).fontSize"
        before = float(room.evaluate(size).removesuffix("px"))
        room.keyboard.press("+")
        assert float(room.evaluate(size).removesuffix("px")) > before
        room.get_by_role("button", name="Switch between light and dark").click()
        assert room.locator(".captions").get_attribute("data-tone") == "light"
        shoot(room, "captions-1440-light")
    assert not room.locator("header.bar").is_visible()
    page_box.client.post(f"{PATH}/{number}/stop")
    status.get_by_text("The recording has ended.").wait_for()
    said = " ".join(room.locator(".cap-line").all_text_contents())
    assert words_wrong(DICTATION.text, said) <= 1
    again = visit(f"#/captions/{number}", width=390)
    again.locator(".cap-line").first.wait_for()
    again.get_by_role("link", name="Leave").click()
    again.get_by_text("is saved as a session.").first.wait_for()
