"""A WebSocket where there is none gets an answer that says so."""

import json

import pytest
from event_source import ServedBox
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from appliance.settings import Settings


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    box = ServedBox(Settings(data_dir=tmp_path_factory.mktemp("box"), model="absent", port=0))
    yield box.url.replace("http:", "ws:")
    box.stop()


def refusal(address, **more):
    with pytest.raises(InvalidStatus) as caught, connect(address, proxy=None, **more):
        pass
    return caught.value.response


@pytest.mark.parametrize(
    "path", ["/v2/listen", "/", "/v1", "/v1/listen/more", "/v1/speak", "/health", "/%00", "/v1/x?q"]
)
def test_a_socket_at_any_other_path_is_404_with_a_reason(url, path):
    found = refusal(url + path, subprotocols=["token", "secret"])
    told = json.loads(found.body)
    assert (found.status_code, told["err_code"]) == (404, "NOT_FOUND")
    assert "/v1/listen" in told["err_msg"] and told["err_msg"] == found.headers["dg-error"]
    assert told["request_id"] == found.headers["dg-request-id"]


@pytest.mark.parametrize("path", ["/v1/listen", "/v1/listen/", "//v1//listen"])
def test_live_text_is_where_it_was(url, path):
    assert refusal(url + path).status_code == 401
