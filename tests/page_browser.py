"""The box's own page in a real browser: Debian's chromium, driven by Playwright.

Fixtures (tests/conftest.py has them for every module):

    page_box   a real box of the test module, without a microphone: url, key, client, new_key(…)
    visit      opens its page: visit("#/sessions", width=390, theme="dark") -> Playwright's Page

`visit` also fails the test for whatever the browser complains of: errors on the console, violations
of the policy, exceptions, answers of 5xx, files of the page that are missing. What a test provokes
it names: `visit.expected("ERR_CONNECTION_REFUSED")`. PAGE_SHOTS=FOLDER keeps what `shoot` shoots.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_box import WAIT_S, RunningBox

WIDTHS = {390: 844, 768: 1024, 1440: 900}  # a phone, a tablet, a desk: their heights
THEMES = ("light", "dark")
KEY = "scribebox.key"
# a key that is not valid, or a part that is missing, is told on the page, and by the browser too
REFUSED = re.compile(r"status of (400|401|403|404|409|413|415|422|429|503)")


@pytest.fixture(scope="module")
def chromium():
    """Run a browser for the module: not longer, its event loop would be in the way of others."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no browser: sudo apt install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: extra dev")
    with playwright.sync_playwright() as driver:
        # as root, which CI is, Chromium has no sandbox
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class PageBox:
    """A real box and its administrator; it may be stopped, and started again at the same place."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data, self._settings = data, {"SCRIBEBOX_MODEL": "tiny.en", **settings}
        self._port = "0"
        self.start()
        self.key = (data / "admin.key").read_text().strip()
        self.client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=WAIT_S,
            trust_env=False,
        )

    def start(self) -> None:
        """Start the server; return when it answers."""
        self.box = RunningBox(("--port", self._port, "--data", str(self.data)), **self._settings)
        self.url = self.box.url
        self._port = self.url.rpartition(":")[2]

    def stop(self) -> None:
        """End the server as a service manager does."""
        self.box.stop()
        self.box.close()

    def close(self) -> None:
        """End everything."""
        self.client.close()
        self.box.close()

    def new_key(self, *scopes: str, name: str = "narrow") -> str:
        """Return a key with these scopes only."""
        return str(self.described_key(*scopes, name=name)["key"])

    def described_key(self, *scopes: str, name: str = "narrow") -> dict[str, Any]:
        """Return all that there is to know of a new key."""
        answer = self.client.post("/api/v1/keys", json={"name": name, "scopes": list(scopes)})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def upload(self, path: Path, **wishes: str) -> dict[str, Any]:
        """Have a file transcribed; return the session."""
        answer = self.client.post(
            "/api/v1/audioscribe/sessions/",
            params={**wishes, "wait": "true"},
            content=path.read_bytes(),
            headers={"Content-Type": "application/octet-stream"},
        )
        assert answer.status_code == 201, answer.text
        return answer.json()


@contextlib.contextmanager
def page_box_at(data: Path, **settings: str) -> Iterator[PageBox]:
    """Run a box in that folder until the block ends."""
    with contextlib.closing(PageBox(data, **settings)) as box:
        yield box


@pytest.fixture(scope="module")
def page_box(tmp_path_factory):
    """Run a box for the module; modules that want a fuller one have a fixture of that name."""
    with page_box_at(tmp_path_factory.mktemp("box")) as box:
        yield box


class Visit:
    """Opens pages of a box, each in a browser context of its own, and gathers complaints."""

    def __init__(self, browser: Any, box: Any) -> None:
        self._browser, self._box = browser, box
        self._expected: list[str] = []
        self._contexts: list[Any] = []
        self.complaints: list[str] = []

    def __call__(
        self,
        hash: str = "",
        *,
        width: int = 1440,
        theme: str = "light",
        key: str | None = "",
        **options: Any,
    ) -> Any:
        """Open the page, signed in with the key of the administrator, another one, or (None) not.

        `options` are those of Playwright's new_context, such as reduced_motion or has_touch.
        """
        options = {"locale": "en-GB", "timezone_id": "Europe/Berlin", **options}
        height = WIDTHS.get(width, 900)
        context = self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, **options
        )
        self._contexts.append(context)
        context.set_default_timeout(WAIT_S * 1000)
        if key is not None:
            # once a tab: who signs out there stays out
            context.add_init_script(
                "if (!sessionStorage.getItem('tests')) { sessionStorage.setItem('tests', '1');"
                f" sessionStorage.setItem('{KEY}', '{key or self._box.key}'); }}"
            )
        page = context.new_page()
        self.watch(page)
        page.goto(f"{self._box.url}/{hash}")
        return page

    def watch(self, page: Any) -> None:
        """Gather what the browser complains of on a page, also one that a test has opened."""
        page.on("console", lambda message: self._console(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.on("response", self._response)

    def expected(self, *patterns: str) -> None:
        """Name complaints that the test provokes."""
        self._expected += patterns

    def close(self) -> None:
        """Close what was opened; fail for complaints that were not expected."""
        for context in self._contexts:
            context.close()
        left = [one for one in self.complaints if not any(map(one.__contains__, self._expected))]
        assert not left, "the browser complains:\n" + "\n".join(left)

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not REFUSED.search(text):
            self.complaints.append(f"console: {text}")

    def _response(self, response: Any) -> None:
        path = response.url.removeprefix(self._box.url)
        if path.startswith("/page/") and response.status >= 400:
            self.complaints.append(f"missing: {path}")
        if response.status >= 500 and response.status != 503:
            self.complaints.append(f"{response.status}: {path}")


@pytest.fixture
def visit(chromium, page_box):
    """Open pages of `page_box`; see Visit."""
    visits = Visit(chromium, page_box)
    yield visits
    visits.close()


def until(page: Any, expression: str) -> None:
    """Wait until an expression holds on a page; wait_for_function can't: the policy has no eval."""
    deadline = time.monotonic() + WAIT_S
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"not in {WAIT_S} s: {expression}"
        page.wait_for_timeout(20)


def shoot(page: Any, name: str) -> None:
    """Keep a picture of the whole page in PAGE_SHOTS, if that is set."""
    if folder := os.environ.get("PAGE_SHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
