"""A WebSocket where there is none is refused with a status that says so, in Deepgram's form."""

import json

import pytest
from listen_server import running_in
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_in(tmp_path_factory.mktemp("box")) as found:
        yield found


@pytest.mark.parametrize("path", ["/v2/listen", "/nowhere", "/health", "/v1/listen/more"])
@pytest.mark.parametrize("known", [True, False], ids=["key", "no key"])
def test_a_path_without_a_websocket_is_404_and_named(box, path, known):
    headers = {"Authorization": f"Token {box.key}"} if known else {}
    url = box.url.replace("http", "ws", 1) + path
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(url, additional_headers=headers, proxy=None),
    ):
        raise AssertionError("it is open")
    answer = caught.value.response
    told = json.loads(answer.body)
    assert (answer.status_code, told["err_code"]) == (404, "NOT_FOUND")
    assert path in told["err_msg"] and "/v1/listen" in told["err_msg"]
    assert answer.headers["dg-error"] and answer.headers["dg-request-id"] == told["request_id"]
