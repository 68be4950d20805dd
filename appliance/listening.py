"""One live stream of a client: bytes go in, what is heard comes out. Nothing of it is stored.

Not for several threads at once. Nothing here waits for the engine: `on_news` is called, from any
thread, when there may be something to `collect`.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from engine.audio import SAMPLE_RATE, Samples
from engine.incoming import Incoming, incoming
from engine.live import Live
from engine.live_events import Told
from engine.whisper import KNOWN_BY_SAMPLES, Request
from engine.worker import Priority, Ticket, Worker

STEP_SAMPLES = SAMPLE_RATE // 4  # heard at once
MAX_DUE = 3  # finals that may wait for the engine before no more sound is taken

Heard = tuple[int, Told]  # of which channel, and what


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks of a stream."""

    encoding: str | None = None  # None: a container
    sample_rate: int | None = None
    channels: int = 1
    multichannel: bool = False  # each by itself
    language: str | None = None  # None: that of the first speech
    hotwords: tuple[str, ...] = ()
    endpoint_ms: int | None = None
    pause_ms: int | None = None


class Listening:
    """Decode, hear channel by channel, tell."""

    def __init__(self, worker: Worker, asked: Asked, on_news: Callable[[], None]) -> None:
        self._worker, self._asked, self._on_news = worker, asked, on_news
        self._incoming: Incoming = incoming(
            asked.encoding, asked.sample_rate, asked.channels, asked.multichannel
        )
        self._lives: list[Live] = []
        self._unheard: deque[list[Samples]] = deque()  # decoded, by channel
        self._probe: Ticket | None = None  # the decode that may tell the language
        self.language, self.hotwords = asked.language, asked.hotwords
        self.expect_speech()
        # for any thread to read
        self.samples = 0  # that came, of each channel
        self.lag_s = 0.0  # how far finals are behind the sound
        self.partials_left_out = 0  # because the engine had more to do

    @property
    def channels(self) -> int:
        """Return how many channels there are."""
        return max(1, len(self._lives))

    @property
    def full(self) -> bool:
        """Tell whether the engine is so far behind that sound should wait."""
        return any(live.due >= MAX_DUE for live in self._lives)

    @property
    def unheard(self) -> bool:
        """Tell whether there is sound that was taken and not heard yet."""
        return bool(self._unheard)

    @property
    def done(self) -> bool:
        """Tell whether all that was taken is heard and told; after `finish`."""
        return not self._unheard and all(live.done for live in self._lives)

    def position_s(self, channel: int) -> float:
        """Return up to where a channel was listened to."""
        return self._lives[channel].position / SAMPLE_RATE if self._lives else 0.0

    def take(self, chunks: Iterable[bytes]) -> None:
        """Decode what came; raise AudioUnreadable if nothing can be made of it."""
        if self._asked.encoding != "opus":  # each chunk of which is a packet
            chunks = [b"".join(chunks)]
        for chunk in chunks:
            self._queue(self._incoming.feed(chunk))

    def expect_speech(self) -> None:
        """Let the engine know that somebody may speak any moment."""
        self._worker.expect_speech()

    def hear(self, more: bool = False) -> list[Heard]:
        """Listen to the next quarter of a second; `more`: there is more to come at once."""
        self.expect_speech()
        if not self._unheard:
            return self.collect()
        sound = self._unheard.popleft()
        told: list[Heard] = []
        for number, (live, samples) in enumerate(zip(self._lives, sound, strict=True)):
            live.hurried = more or bool(self._unheard)
            told += ((number, one) for one in live.push(samples))
        self._look_up()
        return told

    def collect(self) -> list[Heard]:
        """Return what has come of the engine meanwhile."""
        told = [(number, one) for number, live in enumerate(self._lives) for one in live.collect()]
        self._look_up()
        return told

    def flush(self, channel: int | None = None) -> None:
        """Have what was said so far told as final, of one channel or of all, each with one.

        A channel that there isn't means all of them: whoever asked waits for an answer.
        """
        if not self._lives:
            self._begin(self._asked.channels if self._asked.multichannel else 1)
        for number, live in enumerate(self._lives):
            if channel == number or channel not in range(len(self._lives)):
                live.flush()

    def end(self) -> None:
        """No more sound comes: decode the rest, which is to be heard before `finish`."""
        self._queue(self._incoming.end())

    def finish(self) -> None:
        """Have everything told as final that was said."""
        for live in self._lives:
            live.finish()

    def close(self) -> None:
        """Give everything up."""
        self._incoming.close()
        self._unheard.clear()
        for live in self._lives:
            live.close()

    def _queue(self, sound: list[Samples]) -> None:
        if not sound or not len(sound[0]):
            return
        if len(self._lives) != len(sound):  # a flush came first, and guessed
            self._begin(len(sound))
        self.samples += len(sound[0])
        if self._unheard and len(self._unheard[-1][0]) < STEP_SAMPLES:
            last = self._unheard.pop()
            sound = [np.concatenate(both) for both in zip(last, sound, strict=True)]
        for start in range(0, len(sound[0]), STEP_SAMPLES):
            self._unheard.append([one[start : start + STEP_SAMPLES] for one in sound])

    def _look_up(self) -> None:
        """Note what others ask about: the language of the first speech is told with its text."""
        self._learn_language()
        self.lag_s = max((live.lag_s for live in self._lives), default=0.0)
        self.partials_left_out = sum(live.partials_left_out for live in self._lives)

    def _begin(self, channels: int) -> None:
        asked = self._asked
        self._lives = [
            Live(self._listen, asked.endpoint_ms, asked.pause_ms) for _ in range(channels)
        ]

    def _listen(self, samples: Samples, last: bool) -> Ticket:
        """Submit sound to the engine; finals go before what is shown for a moment."""
        self._learn_language()
        request = Request(
            language=self.language,
            hotwords=self.hotwords,
            short_window=True,
            quick=not last,
        )
        priority = Priority.LIVE if last else Priority.PARTIAL
        ticket = self._worker.submit(samples, request, priority)
        if self.language is None and last and len(samples) >= KNOWN_BY_SAMPLES:
            self._probe = ticket
        ticket.when_done(self._on_news)
        return ticket

    def _learn_language(self) -> None:
        if self._probe is None or not self._probe.done:
            return
        heard, self._probe = self._probe.heard, None
        if self.language is not None or heard is None:
            return
        if any(segment.suppressed is None for segment in heard.segments):
            self.language = heard.language
