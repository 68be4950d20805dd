"""Word errors, clip by clip, and how sure their difference is: a paired bootstrap."""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer
import numpy as np
import numpy.typing as npt
from whisper_normalizer.english import EnglishTextNormalizer

NORMALISE = EnglishTextNormalizer()
DRAWS = 10_000
Counts = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """By how many points one word error rate is above another, and its 95 % interval."""

    points: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.points:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def words_of(text: str) -> list[str]:
    """Return the words as they are scored: Whisper's own normaliser."""
    return str(NORMALISE(text)).split()


def word_counts(references: Sequence[str]) -> Counts:
    """Return how many words each reference has."""
    return np.array([len(words_of(each)) for each in references], float)


def errors_in_whole(references: Sequence[str], text: str) -> Counts:
    """Return the errors in each of the references that one text is the transcript of."""
    parts = [words_of(each) for each in references]
    owner = [i for i, part in enumerate(parts) for _ in part]
    reference, heard = [word for part in parts for word in part], words_of(text)
    errors = np.zeros(len(parts))
    aligned = jiwer.process_words(" ".join(reference), " ".join(heard) or " ")
    for chunk in aligned.alignments[0]:
        if chunk.type == "insert":
            at = owner[min(chunk.ref_start_idx, len(owner) - 1)]
            errors[at] += chunk.hyp_end_idx - chunk.hyp_start_idx
        elif chunk.type != "equal":
            for i in range(chunk.ref_start_idx, chunk.ref_end_idx):
                errors[owner[i]] += 1
    return errors


def errors_by_clip(references: Sequence[str], texts: Sequence[str]) -> Counts:
    """Return the errors of each text against its reference."""
    return np.array(
        [errors_in_whole([ref], text)[0] for ref, text in zip(references, texts, strict=True)]
    )


def rate(errors: Counts, words: Counts) -> float:
    """Return the word error rate over all clips, in percent."""
    return float(100 * errors.sum() / words.sum())


def difference(mine: Counts, other: Counts, words: Counts) -> Difference:
    """Return the difference of two word error rates; clips are drawn anew, pairs stay pairs."""
    drawn = np.random.default_rng(0).integers(0, len(words), (DRAWS, len(words)))
    points = 100 * (mine - other)[drawn].sum(1) / words[drawn].sum(1)
    low, high = np.percentile(points, [2.5, 97.5])
    return Difference(rate(mine, words) - rate(other, words), float(low), float(high))
