"""Another site, open in the browser of somebody who has signed in here, can do nothing with that.

A real browser, a real box, and a real site beside it: at another port of the same host, to which a
browser does send the cookie, and under another name.
"""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = pytest.mark.long
SIGN_IN = """key => fetch("/api/v1/sign-in", {method: "POST", body: JSON.stringify({key})})
    .then(answer => answer.status)"""
STATUS = "([method, path, body]) => fetch(path, {method, body}).then(answer => answer.status)"
SEND = """([url, body]) => {
    const asked = {method: "POST", mode: "no-cors", credentials: "include", body};
    return fetch(url, asked).then(answer => answer.type);
}"""
READ = """url => fetch(url, {credentials: "include"}).then(answer => answer.text(), () => null)"""
FORM = """([url, name, value]) => {
    const form = document.createElement("form");
    Object.assign(form, {method: "POST", action: url, enctype: "text/plain"});
    const field = Object.assign(document.createElement("input"), {name, value});
    form.append(field);
    document.body.append(form);
    form.submit();
}"""
FRAME = """url => new Promise(resolve => {
    const frame = Object.assign(document.createElement("iframe"), {src: url, onload: resolve});
    document.body.append(frame);
})"""


class Evil(BaseHTTPRequestHandler):
    """A page without any policy."""

    def do_GET(self):
        body = b"<!doctype html><title>Kittens</title><link rel=icon href=data:,>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def evil_site():
    """Run the site; yield its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Evil) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(60)


@pytest.fixture
def signed_in(chromium, page_box):
    """Return a page of the box whose administrator has signed in by the cookie."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(page_box.url)
    assert page.evaluate(SIGN_IN, page_box.key) == 200
    yield page
    context.close()


def keys_of(box):
    """Return the names of the keys there are."""
    return sorted(key["name"] for key in box.client.get("/api/v1/keys").json())


def test_the_page_works_with_the_cookie_and_no_script_sees_it(signed_in, page_box):
    assert signed_in.evaluate("document.cookie") == ""
    assert signed_in.evaluate(STATUS, ["GET", "/api/v1/me", None]) == 200
    assert signed_in.evaluate(STATUS, ["PUT", "/api/v1/vocabulary", "{}"]) == 200
    (held,) = signed_in.context.cookies()
    assert (held["name"], held["httpOnly"], held["sameSite"]) == ("scribebox", True, "Strict")
    assert page_box.key.rpartition("_")[2] not in held["value"]


@pytest.mark.parametrize(("name", "refused"), [("127.0.0.1", 403), ("localhost", 401)])
def test_another_site_changes_nothing_and_reads_nothing(signed_in, page_box, name, refused):
    """Another port of this host is sent the cookie with (403), another site is not (401)."""
    before = keys_of(page_box)
    new_key = '{"name": "evil", "scopes": ["admin"]}'
    with evil_site() as port:
        site = signed_in.context.new_page()
        site.goto(f"http://{name}:{port}/")
        for path, body, status in (
            ("/api/v1/keys", new_key, refused),
            ("/api/v1/sign-out", "", 403),
            ("/api/v1/sign-in", '{"key": "sb_live_evil"}', 403),
        ):
            with site.expect_response(page_box.url + path) as answered:
                assert site.evaluate(SEND, [page_box.url + path, body]) == "opaque"
            assert answered.value.status == status, path
        assert site.evaluate(READ, f"{page_box.url}/api/v1/me") is None
        with site.expect_response(f"{page_box.url}/api/v1/keys") as answered:
            start, end = '{"name": "evil", "scopes": ["admin"], "expires": "1d', '"}'
            site.evaluate(FORM, [f"{page_box.url}/api/v1/keys", start, end])
        assert answered.value.status == refused
        site.wait_for_url(f"{page_box.url}/api/v1/keys")
        site.goto(f"http://{name}:{port}/")
        site.evaluate(FRAME, page_box.url)
        assert "Kittens" in site.title() and site.frames[1].url.startswith("chrome-error://")
        site.close()
    assert keys_of(page_box) == before
    assert signed_in.evaluate(STATUS, ["GET", "/api/v1/me", None]) == 200  # still signed in


def test_what_a_client_sent_runs_nothing_when_it_is_opened_in_a_tab(signed_in, page_box):
    """A session whose title and note are a page with a script, opened by its own addresses."""
    html = "<!doctype html><html><script>document.title = 'owned'</script>"
    base = "/api/v1/audioscribe/sessions/1"
    page_box.box.wait_for("it is session 1$")
    changed = page_box.client.patch(f"{base}/", json={"title": html, "note": html})
    assert changed.json()["title"] == html
    tab = signed_in.context.new_page()
    for path in ("/", "/segments", "/nonsense", "/peaks?points=<script>"):
        tab.goto(page_box.url + base + path)
        assert tab.title() != "owned"
        assert tab.evaluate("document.contentType").endswith("json")
    tab.close()
