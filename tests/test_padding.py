"""Clients wait for a slow answer because spaces come, and nothing is held once nobody waits."""

import contextlib
import json
import logging
import socket
import threading
import time

import httpx
import pytest
import uvicorn
from litestar import Litestar, Request, Response, post
from litestar.exceptions import HTTPException

from api import padding, unread
from api.closing import Closing
from api.padding import Padded
from api.unread import Unread
from engine.errors import Cancelled

WAIT_S = 30
DONE = b'{"text":"hello"}'


class Job:
    """Work that ends when the test says so, with what the test says."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.cancelled, self.let_go = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def work(self, cancelled: threading.Event) -> bytes:
        """Wait, and look whether it is still wanted."""
        self.begun.set()
        deadline = time.monotonic() + WAIT_S
        while not self.go_on.wait(0.01):
            assert time.monotonic() < deadline
            if cancelled.is_set():
                self.cancelled.set()
                raise Cancelled("nobody waits")
        if self.error is not None:
            raise self.error
        return DONE


def refused(_, error):
    """Tell of a failure as a surface does."""
    known = isinstance(error, HTTPException)
    content = json.dumps({"error": error.detail if known else str(error)}).encode()
    status = error.status_code if known else 400
    return Response(content, status_code=status, media_type="application/json")


class Served:
    """An app with one slow route, behind the server of the box."""

    def __init__(self) -> None:
        self.job = Job()

        @post("/slow", status_code=200)
        async def slow(request: Request) -> Response[bytes]:
            await request.body()
            held = contextlib.ExitStack()
            held.callback(self.job.let_go.set)
            closing, headers = request.app.state.closing, {"dg-request-id": "1"}
            return Padded(self.job.work, refused, closing, held, headers)

        @post("/busy")
        async def busy() -> Response[bytes]:
            return Unread(Response(b"{}", status_code=429, media_type="application/json"))

        async def begin(app: Litestar) -> None:
            app.state.closing = Closing()

        self.app = Litestar(
            [slow, busy], on_startup=[begin], logging_config=None, openapi_config=None
        )
        config = uvicorn.Config(self.app, http="httptools", log_config=None)
        self._server = uvicorn.Server(config)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self.url = "http://{}:{}".format(*self.address)
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],))
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._server.should_exit = True
        self._thread.join(WAIT_S)
        self._listener.close()
        assert not self._thread.is_alive()


@pytest.fixture
def served(monkeypatch):
    """Serve a slow job that pads at once, a hundred times a second."""
    monkeypatch.setattr(padding, "PATIENCE_S", 0.0)
    monkeypatch.setattr(padding, "SPACE_EVERY_S", 0.01)
    running = Served()
    yield running
    running.job.go_on.set()
    running.stop()


@contextlib.contextmanager
def asked(served):
    """Send a request; hand out the answer once its headers are there."""
    with (
        httpx.Client(timeout=WAIT_S, trust_env=False) as client,
        client.stream("POST", f"{served.url}/slow", content=b"x") as answer,
    ):
        yield answer


def after_spaces(served, answer, number=3):
    """Read so many spaces, let the job go on, and return the whole body."""
    body = b""
    for piece in answer.iter_raw():
        body += piece
        if len(body) >= number:
            served.job.go_on.set()
    return body


def test_what_is_ready_in_time_is_an_ordinary_answer(served, monkeypatch):
    monkeypatch.setattr(padding, "PATIENCE_S", WAIT_S)
    served.job.go_on.set()
    with asked(served) as answer:
        assert (answer.status_code, answer.read()) == (200, DONE)
    assert answer.headers["content-length"] == str(len(DONE))
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["dg-request-id"] == "1"
    assert served.job.let_go.is_set()


def test_what_takes_longer_is_json_after_spaces(served):
    with asked(served) as answer:
        assert (answer.status_code, answer.headers["transfer-encoding"]) == (200, "chunked")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["dg-request-id"] == "1"
        body = after_spaces(served, answer)
    assert body.lstrip(b" ") == DONE and body.startswith(b"   ")
    assert json.loads(body) == {"text": "hello"}


def test_what_was_held_is_let_go_before_the_answer_ends(served, monkeypatch):
    """Else whoever has its answer and asks again finds the place still taken."""
    let_go = threading.Event()
    served.job.let_go.set = lambda: (time.sleep(0.1), let_go.set())  # a disk that is slow
    for patience_s in (WAIT_S, 0.0):
        monkeypatch.setattr(padding, "PATIENCE_S", patience_s)
        served.job.go_on.set()
        with asked(served) as answer:
            answer.read()
            assert let_go.is_set()
        let_go.clear()


def test_a_failure_in_time_has_its_status(served, monkeypatch):
    monkeypatch.setattr(padding, "PATIENCE_S", WAIT_S)
    served.job.error = ValueError("no sound")
    served.job.go_on.set()
    with asked(served) as answer:
        assert answer.status_code == 400
        assert json.loads(answer.read()) == {"error": "no sound"}
    assert served.job.let_go.is_set()


def test_a_later_failure_is_still_json_and_is_logged(served, caplog):
    served.job.error = ValueError("no sound")
    with caplog.at_level(logging.WARNING), asked(served) as answer:
        assert answer.status_code == 200
        assert json.loads(after_spaces(served, answer)) == {"error": "no sound"}
    assert "ends with an error: 400" in caplog.text
    assert "no sound" not in caplog.text


@pytest.mark.parametrize("patience_s", [WAIT_S, 0.0])
def test_when_the_client_leaves_the_work_ends_and_all_is_let_go(served, monkeypatch, patience_s):
    monkeypatch.setattr(padding, "PATIENCE_S", patience_s)
    with socket.create_connection(served.address, WAIT_S) as client:
        client.sendall(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
        assert served.job.begun.wait(WAIT_S)
        if not patience_s:
            assert client.recv(1)
    assert served.job.cancelled.wait(WAIT_S)
    assert served.job.let_go.wait(WAIT_S)


@pytest.mark.parametrize(("patience_s", "status"), [(WAIT_S, 503), (0.0, 200)])
def test_when_the_box_stops_the_answer_ends_and_says_so(served, monkeypatch, patience_s, status):
    monkeypatch.setattr(padding, "PATIENCE_S", patience_s)

    def stop() -> None:
        assert served.job.begun.wait(WAIT_S)
        served.app.state.closing.begin()

    stopping = threading.Thread(target=stop)
    stopping.start()
    with asked(served) as answer:
        assert answer.status_code == status
        assert "stopping" in json.loads(answer.read())["error"]
    stopping.join()
    assert served.job.cancelled.is_set() and served.job.let_go.is_set()


def test_a_refusal_before_the_body_is_whole_at_once_and_closes_the_connection(served):
    with socket.create_connection(served.address, WAIT_S) as client:
        client.sendall(b"POST /busy HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        said = b""
        while not said.endswith(b"\r\n\r\n{}"):
            said += client.recv(1000)
        assert said.startswith(b"HTTP/1.1 429") and b"connection: close" in said.lower()
        client.sendall(b"x" * 1_000_000)  # all of it is taken: no reset in the middle
        assert client.recv(1) == b""


def test_who_does_not_send_what_it_announced_is_not_waited_for(served, monkeypatch):
    monkeypatch.setattr(unread, "LINGER_S", 0.05)
    with socket.create_connection(served.address, WAIT_S) as client:
        client.sendall(b"POST /busy HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        said = b""
        while piece := client.recv(1000):
            said += piece
    assert said.endswith(b"{}")
