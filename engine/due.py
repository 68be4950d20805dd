"""What a live stream owes its listener, and the decode that is under way for it."""

from dataclasses import dataclass

from engine.stretch import PER_MS, Sound
from engine.transcript import Word
from engine.worker import Ticket


@dataclass(frozen=True, slots=True)
class Due:
    """Something that must be told as final; without sound there is nothing left to decode."""

    sound: Sound | None
    voiced_to: int  # position in the stream after the last of its speech
    end_sample: int
    ended: bool  # the utterance is over for the listener
    closes: bool = False  # and for the segmenter: what follows is another one
    flushed: bool = False  # the listener asked for it
    paused: bool = False  # only that nobody has spoken for a while


@dataclass(frozen=True, slots=True)
class Decode:
    """A decode under way: of something due, or (None) a partial."""

    sound: Sound
    ticket: Ticket
    due: Due | None
    again: bool = False  # it failed once

    def words(self) -> list[Word]:
        """Return what was heard, on the clock of the stream; raise what went wrong."""
        offset_ms = self.sound.start_sample // PER_MS
        heard = self.ticket.result(0)
        segments = [s.moved(offset_ms) for s in heard.segments if s.suppressed is None]
        return [word for segment in segments for word in segment.words]
