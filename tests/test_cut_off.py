"""A request that is underway when the box stops is answered, and never with 500."""

import asyncio
import contextlib
import json
import socket
import threading
from urllib.parse import urlsplit

import pytest
from running_box import WAIT_S, running
from virtual_microphone import wait_until

from api.cut_off import CutOff

UPLOAD = (
    "POST /api/v1/audioscribe/sessions/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "Authorization: Bearer {key}\r\nContent-Length: 100000\r\n\r\n"
)


def answer_of(app):
    """Cancel a request to an app once it waits; return what was sent, and whether it went on."""
    sent = []

    async def send(message):
        sent.append(message)

    async def run():
        waiting = asyncio.Event()
        request = asyncio.create_task(CutOff(app(waiting))({"type": "http"}, None, send))
        await waiting.wait()
        request.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await request
        return request.cancelled()

    return sent, asyncio.run(run())


def test_a_request_without_an_answer_yet_gets_503():
    def app(waiting):
        async def wait(scope, receive, send):
            waiting.set()
            await asyncio.Event().wait()

        return wait

    sent, was_cancelled = answer_of(app)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 503
    assert "Send it again" in json.loads(sent[1]["body"])["detail"]
    assert not was_cancelled


def test_an_answer_that_has_begun_is_not_answered_twice():
    def app(waiting):
        async def wait(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            waiting.set()
            await asyncio.Event().wait()

        return wait

    sent, was_cancelled = answer_of(app)
    assert [message.get("status") for message in sent] == [200]
    assert was_cancelled


@pytest.mark.long
def test_an_upload_that_a_stop_cuts_off_is_told_to_come_again(tmp_path):
    with running("--port", "0", "--data", str(tmp_path), SCRIBEBOX_MODEL="absent") as box:
        address = urlsplit(box.url)
        key = (tmp_path / "admin.key").read_text().strip()
        with socket.create_connection((address.hostname, address.port), WAIT_S) as sender:
            sender.sendall(UPLOAD.format(key=key).encode() + b"x" * 5000)
            wait_until(lambda: arriving(tmp_path), "upload that is being received")
            stopping = threading.Thread(target=box.stop)
            stopping.start()
            answer = b""
            while piece := sender.recv(4096):
                answer += piece
        stopping.join(WAIT_S)
    assert answer.startswith(b"HTTP/1.1 503 ") and b"retry-after: 5" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 503
    assert arriving(tmp_path) == []


def arriving(data):
    """Return the files that are being received."""
    return list((data / "audio").glob("*.part"))
