"""What holds for every view of the page: for everybody usable, strict, light, and only text."""

import re
from pathlib import Path

import axe
import httpx
import pytest
from page_browser import THEMES, until
from page_scene import set_up
from virtual_microphone import VirtualMicrophone, missing

HERE = Path(__file__).resolve().parent.parent / "api" / "page"
SOURCES = sorted(path for path in HERE.rglob("*") if path.suffix in (".js", ".html", ".css"))
MODULES = [path for path in SOURCES if path.suffix == ".js"]
HOSTILE = "<img src=x onerror=planted()><b class=planted>bold</b>"
TAKEN = "document.querySelectorAll('img[src=x], b.planted').length + ('planted' in window ? 1 : 0)"
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser"
    r"|srcdoc|createContextualFragment|setHTMLUnsafe|console\.|style=\""
    r"|https?://(?=\w)(?!www\.w3\.org|example\.org)"
)
# what a finger hits may be larger than what is seen: then points around it are tried
SMALL = """() => [...document.querySelectorAll('button, select, input, a.button, nav a')]
  .filter((one) => one.checkVisibility({checkOpacity: true}))
  .filter((one) => !one.closest('.visually-hidden'))
  .map((one) => [one, one.closest('label') ?? one])
  .filter(([, shown]) => {
    const {width, height} = shown.getBoundingClientRect();
    if (width === 0 || (width >= 43.5 && height >= 43.5)) return false;
    shown.scrollIntoView({block: 'center', inline: 'center'});
    const {left, top} = shown.getBoundingClientRect();
    const [x, y] = [left + width / 2, top + height / 2];
    return [[x - 21, y], [x + 21, y], [x, y - 21], [x, y + 21]].some(
      (point) => !shown.contains(document.elementFromPoint(...point)));
  })
  .map(([one]) => one.outerHTML.slice(0, 160))"""
FIRST_VIEW_BYTES = 100_000
LAST_LINES = 400


@pytest.fixture(scope="module")
def microphone():
    """Run a microphone where there can be one: without it, what records is left out."""
    if missing() is not None:
        yield None
        return
    with VirtualMicrophone() as plugged:
        yield plugged


@pytest.fixture(scope="module")
def scene(tmp_path_factory, microphone):
    with set_up(tmp_path_factory.mktemp("box"), microphone, HOSTILE) as full:
        yield full


@pytest.fixture(scope="module")
def page_box(scene):
    return scene.box


@pytest.mark.long
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing_serious_in_any_view(visit, scene, theme, width):
    script = axe.source()
    grave = []
    page = visit(key=None, theme=theme, width=width)
    page.wait_for_selector("form.sign-in")
    grave += [f"sign-in: {one}" for one in found_on(page, script)]
    page = visit("#/box", theme=theme, width=width)
    for place in scene.places:
        go(page, scene, place)
        grave += [f"{place.name}: {one}" for one in found_on(page, script)]
    assert not grave, "\n\n".join(grave)


@pytest.mark.long
def test_axe_finds_nothing_serious_in_menu_dialogs_and_editing(visit, scene):
    script = axe.source()
    page = visit("#/box", theme="dark")
    page.get_by_role("button", name="Account").click()
    grave = found_on(page, script)
    for name, opening in (
        ("session", "Edit"),
        ("session", "Delete"),
        ("session", "Export"),
        ("box-keys", "New key"),
        ("box-webhooks", "New webhook"),
    ):
        page = visit("#/box", theme="dark")
        go(page, scene, named(scene, name))
        page.get_by_role("button", name=opening).first.click()
        grave += [f"{name}, {opening}: {one}" for one in found_on(page, script)]
    assert not grave, "\n\n".join(grave)


@pytest.mark.long
def test_html_that_others_wrote_stays_text_in_every_view(visit, scene):
    page = visit("#/box")
    for place in scene.places:
        go(page, scene, place)
        if place.planted:
            page.locator(place.planted).filter(has_text=HOSTILE).first.wait_for()
        assert page.evaluate(TAKEN) == 0, place
    page = visit("#/sessions")
    page.get_by_role("searchbox").fill(HOSTILE)
    page.locator("main mark").first.wait_for()
    assert page.evaluate(TAKEN) == 0
    assert HOSTILE in page.locator("main").inner_text()


@pytest.mark.long
def test_every_view_is_reached_and_left_without_a_complaint_of_the_policy(visit, scene):
    page = visit("#/box")
    for place in (*scene.places, *scene.places[:2]):
        go(page, scene, place)
        assert page.title().endswith("Scribebox"), place
        assert page.locator("h1").count() == 1 or place.name == "captions", place
        assert page.locator("[style*='url(']").count() == 0
    # visit itself fails for what the browser complained of


@pytest.mark.long
@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_no_view_needs_scrolling_sideways(visit, scene, width):
    page = visit("#/box", width=width)
    for place in scene.places:
        go(page, scene, place)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place


@pytest.mark.long
def test_what_is_pressed_on_a_phone_is_large_enough(visit, scene):
    page = visit("#/box", width=390, has_touch=True, is_mobile=True)
    found = []
    for place in scene.places:
        go(page, scene, place)
        found += [f"{place.name}: {one}" for one in page.evaluate(SMALL)]
    assert not found, "\n".join(found)


@pytest.mark.long
def test_the_first_view_is_light_and_everything_comes_from_the_box(visit, scene):
    for key, ready in ((None, "form.sign-in"), ("", "#rec-device:enabled")):
        page = visit(key=key)
        page.wait_for_selector(ready)
        names = "performance.getEntriesByType('resource').map((one) => one.name)"
        fetched = [scene.box.url + "/", *page.evaluate(names)]
        assert all(one.startswith(scene.box.url) for one in fetched)
        static = {one for one in fetched if one.rstrip("/") == scene.box.url or "/page/" in one}
        weight = sum(
            len(httpx.get(one, headers={"Accept-Encoding": "identity"}, trust_env=False).content)
            for one in static
        )
        assert weight < FIRST_VIEW_BYTES, (weight, sorted(static))


@pytest.mark.long
def test_with_less_motion_nothing_moves_for_long(visit, scene):
    page = visit("#/sessions", reduced_motion="reduce")
    page.wait_for_selector("main h1")
    longest = """Math.max(0, ...document.getAnimations().map((one) =>
      one.effect.getComputedTiming().activeDuration))"""
    assert page.evaluate(longest) <= 10


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(HERE)))
def test_no_source_makes_html_of_text_or_asks_another_host(path):
    assert FORBIDDEN.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HERE)))
def test_a_module_says_what_it_is_for_and_is_short(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith(("/*", "//")), "it begins with what it is for"
    assert text.count("\n") <= LAST_LINES


def test_what_is_loaded_later_is_imported_by_no_other_module():
    later, imported = set(), set()
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        later |= {HERE / "js" / one for one in re.findall(r'\bload\("([\w/]+\.js)"\)', text)}
        later |= {HERE / "js/views" / f"{one}.js" for one in re.findall(r'view: "(\w+)"', text)}
        asked = re.findall(r'\bfrom "(\.[^"]+)";', text)
        imported |= {(path.parent / one).resolve() for one in asked}
    assert len(later) > 8 and all(path.is_file() for path in later)
    assert later & imported == set()


def test_the_dark_colours_are_the_same_whoever_wishes_them():
    text = (HERE / "css" / "base.css").read_text(encoding="utf-8")
    by_system = re.search(r':root:not\(\[data-theme="light"\]\) \{([^}]*)\}', text)
    by_reader = re.search(r':root\[data-theme="dark"\] \{([^}]*)\}', text)
    wishes = [set(re.findall(r"--[\w-]+: [^;]*;", one[1])) for one in (by_system, by_reader)]
    assert wishes[0] == wishes[1] and len(wishes[0]) > 20


def go(page, scene, place):
    """Go to a view, and wait until it can be looked at."""
    page.goto(f"{scene.box.url}/{place.hash}")
    page.locator(place.ready).first.wait_for(state="attached")
    until(page, "document.querySelector('.loading') === null")


def named(scene, name):
    """Return a place by its name."""
    return next(place for place in scene.places if place.name == name)


def found_on(page, script):
    """Return what is serious on a page, as a person reads it."""
    found = [one for one in axe.problems(page, script) if one["impact"] in axe.GRAVE]
    return [axe.told([one]) for one in found]
