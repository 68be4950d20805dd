"""Pictures of every view of the page: `page_screenshots.py FOLDER [NAME...]`.

Each view at each width in each theme, to be looked at by people. The box is a real one with a
recording that goes on; a name such as `session` or `live` limits it to some views. Needs chromium,
and for recordings a sound server.
"""

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from page_browser import THEMES, WIDTHS, Visit, until
from page_scene import Place, Scene, set_up
from virtual_microphone import VirtualMicrophone, missing


def main() -> int:
    """Shoot what is asked for; return 1 if the browser complained."""
    folder, names = Path(sys.argv[1]), set(sys.argv[2:])
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        microphone = None if missing() else stack.enter_context(VirtualMicrophone())
        data = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "box"
        scene = stack.enter_context(set_up(data, microphone))
        driver = stack.enter_context(sync_playwright())
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        visit = Visit(browser, scene.box)
        for width in WIDTHS:
            for theme in THEMES:
                shoot_all(visit, scene, folder, f"{width}-{theme}", names, width, theme)
        complaints = visit.complaints
        browser.close()
    print("\n".join(complaints))
    return 1 if complaints else 0


def shoot_all(
    visit: Visit, scene: Scene, folder: Path, kind: str, names: set[str], width: int, theme: str
) -> None:
    """Shoot the views at one width in one theme."""
    signed_out = Place("sign-in", "", "form.sign-in")
    for places, key in (([signed_out], None), (scene.places, "")):
        wanted = [place for place in places if not names or place.name in names]
        if wanted:
            page = visit("#/box" if key == "" else "", key=key, width=width, theme=theme)
            for place in wanted:
                shoot(page, scene, place, folder / f"{place.name}-{kind}.png")


def shoot(page: Page, scene: Scene, place: Place, path: Path) -> None:
    """Shoot one view, from its top to its end."""
    page.goto(f"{scene.box.url}/{place.hash}")
    page.locator(place.ready).first.wait_for(state="attached")
    size = page.viewport_size
    until(page, "document.querySelector('.loading') === null")
    if place.name not in ("sessions", "live", "captions"):  # those are as high as the window
        tall = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({**size, "height": max(tall, size["height"])})
    page.wait_for_timeout(700)  # a picture of what has settled: waveforms, levels, charts
    page.screenshot(path=path)
    page.set_viewport_size(size)
    print(path.name, flush=True)


if __name__ == "__main__":
    sys.exit(main())
