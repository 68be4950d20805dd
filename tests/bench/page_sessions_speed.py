"""How fast the list of 5,000 sessions opens, is searched and scrolls, in a real browser.

    python tests/bench/page_sessions_speed.py [SESSIONS=5000]

Starts the real server over so many sessions; opens the list, searches as one types, scrolls until
all rows are there, then on through them for five seconds. Prints medians; ends with 1 if opening
or a search takes 1 s, or if more than one frame in twenty comes later than 50 ms after the last.
"""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from many_sessions import folder_with
from page_browser import Visit, page_box_at, until

TIMES, MOST_MS, LATE_MS, LATE_SHARE = 7, 1000, 50, 0.05
QUERIES = ("bud", "budget", "roof over", '"next year" wind', "board 12", "zzz")
# from the key to the frame after the one with the rows; the rest before a search is in it
SEARCH = """(words) => new Promise((resolve) => {
    const field = document.querySelector('#session-search');
    const begun = performance.now();
    const seen = new MutationObserver(() => {
        seen.disconnect();
        requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begun)));
    });
    seen.observe(document.querySelector('.session-groups'), { childList: true });
    field.value = words;
    field.dispatchEvent(new Event('input'));
})"""
SCROLL = """() => new Promise((resolve) => {
    const frames = [];
    const begun = performance.now();
    let [last, y] = [begun, document.body.scrollHeight / 2];
    const step = () => {
        const now = performance.now();
        frames.push(now - last);
        last = now;
        scrollTo(0, y += 120);
        if (now - begun < 5000) requestAnimationFrame(step);
        else resolve(frames.slice(1));
    };
    requestAnimationFrame(step);
})"""
ALL_THERE = "document.querySelector('.session-end').childElementCount === 0"


def measure(page: Any) -> bool:
    """Print the figures; tell whether they are good enough."""
    opened = []
    for _ in range(TIMES):
        begun = time.monotonic()
        page.reload()
        page.wait_for_selector(".session")
        opened.append(1000 * (time.monotonic() - begun))
    searched = {query: page.evaluate(SEARCH, query) for query in QUERIES}
    page.evaluate(SEARCH, "")
    begun = time.monotonic()
    until(page, f"scrollTo(0, document.body.scrollHeight), {ALL_THERE}")
    all_s = time.monotonic() - begun
    rows = page.locator(".session").count()
    frames = page.evaluate(SCROLL)
    late = sum(frame > LATE_MS for frame in frames) / len(frames)
    among_all = page.evaluate(SEARCH, QUERIES[0])
    opened_ms, searched_ms = statistics.median(opened), statistics.median(searched.values())
    print(f"the list opens in {opened_ms:.0f} ms (reload to the first row)")
    print(f"a search takes {searched_ms:.0f} ms, at most {max(searched.values()):.0f} ms")
    print(f"all {rows} rows came in {all_s:.1f} s of scrolling")
    print(f"then a frame takes {statistics.median(frames):.1f} ms, {late:.1%} are late,"
          f" a search {among_all:.0f} ms")  # fmt: skip
    return max(opened_ms, *searched.values(), among_all) < MOST_MS and late <= LATE_SHARE


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        folder_with(Path(folder), count)
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        with page_box_at(Path(folder)) as box:
            page = Visit(browser, box)("#/sessions")
            page.wait_for_selector(".session")
            good = measure(page)
        browser.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
