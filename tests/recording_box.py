"""A real server beside a virtual microphone: begin, stop, kill, start again, read what is left."""

import json
import os
import signal
import subprocess
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import numpy as np
from running_box import WAIT_S, running, successive
from virtual_microphone import VirtualMicrophone, wait_until

from engine.audio import read
from engine.journal import JournalReader, capture_pid

RECORDINGS, SESSIONS = "/api/v1/recordings", "/api/v1/audioscribe/sessions"
DONE_WITHIN_S = 240


class RecordingBox:
    """The box of one data folder, through all the processes that serve it."""

    def __init__(self, data: Path, microphone: VirtualMicrophone, **settings: str) -> None:
        self.data, self.microphone = data, microphone
        self._settings = {"SCRIBEBOX_MODEL": "tiny.en", **settings}
        self._stack, self._ahead = ExitStack(), ExitStack()
        arguments = ("--port", "0", "--data", str(self.data))
        self._server = partial(running, *arguments, **microphone.environment, **self._settings)
        self._players: list[subprocess.Popen[bytes]] = []
        self.outputs: list[str] = []

    def __enter__(self) -> "RecordingBox":
        return self.up()

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._ahead.close()
        for player in self._players:
            player.kill()
            player.wait(WAIT_S)
        for folder in (self.data / "recordings").glob("*"):  # a capture that a failed test left
            pid = capture_pid(folder)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)

    def up(self) -> "RecordingBox":
        """Start a server."""
        self.box = self._stack.enter_context(self._server())
        url = self.box.url
        key = (self.data / "admin.key").read_text().strip()
        self.client = self._stack.enter_context(
            httpx.Client(
                base_url=url,
                headers={"Authorization": f"Bearer {key}"},
                timeout=WAIT_S,
                trust_env=False,
            )
        )
        return self

    def load_ahead(self) -> None:
        """Have the program of the next server loaded while one runs, from now on."""
        each = successive(*self._server.args, **self._server.keywords)
        self._server = partial(self._ahead.enter_context(each))

    def kill(self, sign: signal.Signals = signal.SIGKILL) -> int:
        """End the server; the capture, if there is one, is on its own."""
        status = self.box.stop(sign)
        self.outputs.append(self.box.output)
        self._stack.close()
        return status

    def start(self, **wishes: object) -> int:
        """Begin a recording and return its number."""
        answer = self.client.post(RECORDINGS, json=wishes)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def play(self, path: Path) -> "subprocess.Popen[bytes]":
        """Let the microphone hear a file from now on, until the test is over."""
        player = subprocess.Popen(
            ["paplay", "--device=mic", str(path)],
            env={**os.environ, **self.microphone.environment},
            stderr=subprocess.DEVNULL,
        )
        self._players.append(player)
        return player

    def status(self, number: int) -> dict:
        """Return what the box says of a recording."""
        return self.client.get(f"{RECORDINGS}/{number}").raise_for_status().json()

    def stop(self, number: int) -> None:
        """Ask for the end."""
        assert self.client.post(f"{RECORDINGS}/{number}/stop").status_code == 202

    def wait_for_state(self, number: int, *states: str, timeout_s: float = DONE_WITHIN_S) -> dict:
        """Wait until a recording is in one of the states."""
        wait_until(lambda: self.status(number)["state"] in states, f"{states}", timeout_s)
        return self.status(number)

    def wait_for_seconds(self, number: int, seconds: float) -> None:
        """Wait until there is so much sound in the journal."""
        reader = self.journal(number)
        wait_until(
            lambda: reader.samples >= 16_000 * seconds, f"{seconds} s of sound", seconds + WAIT_S
        )

    def wait_for_more(self, number: int, seconds: float) -> None:
        """Wait until so much more sound is in the journal than there is now."""
        self.wait_for_seconds(number, self.journal(number).samples / 16_000 + seconds)

    def journal(self, number: int) -> JournalReader:
        """Return a reader of the journal of a recording."""
        return JournalReader(self.data / "recordings" / str(number))

    def capture(self, number: int) -> int | None:
        """Return the process that records."""
        return capture_pid(self.data / "recordings" / str(number))

    def kill_capture(self, number: int) -> None:
        """End the process that records as a crash would; return when it writes no more."""
        pid = self.capture(number)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.capture(number) != pid, "end of the capture")

    def session_of(self, number: int) -> dict:
        """Return the session of a finished recording."""
        found = self.client.get(f"{SESSIONS}/{self.status(number)['sessionId']}/")
        return found.raise_for_status().json()

    def sound_of(self, number: int, folder: Path) -> np.ndarray:
        """Return the samples of a finished recording as a client gets them."""
        session = self.status(number)["sessionId"]
        answer = self.client.get(f"{SESSIONS}/{session}/audio").raise_for_status()
        assert answer.headers["content-type"] == "audio/flac"
        path = folder / f"{session}.flac"
        path.write_bytes(answer.content)
        return read(path)

    def events_of(self, number: int, kind: str) -> list[dict]:
        """Return what the stored events of a kind say, once the recording is over."""
        found, name = [], ""
        with self.client.stream("GET", f"{RECORDINGS}/{number}/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("event:"):
                    name = line.removeprefix("event:").strip()
                elif line.startswith("data:") and name == kind:
                    found.append(json.loads(line.removeprefix("data:")))
        return found
