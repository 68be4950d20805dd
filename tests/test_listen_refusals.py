"""Refusals reach Deepgram's clients with their status, their words and a way to find them again."""

import json
import logging
import re
import socket
import threading
import uuid
from datetime import timedelta

import httpx
import pytest
import uvicorn
from hypothesis import example, given
from hypothesis import strategies as some
from litestar import Litestar, Request, WebSocket, post, websocket
from litestar.exceptions import (
    NotAuthorizedException,
    PermissionDeniedException,
    TooManyRequestsException,
)
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from api.listen import refusals
from api.listen.query import InvalidOption
from api.listen.refusals import Refusal, header_of, refusal_of
from appliance.errors import (
    Busy,
    LimitReached,
    NoRoom,
    NotFound,
    Refused,
    StoreUnusable,
    TooLarge,
)
from appliance.quota import Allowance, Standing
from appliance.store.entities import now
from engine.errors import AudioUnreadable, LanguageUnsupported, ModelUnavailable

WAIT_S = 30
CORRUPT = "Bad Request: failed to process audio: corrupt or unsupported data"
MADE = {
    "query": refusals.invalid_query("Failed to deserialize query parameters: größer…\r\nX: y"),
    "credentials": refusals.invalid_credentials(),
    "scope": refusals.insufficient_permissions("listen"),
    "busy": refusals.too_many_requests(2.1),
    "model": refusals.unavailable("The model is being loaded.", 5),
    "remote": refusals.remote_content(),
    "large": refusals.too_large("The file has more than 5 bytes."),
    "missing": refusals.not_found("There is no such model."),
    "audio": refusals.undecodable(),
}
REQUEST_ID = str(uuid.uuid4())


@websocket("/v1/listen")
async def stream(socket: WebSocket) -> None:
    """Refuse as the query wants it."""
    await refusals.refuse_handshake(socket, MADE[socket.query_params["why"]], REQUEST_ID)


@post("/v1/listen")
async def file(request: Request) -> object:
    """Refuse as the query wants it."""
    return refusals.answer(MADE[request.query_params["why"]], REQUEST_ID)


@pytest.fixture(scope="module")
def server():
    """Serve the two handlers with the server of the box; return its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = Litestar([stream, file], logging_config=None, openapi_config=None)
        serving = uvicorn.Server(uvicorn.Config(app, http="httptools", log_config=None))
        thread = threading.Thread(target=serving.run, args=([listener],))
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"  # it listens already: clients are queued
        serving.should_exit = True
        thread.join(WAIT_S)
        assert not thread.is_alive()


def as_deepgram(status, headers, body, refusal):
    """Check an answer against the refusal."""
    assert status == refusal.status
    told = {"err_code": refusal.code, "err_msg": refusal.message, "request_id": REQUEST_ID}
    assert json.loads(body) == told
    assert headers["dg-request-id"] == REQUEST_ID
    assert headers["content-type"].startswith("application/json")
    assert headers["dg-error"] == header_of(refusal.message)


@pytest.mark.parametrize("why", MADE)
def test_a_handshake_is_refused_with_a_real_status(server, why):
    with pytest.raises(InvalidStatus) as caught:
        connect(f"ws://{server}/v1/listen?why={why}", open_timeout=WAIT_S, proxy=None)
    answer = caught.value.response
    as_deepgram(answer.status_code, answer.headers, answer.body, MADE[why])
    assert answer.headers.get_all("content-length") == [str(len(answer.body))]


@pytest.mark.parametrize("why", MADE)
def test_a_file_is_refused_in_the_same_form(server, why):
    answer = httpx.post(f"http://{server}/v1/listen?why={why}", timeout=WAIT_S, trust_env=False)
    as_deepgram(answer.status_code, answer.headers, answer.content, MADE[why])


def test_who_may_come_again_is_told_when(server):
    for why, seconds in (("busy", "3"), ("model", "5"), ("audio", None)):
        answer = httpx.post(f"http://{server}/v1/listen?why={why}", trust_env=False)
        assert answer.headers.get("retry-after") == seconds
    assert Refusal(429, "C", "m", 0).headers("r")["retry-after"] == "1"


def standing():
    used_up = Allowance(5, 5, now() + timedelta(seconds=90))
    return Standing("free", used_up, Allowance(5, None, None))


@pytest.mark.parametrize(
    ("error", "status", "code", "said"),
    [
        (InvalidOption("language 'x'"), 400, "INVALID_QUERY_PARAMETER", "language 'x'"),
        (LanguageUnsupported("no 'xx'"), 400, "INVALID_QUERY_PARAMETER", "no 'xx'"),
        (AudioUnreadable("is empty"), 400, "Bad Request", f"{CORRUPT} (is empty)"),
        (Refused("no"), 400, "BAD_REQUEST", "no"),
        (NotAuthorizedException("a key"), 401, "INVALID_AUTH", "Invalid credentials."),
        (PermissionDeniedException("scope"), 403, "INSUFFICIENT_PERMISSIONS", "scope"),
        (NotFound("none"), 404, "NOT_FOUND", "none"),
        (TooLarge("big"), 413, "PAYLOAD_TOO_LARGE", "big"),
        (Busy("full", 7.5), 429, "TOO_MANY_REQUESTS", "Too many requests."),
        (LimitReached(standing()), 429, "TOO_MANY_REQUESTS", "daily limit"),
        (ModelUnavailable("gone"), 503, "SERVICE_UNAVAILABLE", "gone"),
        (StoreUnusable("locked"), 503, "SERVICE_UNAVAILABLE", "locked"),
        (NoRoom("full"), 507, "INSUFFICIENT_STORAGE", "full"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_error_of_the_box_is_a_refusal(error, status, code, said):
    refusal = refusal_of(None, error)
    assert (refusal.status, refusal.code) == (status, code)
    assert said in refusal.message


def test_the_time_to_come_again_is_kept():
    slow = TooManyRequestsException("wrong keys", headers={"Retry-After": "12"})
    assert refusal_of(None, slow).retry_after_s == 12
    assert refusal_of(None, Busy("full", 7.5)).retry_after_s == 7.5
    assert refusal_of(None, StoreUnusable("locked")).retry_after_s == 5
    assert 80 < refusal_of(None, LimitReached(standing())).retry_after_s <= 90
    assert refusal_of(None, NotFound("none")).retry_after_s is None


def test_a_refusal_stays_what_it_is():
    refusal = refusals.invalid_credentials()
    assert refusal_of(None, refusal) is refusal


def test_what_is_unforeseen_is_logged_under_the_number_that_is_told(caplog):
    with caplog.at_level(logging.ERROR):
        refusal = refusal_of(None, ZeroDivisionError("secret"))
    assert (refusal.status, refusal.code) == (500, "INTERNAL_SERVER_ERROR")
    number = re.search(r"[0-9a-f]{12}", refusal.message)[0]
    assert "secret" not in refusal.message
    assert len(caplog.records) == 1 and number in caplog.text


@given(some.text())
@example("größer\r\nSet-Cookie: x=1")
@example("x" * 1000)
@example("\u2028\x85\x7f\0\t ")
def test_any_text_is_a_header_of_one_short_line(text):
    header = header_of(text)
    assert len(header.encode("latin-1")) <= 200
    assert header == header.strip() and all(" " <= c <= "~" for c in header)
