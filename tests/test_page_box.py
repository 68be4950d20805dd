"""Usage, limits, keys, webhooks, vocabulary and health on the page, in a real browser."""

import contextlib
from datetime import timedelta

import httpx
import pytest
from delivering import tell_all, until
from page_browser import THEMES, WIDTHS, page_box_at, shoot
from receiver import receiving

from appliance import welcome
from appliance.data_folder import DataFolder
from appliance.store import accounts, usage
from appliance.store.database import Database
from appliance.store.entities import now

pytestmark = pytest.mark.long

KEYS, WEBHOOKS, VOCABULARY = "/api/v1/keys", "/api/v1/webhooks", "/api/v1/vocabulary"
DAYS = 40
PARTS = "nav[aria-label='Parts of the box'] a"
TABS = ["usage", "keys", "webhooks", "vocabulary", "health"]
HOSTILE = "<img src=x onerror=alert(1)><b>bold</b>"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
IN_THE_PAGE = "document.documentElement.outerHTML + JSON.stringify({...sessionStorage})"


@pytest.fixture(scope="module")
def there():
    """Run a receiver of webhooks."""
    with receiving() as running:
        yield running


@pytest.fixture(scope="module")
def page_box(tmp_path_factory, there):
    """Run a box without a model that has dictations of some weeks and may reach the receiver."""
    folder = DataFolder(tmp_path_factory.mktemp("box")).make()
    with contextlib.closing(Database(folder.database)) as database:
        welcome.bootstrap(database, folder)
        with database.write() as session:
            owner = accounts.named(session, accounts.DEFAULT).id
            for day in range(DAYS):
                amounts = {"words": 10 * day + 7, "audio_ms": 60_000, "cost_micros": 4300}
                at = now() - timedelta(days=day)
                usage.add(session, owner, usage.DICTATION, at=at, **amounts)
    settings = {
        "SCRIBEBOX_MODEL": "absent",
        "SCRIBEBOX_PLANS": "tiny=5/unlimited,roomy=100000/200000",
        "SCRIBEBOX_WEBHOOK_ALLOW": f"127.0.0.1:{there.port}",
    }
    with page_box_at(folder.path, **settings) as box:
        yield box


def test_usage_is_a_chart_by_day_with_the_same_figures_as_a_table(visit, page_box):
    page = visit("#/box/usage")
    days = page_box.client.get("/v1/transcribe/usage/daily").json()["days"]
    total = sum(day["wordCount"] for day in days)
    page.get_by_text(f"{total:,} words in 30 days").wait_for()
    assert page.locator(".box-bar").count() == 30
    page.get_by_text("The same as a table").click()
    rows = page.locator("table tbody tr").all_inner_texts()
    assert [row.split("\t")[:2] for row in rows] == [
        [day["date"], str(day["wordCount"])] for day in days
    ]
    page.get_by_label("7 days").check()
    page.get_by_text("in 7 days").wait_for()
    assert page.locator(".box-bar").count() == 7
    page.get_by_label("Minutes").check()
    page.get_by_text("7 min in 7 days").wait_for()


def test_the_chart_is_read_with_the_keyboard_too(visit, page_box):
    page = visit("#/box/usage")
    chart = page.get_by_role("slider")
    chart.wait_for()
    days = page_box.client.get("/v1/transcribe/usage/daily").json()["days"]
    chart.press("ArrowLeft")
    assert f"{days[0]['wordCount']} words" in chart.get_attribute("aria-valuetext")
    chart.press("ArrowLeft")
    assert f"{days[1]['wordCount']} words" in chart.get_attribute("aria-valuetext")
    chart.press("Home")
    assert f"{days[-1]['wordCount']} words" in page.locator(".box-readout").inner_text()


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("selfhosted", ["No limit."]),
        ("roomy", ["of 100,000 words", "of 200,000 words", "begins anew on Monday"]),
        ("tiny", ["The words of today are used up.", "the box itself goes on transcribing"]),
    ],
)
def test_limits_are_told_in_words(visit, page_box, plan, said):
    answer = page_box.client.patch("/api/v1/accounts/1", json={"plan": plan})
    assert answer.status_code == 200, answer.text
    page = visit("#/box/usage")
    page.get_by_text(f"plan {plan}").wait_for()
    text = page.locator("section[aria-label=Limits]").inner_text()
    for sentence in said:
        assert sentence in text


def test_without_dictations_the_page_says_so_and_what_to_do(visit, page_box):
    page_box.client.post("/api/v1/accounts", json={"name": "quiet"})
    key = made_key(page_box, "transcribe:*", account="quiet")
    page = visit("#/box/usage", key=key["key"])
    page.get_by_text("No dictation in these 30 days.").wait_for()
    page.get_by_text("Give an app a key").wait_for()


def test_a_key_made_on_the_page_is_shown_once_and_does_what_it_may(visit, page_box):
    page = visit("#/box/keys", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="New key").click()
    page.get_by_role("button", name="Make the key").click()
    page.get_by_text("Give the key a name").wait_for()
    page.get_by_label("Name", exact=True).fill("Reception")
    page.get_by_role("button", name="Make the key").click()
    page.get_by_text("Choose at least one thing").wait_for()
    page.get_by_label("sessions:read").check()
    page.get_by_label("It ends").select_option("In 30 days")
    page.get_by_role("button", name="Make the key").click()
    secret = page.get_by_label("The key", exact=True).input_value()
    page.get_by_role("button", name="Copy").click()
    page.get_by_text("Copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.get_by_role("button", name="I have kept it").click()
    assert secret not in page.evaluate(IN_THE_PAGE)
    assert page.evaluate("document.activeElement.textContent") == "New key"
    with httpx.Client(base_url=page_box.url, trust_env=False) as client:
        client.headers["Authorization"] = f"Bearer {secret}"
        assert client.get("/api/v1/me").json()["scopes"] == ["sessions:read"]
        assert client.get("/api/v1/me").json()["expiresAt"] is not None
        assert client.get(KEYS).status_code == 403
        page.get_by_role("button", name="Revoke Reception").click()
        page.get_by_role("button", name="Cancel").click()
        assert client.get("/api/v1/me").status_code == 200
        page.get_by_role("button", name="Revoke Reception").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        page.get_by_text("“Reception” is revoked.").first.wait_for()
        assert client.get("/api/v1/me").status_code == 401
    page.reload()
    page.get_by_role("button", name="that ended").click()
    page.get_by_text("Revoked", exact=True).first.wait_for()


def test_a_key_is_made_with_the_keyboard_alone(visit, page_box):
    page = visit("#/box/keys")
    page.get_by_role("button", name="New key").focus()
    for keys in ("Enter", "K", "b", "Tab", "Tab", "Tab", "Space", "Enter"):
        page.keyboard.press(keys)
    page.get_by_role("heading", name="Key “Kb” is made").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Key “Kb” is made"
    found = next(one for one in page_box.client.get(KEYS).json() if one["name"] == "Kb")
    assert found["scopes"] == ["recordings"]


def test_the_last_key_of_an_administrator_is_not_revoked_without_a_word(visit, page_box):
    for key in page_box.client.get(KEYS).json():
        if key["scopes"] == ["admin"] and key["name"] != "admin":
            page_box.client.delete(f"{KEYS}/{key['id']}")
    page = visit("#/box/keys")
    page.get_by_role("button", name="Revoke admin").click()
    page.get_by_text("It is the last key that may do everything").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert "Revoke admin" in page.evaluate("document.activeElement.ariaLabel")


def test_who_revokes_the_key_in_use_is_warned_and_then_signed_out(visit, page_box):
    key = made_key(page_box, "admin", name="Mine")
    page = visit("#/box/keys", key=key["key"])
    page.get_by_role("button", name="Revoke Mine").click()
    page.get_by_text("you will be signed out").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    page.wait_for_selector("form.sign-in")


@pytest.mark.parametrize(
    ("scopes", "parts"),
    [
        (["listen"], ["Health"]),
        (["transcribe:usage"], ["Usage", "Health"]),
        (["webhooks", "sessions:read"], ["Webhooks", "Vocabulary", "Health"]),
    ],
)
def test_a_narrow_key_sees_only_the_parts_that_it_may(visit, page_box, scopes, parts):
    page = visit("#/box", key=page_box.new_key(*scopes))
    page.wait_for_selector(PARTS)
    assert page.locator(PARTS).all_inner_texts() == parts
    assert page.locator("h1").inner_text() == parts[0]
    page.goto(f"{page_box.url}/#/box/keys")
    page.get_by_text("This key lacks the scope admin").wait_for()


def test_a_webhook_is_made_and_tested_and_its_secret_shown_once(visit, page_box, there):
    page = visit("#/box/webhooks")
    page.get_by_role("button", name="New webhook").click()
    page.get_by_label("Address").fill("example")
    page.get_by_role("button", name="Make the webhook").click()
    page.get_by_text("Write the whole address").wait_for()
    page.get_by_label("Address").fill("http://127.0.0.1:9/")
    page.get_by_role("button", name="Make the webhook").click()
    page.get_by_role("alert").filter(has_text="webhook_allow").wait_for()  # as the box says it
    url = there.url("/tested")
    page.get_by_label("Address").fill(url)
    page.get_by_role("button", name="Make the webhook").click()
    secret = page.get_by_label("The secret").input_value()
    assert secret.startswith("whsec_")
    page.get_by_role("button", name="I have kept it").click()
    assert secret not in page.evaluate(IN_THE_PAGE)
    card = card_of(page, url)
    card.get_by_role("button", name="Send a test").click()
    card.get_by_text("The test: Received, with status 200.").wait_for()
    assert any(one.path == "/tested" for one in there.received())
    there.set("/tested", "404")
    card.get_by_role("button", name="Send a test").click()
    card.get_by_text("The receiver answered 404.").wait_for()
    card.get_by_text("Check the path of the address.").wait_for()


def test_a_webhook_is_changed_rotated_disabled_and_deleted(visit, page_box, there):
    made = made_webhook(page_box, there.url("/changed"))
    page = visit("#/box/webhooks")
    card = card_of(page, made["url"])
    card.get_by_role("button", name="Edit").click()
    card.get_by_label("What it is for").fill("The archive")
    card.get_by_role("button", name="Save").click()
    card.get_by_text("The archive").wait_for()
    card.get_by_role("button", name="New secret").click()
    page.get_by_role("dialog").get_by_role("button", name="New secret").click()
    assert card.get_by_label("The secret").input_value() != made["secret"]
    card.get_by_role("button", name="Disable").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    card.get_by_text("It was disabled here.").wait_for()
    assert card.get_by_label("The secret").is_visible()  # not kept yet: what else is done keeps it
    assert page.evaluate("document.activeElement.textContent") == "Enable"
    card.get_by_role("button", name="Enable").click()
    card.get_by_text("Enabled", exact=True).wait_for()
    card.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    card.wait_for(state="detached")
    assert page_box.client.get(f"{WEBHOOKS}/{made['id']}").status_code == 404


def test_deliveries_show_their_tries_and_are_sent_again(visit, page_box, there):
    there.set("/flaky", "410-then-200")
    made = made_webhook(page_box, there.url("/flaky"))
    page_box.client.post(f"{WEBHOOKS}/{made['id']}/test")
    page = visit("#/box/webhooks")
    page.get_by_label("Webhook", exact=True).select_option(str(made["id"]))
    page.get_by_text("1 delivery").wait_for()
    row = page.get_by_role("list", name="Deliveries").get_by_role("listitem").first
    row.locator("summary").click()
    row.get_by_text("The receiver answered 410.").wait_for()
    row.get_by_role("button", name="Send again").click()
    row.get_by_text("is disabled (gone); enable it, then replay").wait_for()
    card_of(page, made["url"]).get_by_role("button", name="Enable").click()
    card_of(page, made["url"]).get_by_text("Enabled", exact=True).wait_for()
    row.get_by_role("button", name="Send again").click()
    row.get_by_text("Delivered", exact=True).wait_for()  # without a reload
    assert row.locator("details").get_attribute("open") is not None
    assert row.get_by_role("list", name="2 tries").get_by_role("listitem").count() == 2


def test_everything_of_a_time_is_sent_again(visit, page_box, there):
    made = made_webhook(page_box, there.url("/all"))
    with contextlib.closing(Database(page_box.data / "scribebox.db")) as database:
        tell_all(database, 1, 3)
    page = visit("#/box/webhooks")
    page.get_by_label("Webhook", exact=True).select_option(str(made["id"]))
    page.get_by_label("State").select_option("Delivered")
    page.get_by_text("3 deliveries").wait_for()
    until(lambda: sum(one.path == "/all" for one in there.received()) == 3)
    card = card_of(page, made["url"])
    card.get_by_role("button", name="Send again…").click()
    card.get_by_label("Send again everything of").select_option("the last hour")
    card.get_by_role("button", name="Send again", exact=True).click()
    card.get_by_text("3 deliveries begin again.").wait_for()
    page.get_by_label("2 tries").nth(2).wait_for(state="attached")
    assert sum(one.path == "/all" for one in there.received()) == 3 + 3


def test_the_vocabulary_is_edited_and_saved_as_one(visit, page_box):
    assert page_box.client.put(VOCABULARY, json={}).status_code == 200
    page = visit("#/box/vocabulary")
    entry = page.get_by_label("Add a word or a name")
    entry.fill("Scribebox")
    entry.press("Enter")
    entry.evaluate(
        """(input) => {
          const clipboardData = new DataTransfer();
          clipboardData.setData("text/plain", "Kubernetes\\nAda Lovelace; Scribebox");
          input.dispatchEvent(new ClipboardEvent("paste", {clipboardData, cancelable: true}));
        }"""
    )
    page.get_by_text("3 of 200").wait_for()
    page.get_by_role("button", name="Remove Kubernetes").click()
    page.get_by_role("button", name="Add a replacement").click()
    page.keyboard.type("scribe box")
    page.keyboard.press("Tab")
    page.keyboard.type("Scribebox")
    page.keyboard.press("Enter")  # the next row
    page.keyboard.type("Scribe Box")
    entry.fill("Grace Hopper")  # neither added nor forgotten
    page.get_by_role("button", name="Save").click()
    page.get_by_text("is there twice").wait_for()
    page.get_by_role("button", name="Remove replacement 2").click()
    page.keyboard.press("Control+s")
    page.get_by_text("Saved.").first.wait_for()
    assert page_box.client.get(VOCABULARY).json() == {
        "hotwords": ["Scribebox", "Ada Lovelace", "Grace Hopper"],
        "replacements": [{"from": "scribe box", "to": "Scribebox"}],
    }
    assert page.get_by_text("Not saved yet").is_hidden()


def test_what_is_not_saved_outlives_a_look_at_another_part(visit, page_box):
    assert page_box.client.put(VOCABULARY, json={"hotwords": ["One"]}).status_code == 200
    page = visit("#/box/vocabulary")
    page.get_by_role("button", name="Remove One").click()
    page.get_by_role("link", name="Health").click()
    page.get_by_role("heading", name="Health").wait_for()
    page.get_by_role("link", name="Vocabulary").click()
    page.get_by_text("they aren't saved yet").wait_for()
    page.get_by_text("No word yet.").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Remove One").wait_for()


def test_what_somebody_else_saved_meanwhile_is_not_overwritten_unasked(visit, page_box):
    assert page_box.client.put(VOCABULARY, json={"hotwords": ["Ours"]}).status_code == 200
    page = visit("#/box/vocabulary")
    page.get_by_role("button", name="Remove Ours").click()
    assert page_box.client.put(VOCABULARY, json={"hotwords": ["Theirs"]}).status_code == 200
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="See theirs").click()
    page.get_by_role("button", name="Remove Theirs").wait_for()
    assert page_box.client.get(VOCABULARY).json()["hotwords"] == ["Theirs"]


def test_who_may_only_read_sees_the_vocabulary_and_no_way_to_change_it(visit, page_box):
    content = {"hotwords": ["Seen"], "replacements": [{"from": "a", "to": "b"}]}
    assert page_box.client.put(VOCABULARY, json=content).status_code == 200
    page = visit("#/box/vocabulary", key=page_box.new_key("sessions:read"))
    page.get_by_text("You can read the vocabulary, not change it.").wait_for()
    page.get_by_text("Seen").wait_for()
    assert page.locator(".box-body button").count() == 0
    assert page.locator(".box-pairs input:not([readonly])").count() == 0


def test_health_is_told_in_words_with_a_next_step(visit, page_box):
    page = visit("#/box/health", key=page_box.new_key("listen"))
    page.get_by_text("The box works, but not all of it.").wait_for()
    first = page.get_by_role("list", name="Each part").get_by_role("listitem").first
    assert "Speech engine" in first.inner_text()
    assert "run scribebox doctor" in first.inner_text()
    page.get_by_text("When each ran last").click()
    page.get_by_text("Make the nightly backup").wait_for()


@pytest.mark.parametrize("tab", TABS)
def test_html_in_what_people_wrote_stays_text(visit, page_box, there, tab):
    plant(page_box, there)
    page = visit(f"#/box/{tab}")
    page.wait_for_selector(".box-body > .stack")
    if tab not in ("usage", "health"):
        page.get_by_text(HOSTILE, exact=False).first.wait_for(state="attached")
    assert page.locator("main img, main b").count() == 0


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
def test_every_part_fits_every_screen(visit, page_box, there, width, theme):
    plant(page_box, there)
    page = visit("#/box/usage", width=width, theme=theme)
    for tab in TABS:
        page.goto(f"{page_box.url}/#/box/{tab}")
        page.get_by_role("heading", name=tab.capitalize(), exact=True).wait_for()
        page.wait_for_selector(".box-body > .stack")
        assert page.evaluate(OVERFLOW) == 0, f"{tab} at {width} px is too wide"
        here = page.locator(f"{PARTS}[aria-current=page]")
        assert here.evaluate("(a) => a.getBoundingClientRect().right <= innerWidth")
        shoot(page, f"box-{tab}-{width}-{theme}")


def test_a_box_that_goes_away_is_told_and_health_comes_back_by_itself(visit, page_box):
    visit.expected("ERR_CONNECTION_REFUSED")
    page = visit("#/box/health")
    page.get_by_role("list", name="Each part").wait_for()
    page_box.stop()
    trouble = page.locator(".box-body [role=alert]")
    trouble.get_by_text("The box can't be reached.").wait_for()
    assert page.get_by_role("list", name="Each part").is_hidden()
    page_box.start()
    page.get_by_role("list", name="Each part").wait_for()
    trouble.wait_for(state="detached")


def made_key(box, *scopes, **wishes):
    """Make a key; return all of it."""
    answer = box.client.post(KEYS, json={"name": "made", "scopes": list(scopes), **wishes})
    assert answer.status_code == 201, answer.text
    return answer.json()


def made_webhook(box, url, **wishes):
    """Make a webhook; return all of it."""
    answer = box.client.post(WEBHOOKS, json={"url": url, **wishes})
    assert answer.status_code == 201, answer.text
    return answer.json()


def card_of(page, url):
    """Return the card of a webhook."""
    cards = page.get_by_role("list", name="Webhooks").locator("> li")
    return cards.filter(has=page.get_by_text(url, exact=True))


def plant(box, there):
    """Have HTML everywhere that people can write it, and a failed delivery, once."""
    if any(one["name"] == HOSTILE for one in box.client.get(KEYS).json()):
        return
    made_key(box, "metrics", name=HOSTILE)
    hook = made_webhook(box, there.url("/500/<b>"), description=HOSTILE)
    box.client.post(f"{WEBHOOKS}/{hook['id']}/test")
    pairs = [{"from": HOSTILE, "to": HOSTILE}]
    content = {"hotwords": [HOSTILE, "x" * 100], "replacements": pairs}
    assert box.client.put(VOCABULARY, json=content).status_code == 200
