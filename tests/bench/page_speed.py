"""How fast the page comes, and how fast three hours of talk open and scroll, in a real browser.

    python tests/bench/page_speed.py [TIMES=7]

Plants a session of 30,000 words and three hours of sound, and starts the real server. So many
times, each in a browser context of its own (nothing cached): loads the first view; opens the
session from the list; scrolls through its transcript for five seconds. Then it plays. Prints
medians, and beside each time what the page's main thread computed, which other programs don't
change; ends with 1 if the first view has 100 kB or takes 1 s, if the session takes 1.5 s, or if
more than one frame in twenty of the scrolling comes later than 50 ms after the one before.
"""

import contextlib
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from heard_sessions import babble, planting, talk
from page_browser import Visit, page_box_at, until

WORDS, HOURS_S = 30_000, 3600
FIRST_BYTES, FIRST_MS, OPEN_MS = 100_000, 1000, 1500
LATE_MS, LATE_SHARE = 50, 0.05

# from the press on the link to the frame after the one that shows the words of the first rows
OPEN = """(hash) => new Promise((resolve) => {
    const pressed = performance.now();
    location.hash = hash;
    const look = () => {
        if (!document.querySelector('.word')) requestAnimationFrame(look);
        else requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - pressed)));
    };
    look();
})"""
# 120 CSS pixels a frame, as fast as a wheel is turned, for five seconds
SCROLL = """() => new Promise((resolve) => {
    const view = document.querySelector('.transcript');
    const frames = [];
    const begun = performance.now();
    let last = begun;
    const step = () => {
        const now = performance.now();
        frames.push(now - last);
        last = now;
        view.scrollTop += 120;
        if (now - begun < 5000) requestAnimationFrame(step);
        else resolve(frames.slice(1));
    };
    requestAnimationFrame(step);
})"""
FIRST_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
FIRST_SHOWN = """() => {
    const files = performance.getEntriesByType('resource').filter((e) => e.name.includes('/page/'));
    const [page] = performance.getEntriesByType('navigation');
    return [page, ...files].reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0);
}"""


class Bench:
    """One box with the long session, and a browser."""

    def __init__(self, visit: Visit, number: int) -> None:
        self._visit, self._hash = visit, f"#/sessions/{number}"

    def first_view(self) -> tuple[float, float]:
        """Return bytes and milliseconds until somebody who is not signed in can type."""
        page = self._visit("", key=None)
        page.locator("#key").wait_for()
        ready_ms = page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        )
        size = page.evaluate(FIRST_SHOWN)
        page.context.close()
        return size, ready_ms

    def open(self) -> tuple[float, float, list[float], float]:
        """Return milliseconds to open it and what was computed; the same of frames scrolled."""
        page = self._visit("#/sessions")
        page.locator("h1").wait_for()
        computed = Computed(page)
        opened_ms = page.evaluate(OPEN, self._hash)
        opening_ms = computed.since()
        frames = page.evaluate(SCROLL)
        scrolling_ms = computed.since() / len(frames)
        page.context.close()
        return opened_ms, opening_ms, frames, scrolling_ms

    def play(self) -> float:
        """Return the milliseconds that the page computes in a second of playing."""
        page = self._visit(self._hash)
        until(page, "document.querySelector('.player')?.getAttribute('aria-busy') === 'false'")
        page.locator(".word").nth(40).click()
        until(page, "Number(document.querySelector('.word.spoken')?.dataset.word) > 42")
        computed = Computed(page)
        before = page.evaluate("performance.now()")
        page.wait_for_timeout(5000)
        seconds = (page.evaluate("performance.now()") - before) / 1000
        computed_ms = computed.since()
        page.context.close()
        return computed_ms / seconds


class Computed:
    """For how long the main thread of a page computes."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self._last_ms = self._now_ms()

    def since(self) -> float:
        """Return the milliseconds since this was last asked."""
        before, self._last_ms = self._last_ms, self._now_ms()
        return self._last_ms - before

    def _now_ms(self) -> float:
        found: list[dict[str, Any]] = self._session.send("Performance.getMetrics")["metrics"]
        return next(1000 * one["value"] for one in found if one["name"] == "TaskDuration")


def main() -> int:
    """Measure and print; return 1 if something takes too long."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with contextlib.ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "box"
        said = talk(WORDS)
        seconds = said[-1].end_ms / 1000 + 1
        with planting(data) as plant:
            sound = babble(data / "long.flac", said, seconds).read_bytes()
            number = plant.session("Three hours", said, audio=sound, seconds=seconds)
        box = stack.enter_context(page_box_at(data, SCRIBEBOX_MODEL="absent"))
        driver = stack.enter_context(sync_playwright())
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        bench = Bench(Visit(browser, box), number)
        print(f"{WORDS} words in {len(said)} segments, {seconds / HOURS_S:.1f} h")
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Chromium {browser.version}")
        firsts = [bench.first_view() for _ in range(times)]
        opens = [bench.open() for _ in range(times)]
        played_ms = bench.play()
        browser.close()
    size, first_ms = (statistics.median(column) for column in zip(*firsts, strict=True))
    opened_ms, opening_ms, scrolling_ms = (
        statistics.median(one[at] for one in opens) for at in (0, 1, 3)
    )
    frames = sorted(frame for one in opens for frame in one[2])
    late = sum(frame > LATE_MS for frame in frames) / len(frames)
    print(f"first view: {size / 1000:.1f} kB, there after {first_ms:.0f} ms")
    print(f"long session: open after {opened_ms:.0f} ms (computed: {opening_ms:.0f} ms)")
    print(
        f"scrolling: {statistics.median(frames):.1f} ms a frame (computed: {scrolling_ms:.1f} ms), "
        f"p95 {frames[int(0.95 * len(frames))]:.1f} ms, {100 * late:.1f} % over {LATE_MS} ms"
    )
    print(f"playing: {played_ms:.0f} ms computed a second")
    slow = size >= FIRST_BYTES or first_ms >= FIRST_MS or opened_ms >= OPEN_MS
    return int(slow or late > LATE_SHARE)


if __name__ == "__main__":
    sys.exit(main())
