"""Make segments of the words of one window: cut at the ends of sentences and at long pauses."""

import math
from dataclasses import replace
from statistics import fmean, median

from engine.gates import Decoded
from engine.transcript import Segment, Word

SENTENCE_ENDS = (".", "?", "!", "。", "？", "！", "…")  # noqa: RUF001
MIN_SENTENCE_MS, MAX_GAP_MS = 4000, 1000

RawWord = tuple[str, Word]  # the text as decoded, with the space before it


def without_lead(words: list[RawWord]) -> list[RawWord]:
    """Take from the first word of a window the silence that alignment gives to it.

    It is left at most twice the median length, as in OpenAI's `timing.py`.
    """
    if not words:
        return words
    text, first = words[0]
    longest = round(2 * median(word.end_ms - word.start_ms for _, word in words))
    return [
        (text, replace(first, start_ms=max(first.start_ms, first.end_ms - longest))),
        *words[1:],
    ]


def segments_of(
    raw: list[RawWord], decoded: Decoded, label: str, seconds: float, suppressed: str | None
) -> list[Segment]:
    """Cut the words of a window into segments: at the ends of sentences and at long pauses."""
    if not raw or suppressed is not None:
        words = tuple(word for _, word in raw)
        confidence = math.exp(decoded.mean_log_probability)
        if words:
            confidence = fmean(word.probability for word in words)
        start = words[0].start_ms if words else 0
        end = words[-1].end_ms if words else round(seconds * 1000)
        score = round(confidence, 3)
        return [Segment(start, end, decoded.text, words, label, score, suppressed)]
    return sentences(raw, label)


def sentences(raw: list[RawWord], label: str) -> list[Segment]:
    """Return a segment for each sentence, or what lies between two pauses; none without words."""
    groups: list[list[RawWord]] = [[]] if raw else []
    for entry in raw:
        group = groups[-1]
        if group:
            last = group[-1][1]
            ended = last.text.endswith(SENTENCE_ENDS)
            long_enough = last.end_ms - group[0][1].start_ms >= MIN_SENTENCE_MS
            if entry[1].start_ms - last.end_ms >= MAX_GAP_MS or (ended and long_enough):
                groups.append([])
        groups[-1].append(entry)
    return [
        Segment(
            start_ms=group[0][1].start_ms,
            end_ms=group[-1][1].end_ms,
            text="".join(text for text, _ in group).strip(),
            words=tuple(word for _, word in group),
            engine=label,
            confidence=round(fmean(word.probability for _, word in group), 3),
        )
        for group in groups
    ]
