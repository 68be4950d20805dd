"""How long windows take of late, and how many of them at once may hold up whoever comes next."""

import time

from engine.windows import FULL_WINDOW_SECONDS, window_of

MOST_AT_ONCE = 8
WHILE_SPOKEN_S = 1.0  # that a batch may take while somebody waits for live text, or may in a moment
SPOKEN_WITHIN_S = 30.0
LONGEST_S = 8.0  # that a batch may take at all: till then a file can't be given up, nor told of
FIRST_GUESS_S = 0.5  # that a window takes, before one was timed


class Pace:
    """What a worker learns of its windows and its callers; for any thread."""

    def __init__(self) -> None:
        self.per_second_s = FIRST_GUESS_S / FULL_WINDOW_SECONDS  # of an encoded window of a file
        self.spoken_s = -SPOKEN_WITHIN_S  # when a live or recording caller was heard of last

    def expect_speech(self) -> None:
        """Keep batches short for a while: somebody listens, if to silence so far."""
        self.spoken_s = time.monotonic()

    def took(self, each_s: float, longest_seconds: float) -> None:
        """Learn what each window of a batch took, all encoded as long as the longest."""
        self.per_second_s = each_s / window_of(longest_seconds)

    def expected_s(self, seconds: float) -> float:
        """Return what a window of so much speech will take."""
        return self.per_second_s * window_of(seconds)

    def most_at_once(self, seconds: float) -> int:
        """Return how many windows of so much speech may go together."""
        longest_s = WHILE_SPOKEN_S if self._spoken else LONGEST_S
        return max(min(int(longest_s / self.expected_s(seconds)), MOST_AT_ONCE), 1)

    @property
    def _spoken(self) -> bool:
        return time.monotonic() - self.spoken_s <= SPOKEN_WITHIN_S
