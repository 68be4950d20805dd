"""Which words of a growing utterance are stable: those that two decodes in a row agree on.

LocalAgreement-2 of Liu et al. (Interspeech 2020), as used for Whisper by Macháček et al. (2023,
arXiv 2307.14743). Pure values: no model, no clock. What was told to be stable is never taken back.
"""

import unicodedata
from collections.abc import Sequence

from engine.transcript import Word

NEAR_MS = 200  # how far two decodes may disagree about when a word was said


class Agreement:
    """Hold the stable words of the open stretch, and the last hypothesis about what follows."""

    def __init__(self, after: Word | None = None) -> None:
        self._last = after  # that was taken out, or told before: it is not to be told again
        self.stable: list[Word] = []
        self.tentative: list[Word] = []

    def update(self, words: Sequence[Word], until_ms: int) -> None:
        """Take the words of a decode of the whole stretch, the stable ones among them.

        Words that end after `until_ms` stay tentative: what is said next may yet change them.
        """
        following = self._following(words)
        agreed = 0
        for before, now in zip(self.tentative, following, strict=False):
            if spelling(before.text) != spelling(now.text) or now.end_ms > until_ms:
                break
            agreed += 1
        self.stable += following[:agreed]
        self.tentative = list(following[agreed:])

    def settle(self, words: Sequence[Word]) -> list[Word]:
        """Return the words of the stretch by its last decode, behind those that are stable."""
        return [*self.stable, *self._following(words)]

    def accept(self, words: Sequence[Word]) -> None:
        """Take all words of a decode as stable."""
        self.stable, self.tentative = self.settle(words), []

    def take(self, count: int) -> list[Word]:
        """Take the first stable words out: they are final."""
        taken, self.stable = self.stable[:count], self.stable[count:]
        self._last = taken[-1] if taken else self._last
        return taken

    def _following(self, words: Sequence[Word]) -> list[Word]:
        """Return the words of a decode that come behind the stable ones.

        By their spelling, if the decode begins with the stable words; else by when they were said.
        """
        if self._last is not None:  # of what was cut off a rest may be heard
            words = behind(self._last, words)
        said, known = [spelling(w.text) for w in words], [spelling(w.text) for w in self.stable]
        if said[: len(known)] == known:
            return list(words[len(known) :])
        return behind(self.stable[-1], words)


def behind(last: Word, words: Sequence[Word]) -> list[Word]:
    """Return the words that were said after a certain one, which may come once more."""
    rest = [word for word in words if (word.start_ms + word.end_ms) // 2 > last.end_ms]
    if rest and spelling(rest[0].text) == spelling(last.text):
        return rest[rest[0].start_ms < last.end_ms + NEAR_MS :]
    return rest


def spelling(text: str) -> str:
    """Return a word without case and punctuation, by which two decodes are compared."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if c.isalnum()) or folded
