"""Who speaks before the handshake is answered is cut off, and nothing is heard of it in the log."""

import contextlib
import queue
import socket
import threading

import pytest
import uvicorn
from listen_client import frame, raw_socket

from api.listen.protocol import Protocol

WAIT_S = 30


@pytest.fixture(scope="module")
def unhurried():
    """Serve what does not accept before it is told to; yield its address and what it was told."""
    told: queue.Queue[str] = queue.Queue()

    async def app(scope, receive, send):
        while (message := await receive())["type"] != "websocket.disconnect":
            told.put(message["type"])
        told.put(message["type"])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http="httptools", ws=Protocol, lifespan="off", log_config=None)
        serving = uvicorn.Server(config)
        thread = threading.Thread(target=serving.run, args=([listener],))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", told
        serving.should_exit = True
        thread.join(WAIT_S)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    "early",
    [frame(b"\xc3\x28", 1), frame(b'{"type":"KeepAlive"}', 1), frame(bytes(640), 2) * 3],
    ids=["text that is none", "a command", "sound"],
)
def test_who_speaks_before_the_handshake_is_answered_is_cut_off(unhurried, early, caplog):
    url, told = unhurried
    with raw_socket(url, "any") as client:
        assert told.get(timeout=WAIT_S) == "websocket.connect"
        client.sendall(early)
        assert told.get(timeout=WAIT_S) == "websocket.disconnect"
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert told.empty()
    assert [r for r in caplog.get_records("call") if r.name == "asyncio"] == []  # no traceback
