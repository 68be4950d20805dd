"""What a script here is given on stdin, and what it tells on stdout: both are JSON."""

import json
import sys
import threading
from pathlib import Path

PIECE_BYTES = 3_200  # 0.1 s of 16 kHz linear16
WAIT_S = 90


class Plan:
    """Where to go with which credential, and with what sound."""

    def __init__(self) -> None:
        given = json.load(sys.stdin)
        self.what: str = given["what"]
        self.url: str = given["url"]
        self.key: str = given["key"]
        self.sound = Path(given["sound"]).read_bytes()
        self.finalize_at: int = given.get("finalizeAt", 0)  # byte
        self.pause_s: float = given.get("pauseSeconds", 0)  # between two pieces of sound

    @property
    def halves(self) -> tuple[list[bytes], list[bytes]]:
        """Return the sound before and after Finalize, in pieces."""
        return pieces(self.sound[: self.finalize_at]), pieces(self.sound[self.finalize_at :])


class Told:
    """What an SDK hands to its user."""

    def __init__(self) -> None:
        self.messages: list[dict] = []
        self.errors: list[str] = []
        self.closes = 0
        self.close_code: int | None = None
        self.finalized = threading.Event()
        self.complete = threading.Event()  # nothing comes after Metadata

    def hear(self, message: dict) -> None:
        """Note a message."""
        self.messages.append(message)
        if message.get("from_finalize"):
            self.finalized.set()
        if message["type"] == "Metadata":
            self.complete.set()

    def fail(self, error: object) -> None:
        """Note an error."""
        self.errors.append(repr(error))

    def close(self) -> None:
        """Note that the SDK says it is over."""
        self.closes += 1

    def wait_until_finalized(self) -> None:
        """Wait for the answer to Finalize."""
        if not self.finalized.wait(WAIT_S):
            raise TimeoutError(f"no answer to Finalize in {WAIT_S} s")

    def tell(self) -> None:
        """Tell all of it."""
        tell(
            messages=self.messages,
            errors=self.errors,
            closes=self.closes,
            closeCode=self.close_code,
        )


def pieces(sound: bytes) -> list[bytes]:
    """Return sound as a microphone gives it."""
    return [sound[at : at + PIECE_BYTES] for at in range(0, len(sound), PIECE_BYTES)]


def tell(**told: object) -> None:
    """Print what is to be told."""
    json.dump(told, sys.stdout, default=str)
