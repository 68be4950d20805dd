"""Subtitles: cut a transcript into cues of two lines that a reader can follow.

A *piece* is what a subtitle is never cut within: a word with its punctuation, or, in a script
without spaces, a clause.
"""

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.transcript import Segment, Transcript

LINE_CHARACTERS = 42
CUE_LINES = 2
CUE_MS = 7_000
PAUSE_MS = 2_000  # silence that begins a new paragraph or cue
SEARCH_CHARACTERS = 16  # a word further ahead than this is another of the same spelling
UNWRITABLE = re.compile("[\x00-\x08\x0e-\x1b\x7f\ud800-\udfff\ufffe\uffff]")  # XML forbids most
SPACE = re.compile(r"\s*[^\S\xa0\u2007\u202f]\s*")  # a no-break space alone stays
PIECE = re.compile(r"[^ 。、！？，；：]*[。、！？，；：]+[」』）”]*|[^ 。、！？，；：]+")  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: the lines on the screen and how long they stay there."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]

    def block(self, point: str, escaped: Callable[[str], str]) -> str:
        """Return it as both subtitle formats write it."""
        times = f"{clock(self.start_ms, point)} --> {clock(self.end_ms, point)}"
        return "\n".join([times, *map(escaped, self.lines), ""])


class Piece(NamedTuple):
    """A slice of a text, and when it was said."""

    start: int
    end: int
    start_ms: int
    end_ms: int


def cues(transcript: Transcript) -> list[Cue]:
    """Return the subtitles in order; none overlaps another, none is shorter than 1 ms."""
    found: list[Cue] = []
    for cue in (c for segment in transcript.spoken for c in cues_of(segment)):
        start_ms = max(cue.start_ms, 0)
        if found:
            last = found[-1]
            found[-1] = replace(last, end_ms=max(last.start_ms + 1, min(last.end_ms, start_ms)))
            start_ms = max(start_ms, found[-1].end_ms)
        found.append(Cue(start_ms, max(cue.end_ms, start_ms + 1), cue.lines))
    return found


def cues_of(segment: Segment) -> list[Cue]:
    """Return one segment as subtitles: a single one, of any length, if its words have no times."""
    text = plain(segment.text)
    pieces = pieces_of(segment, text)
    if not pieces:
        lines = tuple(textwrap.wrap(text, LINE_CHARACTERS, break_on_hyphens=False))
        return [Cue(segment.start_ms, segment.end_ms, lines)] if lines else []
    groups: list[list[Piece]] = []
    for piece in pieces:
        group = [*groups[-1], piece] if groups else []
        fits = 0 < len(lines_of(group, text)) <= CUE_LINES
        if (
            fits
            and piece.end_ms - group[0].start_ms <= CUE_MS
            and piece.start_ms - group[-2].end_ms < PAUSE_MS
        ):
            groups[-1] = group
        else:
            groups.append([piece])
    ends = [min(g[-1].end_ms, g[0].start_ms + CUE_MS) for g in groups]
    return [Cue(g[0].start_ms, end, lines_of(g, text)) for g, end in zip(groups, ends, strict=True)]


def lines_of(pieces: list[Piece], text: str) -> tuple[str, ...]:
    """Return the pieces as lines, each as full as it can be."""
    spans: list[tuple[int, int]] = []
    for piece in pieces:
        if spans and piece.end - spans[-1][0] <= LINE_CHARACTERS:
            spans[-1] = (spans[-1][0], piece.end)
        else:
            spans.append((piece.start, piece.end))
    return tuple(text[start:end] for start, end in spans)


def pieces_of(segment: Segment, text: str) -> list[Piece]:
    """Return the pieces that make up the text, or none where most of them would have no time."""
    heard: dict[int, tuple[int, int]] = {}  # where a word begins in the text: its times
    at = missed = 0
    for word in segment.words:
        wanted = plain(word.text)
        found = text.find(wanted, at, at + missed + len(wanted) + SEARCH_CHARACTERS)
        if wanted and found >= 0:
            heard[found] = (word.start_ms, word.end_ms)
            at, missed = found + len(wanted), 0
        else:
            missed += len(wanted) + 1
    pieces: list[Piece] = []
    last_ms, untimed = segment.start_ms, 0
    for match in PIECE.finditer(text):
        start, end = match.span()
        inside = [i for i in range(start, end) if i in heard]
        lasts_ms = heard[inside[-1]][1] - heard[inside[0]][0] if inside else 0
        # What is too long is cut between its words, but not behind an opening quote.
        long = end - start > LINE_CHARACTERS or lasts_ms > CUE_MS
        inside = [i for i in inside if long and i > start + 1]
        for first, behind in zip([start, *inside], [*inside, end], strict=True):
            times = [heard[i] for i in range(first, behind) if i in heard]
            start_ms = times[0][0] if times else last_ms
            last_ms = max(last_ms, start_ms, times[-1][1] if times else 0)
            untimed += not times
            pieces.append(Piece(first, behind, start_ms, last_ms))
    return pieces if 2 * untimed <= len(pieces) else []


def plain(text: str) -> str:
    """Return the text on one line, without the characters no file may hold."""
    return SPACE.sub(" ", UNWRITABLE.sub("", text)).strip()


def clock(milliseconds: int, point: str = "") -> str:
    """Return HH:MM:SS, with milliseconds behind `point` if one is given."""
    whole, rest = divmod(max(milliseconds, 0), 1000)
    time = f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
    return f"{time}{point}{rest:03}" if point else time
