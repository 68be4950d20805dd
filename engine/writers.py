"""Turn a transcript into a file a reader, a player or a program opens; called by API and CLI.

A *paragraph* is segments without a pause between them.
"""

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from engine.cues import PAUSE_MS, clock, cues, plain
from engine.transcript import Segment, Transcript, Word

MARKDOWN_SPECIAL = re.compile(r"[\\`*_\[\]<~]|&(?=#?\w+;)")


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: its media type, its extension without a dot, and what makes its bytes."""

    media_type: str
    extension: str
    write: Callable[[Transcript, str, str | None], bytes]


def write(
    transcript: Transcript, format: str, title: str = "Transcript", note: str | None = None
) -> bytes:
    """Return the transcript as a file of the given format.

    A `note`, the text as people want it read, takes the place of what was said where the format
    is for reading: txt, md and docx.
    """
    if format not in FORMATS:
        raise ValueError(f"no format {format!r}: use one of {', '.join(FORMATS)}")
    return FORMATS[format].write(transcript, title, note)


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
        "engineReason": segment.engine_reason,
    }


def times_of(spoken: Segment | Word) -> dict[str, Any]:
    """Return start and end in seconds."""
    return {"start": round(spoken.start_ms / 1000, 3), "end": round(spoken.end_ms / 1000, 3)}


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


def reading(transcript: Transcript, note: str | None) -> list[tuple[str, str]]:
    """Return `[time] ` and text of each paragraph; no times where an edited note has others."""
    timed = paragraphs(transcript)
    texts = [text for _, text in timed]
    if note is not None:
        texts = [text for text in map(plain, re.split(r"\n\s*\n", note)) if text]
    if len(texts) != len(timed):
        return [("", text) for text in texts]
    return [(f"[{clock(ms)}] ", text) for (ms, _), text in zip(timed, texts, strict=True)]


def write_txt(transcript: Transcript, title: str, note: str | None = None) -> bytes:
    """Return one line a paragraph, a blank line between two."""
    return "\n".join(f"{text}\n" for _, text in reading(transcript, note)).encode()


def write_srt(transcript: Transcript, title: str, note: str | None = None) -> bytes:
    """Return SubRip subtitles; the format knows no escapes, so an arrow of ASCII becomes one."""
    blocks = (c.block(",", lambda line: line.replace("-->", "→")) for c in cues(transcript))
    return "\n".join(f"{number}\n{block}" for number, block in enumerate(blocks, 1)).encode()


def write_vtt(transcript: Transcript, title: str, note: str | None = None) -> bytes:
    """Return WebVTT subtitles."""
    blocks = [c.block(".", lambda line: escape(line, quote=False)) for c in cues(transcript)]
    return "\n".join(["WEBVTT\n", *blocks]).encode()


def write_json(transcript: Transcript, title: str, note: str | None = None) -> bytes:
    """Return everything known of the transcript, what was suppressed included."""
    text = json.dumps(as_dict(transcript), ensure_ascii=False, indent=2) + "\n"
    return text.encode(errors="replace")  # a lone surrogate has no UTF-8


def write_md(transcript: Transcript, title: str, note: str | None = None) -> bytes:
    """Return Markdown: heading, facts, and each paragraph behind its time."""

    def escaped(text: str) -> str:
        return MARKDOWN_SPECIAL.sub(r"\\\g<0>", plain(text))

    blocks = [f"# {escaped(title).replace('#', chr(92) + '#')}", facts(transcript)]
    if transcript.warning:
        blocks.append(f"> {escaped(transcript.warning)}")
    blocks += [f"{time}{escaped(text)}" for time, text in reading(transcript, note)]
    return "\n\n".join(blocks).encode() + b"\n"


def write_docx(transcript: Transcript, title: str, note: str | None = None) -> bytes:
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
    for time, text in reading(transcript, note):
        document.add_paragraph(time).add_run(text)
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
