"""All live streams of the box: how many there may be, and what they add up to."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from appliance.errors import Busy
from appliance.listening import Listening
from engine.audio import SAMPLE_RATE
from engine.tally import Distribution, Spread

MOST = 16  # streams at once: each may hold half a minute of sound and a decoder
RETRY_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class Listened:
    """What the live streams of this process are and were."""

    open: int
    streams: int
    audio_s: float
    partials_left_out: int
    lag_s: float  # of the stream whose finals are farthest behind its sound
    final_lags: Spread  # how much sound had come until the words of an utterance were final


class Listeners:
    """Hold the streams that are open. For any thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._open: set[Listening] = set()
        self._places = self._streams = self._left_out = 0
        self._audio_s = 0.0
        self._final_lags = Distribution()

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the places; raise Busy if there is none."""
        with self._lock:
            if self._places >= self._most:
                raise Busy(
                    f"{self._most} live streams are open, as many as this box takes; try again "
                    "when one has ended",
                    RETRY_AFTER_S,
                )
            self._places += 1
        try:
            yield
        finally:
            with self._lock:
                self._places -= 1

    @contextlib.contextmanager
    def following(self, listening: Listening) -> Iterator[None]:
        """Count a stream while it is open."""
        with self._lock:
            self._open.add(listening)
            self._streams += 1
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(listening)
                self._left_out += listening.partials_left_out
                self._audio_s += seconds_of(listening)

    def note_final(self, lag_s: float) -> None:
        """Note how much sound had come since the end of an utterance when its words were final."""
        self._final_lags.note(lag_s)

    def now(self) -> Listened:
        """Return what there is at this moment."""
        with self._lock:
            streams = list(self._open)
            return Listened(
                open=len(streams),
                streams=self._streams,
                audio_s=self._audio_s + sum(seconds_of(one) for one in streams),
                partials_left_out=self._left_out + sum(one.partials_left_out for one in streams),
                lag_s=max((one.lag_s for one in streams), default=0.0),
                final_lags=self._final_lags.now(),
            )


def seconds_of(listening: Listening) -> float:
    """Return how much sound a stream has brought."""
    return listening.samples / SAMPLE_RATE
