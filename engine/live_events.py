"""What a live stream tells: that speech began, words that may still change, words that won't."""

from dataclasses import dataclass

from engine.transcript import Word


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody began to speak."""

    sample: int


@dataclass(frozen=True, slots=True)
class Partial:
    """What is known of the open stretch beyond its finals; the tentative words may change."""

    stable: tuple[Word, ...]
    tentative: tuple[Word, ...]
    end_sample: int


@dataclass(frozen=True, slots=True)
class Final:
    """Words that will not change, in order.

    `ended`: the utterance is over with them; `flushed`: they answer a call of `flush`.
    """

    words: tuple[Word, ...]
    end_sample: int
    ended: bool
    flushed: bool = False


@dataclass(frozen=True, slots=True)
class Paused:
    """Nobody has spoken for as long as the listener asked, and all that was said is final."""

    sample: int


Told = SpeechStarted | Partial | Final | Paused
