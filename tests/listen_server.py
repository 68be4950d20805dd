"""Boxes for clients of `WS /v1/listen`: a process of its own, or in this one with our engine."""

import contextlib
import dataclasses
import functools
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import psutil
from running_box import RunningBox, running
from virtual_microphone import wait_until

from api import app, server
from api.listen import stream
from appliance.box import Box, open_store
from appliance.listeners import Listeners
from appliance.settings import Settings
from appliance.store import accounts, sessions
from appliance.store.entities import Source
from engine.worker import Worker

WAIT_S = 60  # however busy the machine is
MARK = "seen-in-the-query"
LAST_WORDS_S = 10.0


def used(folder: Path) -> str:
    """Make the data folder of a box that need not hear its sample any more; return its key."""
    _, database, key = open_store(Settings(data_dir=folder))
    with contextlib.closing(database), database.write() as session:
        owner = accounts.named(session, accounts.DEFAULT).id
        row = sessions.open_one(session, owner, Source.UPLOAD)
        sessions.finish(
            session, row, title="used", note="", original_transcript="", language="en",
            captured_seconds=0, elapsed_seconds=0, engine="",
        )  # fmt: skip
    assert key is not None
    return key


def decoders(process: psutil.Process) -> list[psutil.Process]:
    """Return the children of a process that decode a live stream."""
    found = []
    for child in process.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("stream_decoder" in part for part in child.cmdline()):
                found.append(child)
    return found


def noise_in(records: list[logging.LogRecord]) -> list[str]:
    """Return what a box in this process should not have logged."""
    return [
        f"{record.name}: {record.getMessage()}"
        for record in records
        if record.levelno >= logging.ERROR and record.name != "uvicorn.error"  # silent in a box
    ]


@dataclass(frozen=True, slots=True)
class Door:
    """Where a box is, and the key that is the owner's."""

    url: str
    key: str

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Return the answer to a request of the owner."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.request(
            method, f"{self.url}{path}", headers=headers, timeout=WAIT_S, trust_env=False, **more
        )

    def new_key(self, *scopes: str) -> dict[str, Any]:
        """Return a new key, with its number."""
        made = self.call("POST", "/api/v1/keys", json={"name": "test", "scopes": scopes})
        return made.raise_for_status().json()

    def token(self, ttl_s: float = 60) -> str:
        """Return a token as Deepgram grants it."""
        granted = self.call("POST", "/v1/auth/grant", json={"ttl_seconds": ttl_s})
        return granted.raise_for_status().json()["access_token"]

    def is_well(self) -> bool:
        """Tell whether it answers."""
        return self.call("GET", "/health").json()["checks"].keys() >= {"database", "engine"}


@dataclass(frozen=True, slots=True)
class BoxProcess(Door):
    """A box that is a process of its own."""

    server: RunningBox

    @property
    def seen(self) -> psutil.Process:
        """Return its process as the system sees it."""
        return psutil.Process(self.server.process.pid)

    def at_rest(self) -> tuple[int, int]:
        """Return how many sockets and pipes it has, and how many decoders, once nothing goes on.

        Files are not counted: the database has more or fewer of them, as it likes.
        """
        process = self.seen
        wait_until(lambda: self._open_streams() == 0, "the end of the streams")
        wait_until(lambda: process.children() == [], "the end of its children")
        return process.num_fds() - len(process.open_files()), len(decoders(process))

    def _open_streams(self) -> float:
        told = self.call("GET", "/metrics").text
        return float(re.search(r"^scribebox_listen_streams_open (\S+)$", told, re.M)[1])


@contextlib.contextmanager
def running_in(folder: Path, **more: str) -> Iterator[BoxProcess]:
    """Run a box with tiny.en that has nothing else to do, and look at its log in the end."""
    key = used(folder)
    with running("--port", "0", "--data", str(folder), SCRIBEBOX_MODEL="tiny.en", **more) as server:
        box = BoxProcess(server.url, key, server)
        yield box
        if server.process.poll() is None:
            server.stop()
        for private in (key, MARK, "finance", "sec-websocket"):
            assert private not in server.output.lower(), server.output
        for noise in ("Traceback", "ERROR", "CRITICAL"):
            assert noise not in server.output, server.output


@dataclass(frozen=True, slots=True)
class Served(Door):
    """A box in this process."""

    box: Box

    def at_rest(self) -> tuple[int, int]:
        """Return how many streams are open, and how many decoders there are."""
        return self.box.listeners.now().open, len(decoders(psutil.Process()))


@contextlib.contextmanager
def served(folder: Path, worker: Worker, most: int = 16, **connection: Any) -> Iterator[Served]:
    """Serve until the block ends, for so many streams at once; `connection` goes to each."""
    settings = Settings(data_dir=folder, model="absent", port=0)
    listener = server.bind(settings)
    url = server.url_of(listener, settings)
    listening, started = threading.Event(), []
    application = app.create(settings, url, started.append)

    async def before_shutdown() -> None:
        await application.state.connections.stop(LAST_WORDS_S)

    serving = server.Server(
        server.configuration(application, settings), listening.set, bool, before_shutdown
    )
    thread = threading.Thread(target=serving.run, args=([listener],))
    made = functools.partial(stream.Connection, **connection)
    with mock.patch.object(stream, "Connection", made):
        thread.start()
        assert listening.wait(WAIT_S)
        box = dataclasses.replace(started[0], worker=worker, listeners=Listeners(most))
        application.state.box = box
        try:
            yield Served(url, box.folder.admin_key.read_text().strip(), box)
        finally:
            serving.should_exit = True
            thread.join(WAIT_S)
    assert not thread.is_alive()
