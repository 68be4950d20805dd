"""Speech that the decoder passed over: found by words that last too long, and by the VAD.

Whisper may end its text early, or begin it late, where a window holds several sentences or voices;
its log-probability is none the worse for it. But alignment has to put the time somewhere: into a
word that lasts for seconds, or behind the last one. Where the VAD hears speech in such a stretch,
the stretch is to be decoded by itself.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.alignment import Aligned
from engine.audio import SAMPLE_RATE, Samples
from engine.segmenter import CHUNK_MS
from engine.vad import CHUNK_SAMPLES, ONSET, Silero

MIN_SPEECH_MS = 1000  # less is a word that was drawn out, or a breath
WORD_MS, LETTER_MS = 400, 60  # what may be said in a word, at most
LEAD_CHUNKS = 64  # two seconds of sound by which the VAD gets its bearings


@dataclass(frozen=True, slots=True)
class Omission:
    """A stretch in which more was said than is written; `first` to `last` are its entries."""

    start_ms: int
    end_ms: int
    first: int
    last: int  # exclusive; none where it lies before, behind or between words


def omissions(entries: Sequence[Aligned], samples: Samples) -> list[Omission]:
    """Return the stretches of a window that hold speech without words, in order."""
    suspects = stretched(entries, len(samples) * 1000 // SAMPLE_RATE)
    return [each for each in suspects if unsaid_ms(each, entries, samples) >= MIN_SPEECH_MS]


def stretched(entries: Sequence[Aligned], until_ms: int) -> list[Omission]:
    """Return the stretches that are longer than their words; neighbours as one."""
    if not entries:
        return []
    spans = [Omission(0, entries[0].start_ms, 0, 0)]
    spans += [Omission(e.start_ms, e.end_ms, i, i + 1) for i, e in enumerate(entries)]
    spans.append(Omission(entries[-1].end_ms, until_ms, len(entries), len(entries)))
    found: list[Omission] = []
    for span in spans:
        if span.end_ms - span.start_ms < said_ms(entries[span.first : span.last]) + MIN_SPEECH_MS:
            continue
        if found and found[-1].end_ms == span.start_ms:
            before = found.pop()
            span = Omission(before.start_ms, span.end_ms, before.first, span.last)
        found.append(span)
    return found


def said_ms(entries: Sequence[Aligned]) -> int:
    """Return how long it takes at most to say some words."""
    return sum(WORD_MS + LETTER_MS * len(e.text.strip()) for e in entries if is_word(e))


def unsaid_ms(span: Omission, entries: Sequence[Aligned], samples: Samples) -> int:
    """Return how much speech of a stretch its words don't account for."""
    spoken_ms = voiced_ms(samples, span.start_ms, span.end_ms)
    return spoken_ms - said_ms(entries[span.first : span.last])


def voiced_ms(samples: Samples, start_ms: int, end_ms: int) -> int:
    """Return how much of a stretch is speech; the VAD hears what comes before it as well."""
    first, last = start_ms // CHUNK_MS, -(-end_ms // CHUNK_MS)
    begin = max(first - LEAD_CHUNKS, 0)
    part = samples[begin * CHUNK_SAMPLES : last * CHUNK_SAMPLES]
    rest = np.zeros(-len(part) % CHUNK_SAMPLES, np.int16)
    heard = Silero().probabilities(np.concatenate([part, rest]))[first - begin :]
    return int(np.count_nonzero(heard >= ONSET)) * CHUNK_MS


def is_word(entry: Aligned) -> bool:
    """Tell whether an entry is more than a punctuation mark."""
    return any(character.isalnum() for character in entry.text)


def filled(
    entries: Sequence[Aligned], omission: Omission, heard: Sequence[Aligned]
) -> list[Aligned]:
    """Return the words with those of an omission put in; as they were if nothing is gained."""
    old, new = entries[omission.first : omission.last], [e for e in heard if is_word(e)]
    if len(new) <= sum(map(is_word, old)):
        return list(entries)
    marks = [  # of the word before them; those of what is replaced go with it
        Aligned(e.text, e.start_ms, e.start_ms, e.probability)
        for e in itertools.takewhile(lambda e: not is_word(e), old)
    ]
    moved = [entry.moved(omission.start_ms) for entry in heard]
    return [*entries[: omission.first], *marks, *moved, *entries[omission.last :]]
