"""Turn a transcript into a file a reader, a player or a program opens; called by API and CLI.

A *piece* is what a subtitle is never cut within: a word with its punctuation, or, in a script
without spaces, a clause. A *paragraph* is segments without a pause between them.
"""

import io
import json
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from typing import Any, NamedTuple

from engine.transcript import Segment, Transcript, Word

LINE_CHARACTERS = 42
CUE_LINES = 2
CUE_MS = 7_000
PAUSE_MS = 2_000  # silence that begins a new paragraph or cue
SEARCH_CHARACTERS = 16  # a word further ahead than this is another of the same spelling
UNWRITABLE = re.compile("[\x00-\x08\x0e-\x1b\x7f\ud800-\udfff\ufffe\uffff]")  # XML forbids most
SPACE = re.compile(r"\s*[^\S\xa0\u2007\u202f]\s*")  # a no-break space alone stays
PIECE = re.compile(r"[^ 。、！？，；：]*[。、！？，；：]+[」』）”]*|[^ 。、！？，；：]+")  # noqa: RUF001
MARKDOWN_SPECIAL = re.compile(r"[\\`*_\[\]<~]|&(?=#?\w+;)")


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: its media type, its extension without a dot, and what makes its bytes."""

    media_type: str
    extension: str
    write: Callable[[Transcript, str], bytes]


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


def write(transcript: Transcript, format: str, title: str = "Transcript") -> bytes:
    """Return the transcript as a file of the given format."""
    if format not in FORMATS:
        raise ValueError(f"no format {format!r}: use one of {', '.join(FORMATS)}")
    return FORMATS[format].write(transcript, title)


def as_dict(transcript: Transcript) -> dict[str, Any]:
    """Return the transcript as JSON spells it; suppressed segments apart, with the reason."""
    held = transcript.suppressed
    return {
        "model": transcript.model,
        "language": transcript.language,
        "durationSeconds": round(transcript.duration_ms / 1000, 3),
        "text": transcript.text,
        "segments": [segment_as_dict(s) for s in transcript.spoken],
        "suppressed": [segment_as_dict(s) | {"reason": s.suppressed} for s in held],
    } | ({"warning": transcript.warning} if transcript.warning else {})


def segment_as_dict(segment: Segment) -> dict[str, Any]:
    """Return one segment as JSON spells it."""
    return times_of(segment) | {
        "text": segment.text,
        "words": [
            {"word": w.text} | times_of(w) | {"probability": round(float(w.probability), 3)}
            for w in segment.words
        ],
        "confidence": round(float(segment.confidence), 3),
        "engine": segment.engine,
    }


def times_of(spoken: Segment | Word) -> dict[str, Any]:
    """Return start and end in seconds."""
    return {"start": round(spoken.start_ms / 1000, 3), "end": round(spoken.end_ms / 1000, 3)}


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


def paragraphs(transcript: Transcript) -> list[tuple[int, str]]:
    """Return start and text of each paragraph."""
    found: list[tuple[int, str]] = []
    end_ms = 0
    for segment in transcript.spoken:
        text = plain(segment.text)
        if text and found and segment.start_ms - end_ms < PAUSE_MS:
            found[-1] = (found[-1][0], f"{found[-1][1]} {text}")
        elif text:
            found.append((segment.start_ms, text))
        end_ms = max(end_ms, segment.end_ms) if text else end_ms
    return found


def plain(text: str) -> str:
    """Return the text on one line, without the characters no file may hold."""
    return SPACE.sub(" ", UNWRITABLE.sub("", text)).strip()


def clock(milliseconds: int, point: str = "") -> str:
    """Return HH:MM:SS, with milliseconds behind `point` if one is given."""
    whole, rest = divmod(max(milliseconds, 0), 1000)
    time = f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
    return f"{time}{point}{rest:03}" if point else time


def write_txt(transcript: Transcript, title: str) -> bytes:
    """Return one line a paragraph, a blank line between two."""
    return "\n".join(f"{text}\n" for _, text in paragraphs(transcript)).encode()


def write_srt(transcript: Transcript, title: str) -> bytes:
    """Return SubRip subtitles; the format knows no escapes, so an arrow of ASCII becomes one."""
    blocks = (c.block(",", lambda line: line.replace("-->", "→")) for c in cues(transcript))
    return "\n".join(f"{number}\n{block}" for number, block in enumerate(blocks, 1)).encode()


def write_vtt(transcript: Transcript, title: str) -> bytes:
    """Return WebVTT subtitles."""
    blocks = [c.block(".", lambda line: escape(line, quote=False)) for c in cues(transcript)]
    return "\n".join(["WEBVTT\n", *blocks]).encode()


def write_json(transcript: Transcript, title: str) -> bytes:
    """Return everything known of the transcript, what was suppressed included."""
    text = json.dumps(as_dict(transcript), ensure_ascii=False, indent=2) + "\n"
    return text.encode(errors="replace")  # a lone surrogate has no UTF-8


def write_md(transcript: Transcript, title: str) -> bytes:
    """Return Markdown: heading, facts, and each paragraph behind its time."""

    def escaped(text: str) -> str:
        return MARKDOWN_SPECIAL.sub(r"\\\g<0>", plain(text))

    blocks = [f"# {escaped(title).replace('#', chr(92) + '#')}", facts(transcript)]
    if transcript.warning:
        blocks.append(f"> {escaped(transcript.warning)}")
    blocks += [f"[{clock(ms)}] {escaped(text)}" for ms, text in paragraphs(transcript)]
    return "\n\n".join(blocks).encode() + b"\n"


def write_docx(transcript: Transcript, title: str) -> bytes:
    """Return a Word document: title, facts, and each paragraph behind its time."""
    from docx import Document  # slow to import, and rarely asked for

    document = Document()
    properties = document.core_properties
    properties.title = plain(title)[:255]  # the longest python-docx takes
    properties.author = properties.comments = ""  # its template names python-docx there
    properties.language = transcript.language or ""
    document.add_heading(plain(title), 0)
    document.add_paragraph(facts(transcript))
    if transcript.warning:
        document.add_paragraph().add_run(plain(transcript.warning)).italic = True
    for start_ms, text in paragraphs(transcript):
        document.add_paragraph(f"[{clock(start_ms)}] ").add_run(text)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def facts(transcript: Transcript) -> str:
    """Return duration and language as the line below a title."""
    duration = f"Duration: {clock(transcript.duration_ms)}"
    return f"{duration} · Language: {transcript.language}" if transcript.language else duration


DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
FORMATS = {
    "txt": Format("text/plain; charset=utf-8", "txt", write_txt),
    "srt": Format("application/x-subrip", "srt", write_srt),
    "vtt": Format("text/vtt; charset=utf-8", "vtt", write_vtt),
    "json": Format("application/json", "json", write_json),
    "md": Format("text/markdown; charset=utf-8", "md", write_md),
    "docx": Format(DOCX, "docx", write_docx),
}
