"""Which microphones there were a moment ago, for those who ask often and may not wait.

PortAudio tries every device when it lists them, which takes a while and can hang: so a thread of
its own looks, and nobody waits for it but a recording that is to begin, and that one not for long:
a device that is being tried can't be opened.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine import microphone
from engine.errors import MicrophoneUnavailable
from engine.microphone import Device, without_number

FRESH_S = 60.0
PATIENCE_S = 2.0  # of a recording that is to begin


@dataclass(frozen=True, slots=True)
class Listing:
    """What a look gave; no devices may also mean that PortAudio could not be asked."""

    devices: tuple[Device, ...]
    at_s: float  # of the monotonic clock

    def has(self, name: str) -> bool:
        """Tell whether there is an input of that name, whatever card it is now."""
        plain = without_number(name)
        return any(without_number(device.name) == plain for device in self.devices)


class Microphones:
    """Remember the last listing; look again in the background once it is old."""

    def __init__(
        self,
        look: Callable[[], list[Device]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look, self._clock = look or (lambda: microphone.devices()), clock
        self._changed = threading.Condition()
        self._looking = False
        self._beginning = 0  # recordings
        self._last: Listing | None = None

    def listed(self) -> list[Device]:
        """Look now; raise MicrophoneUnavailable without PortAudio."""
        found: list[Device] = []
        try:
            found = self._look()
        finally:
            self._last = Listing(tuple(found), self._clock())
        return found

    def known(self) -> Listing | None:
        """Return the last listing at once, None if there is none yet; begin a look if it is old."""
        with self._changed:
            last = self._last
            old = last is None or self._clock() - last.at_s > FRESH_S
            if old and not self._looking and not self._beginning:
                looking = threading.Thread(target=self._again, daemon=True, name="microphones")
                with contextlib.suppress(RuntimeError):  # there are too many threads: later then
                    looking.start()
                    self._looking = True
        return last

    @contextlib.contextmanager
    def left_alone(self) -> Iterator[None]:
        """Let no look in the background begin; one that hangs is not waited for."""
        with self._changed:
            self._beginning += 1
            self._changed.wait_for(lambda: not self._looking, PATIENCE_S)
        try:
            yield
        finally:
            with self._changed:
                self._beginning -= 1

    def _again(self) -> None:
        try:
            with contextlib.suppress(MicrophoneUnavailable, OSError):
                self.listed()
        finally:
            with self._changed:
                self._looking = False
                self._changed.notify_all()
