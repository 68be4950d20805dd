"""The files of the page: served as they are, to everybody, under a strict policy, and no others."""

import re
import tomllib

import pytest
from box_client import BASE, bearer, session_of

from api import page

SECRET = "a secret"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Serve a folder of this test's own, with a secret beside it."""
    made = tmp_path / "files" / "page"
    (made / "js" / "views").mkdir(parents=True)
    (made / "index.html").write_text("<!doctype html><title>Box</title>")
    (made / "js" / "views" / "a-b_2.js").write_text("export const a = 1;")
    for hidden in (made / ".env", made / "notes.py", made / "notes", made.parent / "up.js"):
        hidden.write_text(SECRET)
    monkeypatch.setattr(page, "FOLDER", made)
    return made


def directives(policy):
    """Return the directives of a policy by their names."""
    return dict(part.strip().split(" ", 1) for part in policy.split(";"))


def test_the_page_is_at_the_root_for_everybody(started, folder):
    answer = started.get("/")
    assert answer.status_code == 200
    assert answer.text == (folder / "index.html").read_text()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_policy_lets_the_page_run_its_own_files_and_nothing_else(started):
    for path in ("/", "/page/js/dom.js"):
        headers = started.get(path).headers
        policy = directives(headers["Content-Security-Policy"])
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert not re.search("unsafe|https?:|\\*", headers["Content-Security-Policy"])
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_a_file_is_asked_for_each_time_and_sent_once(started, folder):
    first = started.get("/page/js/views/a-b_2.js")
    assert first.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert first.headers["Cache-Control"] == "no-cache"
    again = {"If-None-Match": first.headers["ETag"]}
    second = started.get("/page/js/views/a-b_2.js", headers=again)
    assert (second.status_code, second.content) == (304, b"")
    assert "Content-Security-Policy" in second.headers
    (folder / "js" / "views" / "a-b_2.js").write_text("export const a = 2;")
    assert started.get("/page/js/views/a-b_2.js", headers=again).status_code == 200


def test_head_has_the_headers_alone(started, folder):
    got, head = started.get("/"), started.head("/")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


@pytest.mark.parametrize(
    "path",
    [
        "../up.js", "..%2fup.js", "%2e%2e/up.js", "%2e%2e%2fup.js", "js/../../up.js",
        "js/..%2f..%2fup.js", "..\\up.js", "..%5cup.js", "%252e%252e/up.js", "..;/up.js",
        "/etc/passwd", "//etc/passwd", "%2fetc/hostname", ".env", "notes.py", "notes", "js", "js/",
        "", "up.js", "index.html%00.js", "index.html ", "index.html%0a", "INDEX.HTML",
        "js/views/a-b_2.js.map", "~/x.js", "C:/x.js", "a" * 5000 + ".js", "ü.js", "%ff.js",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_folder(started, folder, path):
    answer = started.get(f"/page/{path}")
    assert answer.status_code == 404, path
    assert SECRET not in answer.text and "root:" not in answer.text
    assert str(folder) not in answer.text


def test_no_other_method_is_known(started, folder):
    for path in ("/", "/page/index.html"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert started.request(method, path).status_code == 405


def test_every_file_of_the_page_is_served_with_its_type(started):
    files = [path for path in page.FOLDER.rglob("*") if path.is_file()]
    assert files
    for path in files:
        answer = started.get(f"/page/{path.relative_to(page.FOLDER)}")
        assert answer.status_code == 200, path
        assert answer.content == path.read_bytes()


def test_nothing_that_clients_sent_is_ever_a_document_of_the_box(started):
    """Titles, tags, notes and audio with HTML in them are what they are: data."""
    html = b"<!doctype html><script>alert(1)</script>"
    started.headers.update(bearer(started, "admin"))
    number = session_of(started, audio=html, title=html.decode(), note=html.decode())
    link = started.get(f"{BASE}/{number}/audio-url").json()["url"]
    paths = [f"{BASE}/{number}/export?format={f}" for f in ("txt", "md", "srt", "vtt", "json")]
    paths += ["", "/audio", "/segments", "/peaks", "/nonsense"]
    for path in (*(p if p.startswith("/api") else f"{BASE}/{number}{p}" for p in paths), link):
        answer = started.get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert "html" not in answer.headers["Content-Type"], path
        assert "svg" not in answer.headers["Content-Type"], path
        assert directives(answer.headers["Content-Security-Policy"])["default-src"] == "'none'"
        if "export" in path:
            assert answer.headers["Content-Disposition"].startswith("attachment"), path


def test_every_file_of_the_page_is_among_what_is_packaged():
    patterns = tomllib.loads((page.FOLDER.parents[1] / "pyproject.toml").read_text())
    packaged = patterns["tool"]["setuptools"]["package-data"]["api"]
    found = {path for pattern in packaged for path in page.FOLDER.parent.glob(pattern)}
    assert {path for path in page.FOLDER.rglob("*") if path.is_file()} <= found
