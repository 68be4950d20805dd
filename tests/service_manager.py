"""The end of systemd that services talk to: a socket that takes what they say of themselves."""

import socket
import time
from types import TracebackType
from typing import Self

WAIT_S = 60.0


class ServiceManager:
    """Listen where NOTIFY_SOCKET says; keep every message with the moment it came."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.messages: list[tuple[float, list[str]]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def read(self, timeout_s: float = WAIT_S) -> list[str]:
        """Return the next message, line by line."""
        self._socket.settimeout(max(timeout_s, 0.001))
        lines = self._socket.recv(1 << 16).decode().splitlines()
        self.messages.append((time.monotonic(), lines))
        return lines

    def wait_for(self, start: str, timeout_s: float = WAIT_S) -> str:
        """Wait for a line that begins so, in the messages that come from now on."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                lines = self.read(deadline - time.monotonic())
            except TimeoutError:
                raise AssertionError(f"no {start!r} in {timeout_s} s: {self.messages}") from None
            for line in lines:
                if line.startswith(start):
                    return line

    def lines(self) -> list[str]:
        """Return all that was said so far, once what waits has been read."""
        while True:
            try:
                self.read(0)
            except (TimeoutError, BlockingIOError):
                return [line for _, lines in self.messages for line in lines]
