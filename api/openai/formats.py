"""How OpenAI spells a transcript: as json, text, srt, vtt or verbose_json, and as it comes.

Two of the ten fields of a segment are not known for it: `no_speech_prob` is 0 (what is doubtful
was held back by the engine's gates) and `temperature` is 0; `avg_logprob` is that of its words.
"""

import json
import math
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from api import event_stream
from api.openai.languages import name_of
from engine import writers
from engine.gates import compression_ratio
from engine.transcript import Segment, Transcript, Word

PADDED = ("json", "verbose_json")  # white space before them means nothing
TRANSCRIBE, TRANSLATE = "transcribe", "translate"
AUDIO_TOKENS_PER_S = 10  # as OpenAI counts sound
FRAMES_PER_S = 100  # of `seek`
SIGNS = "%&@#§"  # that are read aloud
LEAST_PROBABILITY = 1e-4
END = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Telling:
    """A transcript, and what must be known to tell it."""

    transcript: Transcript
    tokens_of: Callable[[str], list[int]]  # how the model writes a text
    language: str | None  # what the caller said is spoken
    granularities: frozenset[str]
    task: str = TRANSCRIBE

    @property
    def spoken(self) -> list[Segment]:
        """Return the segments that have something to tell."""
        return [segment for segment in self.transcript.spoken if segment.text]

    @property
    def duration_s(self) -> float:
        """Return how long the file is."""
        return self.transcript.duration_ms / 1000


def write(format: str, telling: Telling) -> bytes:
    """Return the body of the answer."""
    if format == "text":
        return f"{telling.transcript.text}\n".encode(errors="replace")
    if format in ("srt", "vtt"):
        return writers.write(telling.transcript, format)
    content = verbose(telling) if format == "verbose_json" else brief(telling)
    return json.dumps(content, ensure_ascii=False).encode(errors="replace")


def brief(telling: Telling) -> dict[str, Any]:
    """Return the text and little more."""
    return {"text": telling.transcript.text, "usage": duration_of(telling), **warning_of(telling)}


def verbose(telling: Telling) -> dict[str, Any]:
    """Return everything known; `model` and `warning` are of this box, clients skip them."""
    spoken = "en" if telling.task == TRANSLATE else telling.transcript.language or telling.language
    content: dict[str, Any] = {
        "task": telling.task,
        "language": name_of(spoken),
        "duration": telling.duration_s,
        "text": telling.transcript.text,
    }
    if "segment" in telling.granularities:
        content["segments"] = [
            segment_of(number, segment, telling) for number, segment in enumerate(telling.spoken)
        ]
    if "word" in telling.granularities:
        content["words"] = [word_of(word) for segment in telling.spoken for word in segment.words]
    content["usage"] = duration_of(telling)
    return {**content, "model": f"whisper-{telling.transcript.model}", **warning_of(telling)}


def segment_of(number: int, segment: Segment, telling: Telling) -> dict[str, Any]:
    """Return one segment; the texts of all, one behind the other, are the whole text."""
    text = f" {segment.text}"
    return {
        "id": number,
        "seek": segment.start_ms * FRAMES_PER_S // 1000,
        "start": segment.start_ms / 1000,
        "end": segment.end_ms / 1000,
        "text": text,
        "tokens": telling.tokens_of(text),
        "temperature": 0.0,
        "avg_logprob": round(math.log(max(segment.confidence, LEAST_PROBABILITY)), 4),
        "compression_ratio": round(compression_ratio(segment.text), 4),
        "no_speech_prob": 0.0,
    }


def word_of(word: Word) -> dict[str, Any]:
    """Return a word with its times, and without the punctuation round it."""
    return {"word": bare(word.text), "start": word.start_ms / 1000, "end": word.end_ms / 1000}


def bare(text: str) -> str:
    """Return a word without the punctuation round it, unless it is nothing else."""
    inside = [
        i
        for i, character in enumerate(text)
        if character in SIGNS or not unicodedata.category(character).startswith("P")
    ]
    return text[inside[0] : inside[-1] + 1] if inside else text


def duration_of(telling: Telling) -> dict[str, Any]:
    """Return what was used, in seconds."""
    return {"type": "duration", "seconds": math.ceil(telling.duration_s)}


def warning_of(telling: Telling) -> dict[str, str]:
    """Return what the reader must know, such as a file cut short."""
    return {"warning": telling.transcript.warning} if telling.transcript.warning else {}


def delta(segment: Segment, *, first: bool) -> bytes:
    """Return the event of a segment; all deltas, one behind the other, are the whole text."""
    text = segment.text if first else f" {segment.text}"
    return event("transcript.text.delta", delta=text)


def done(telling: Telling) -> bytes:
    """Return the last event."""
    text = telling.transcript.text
    given = math.ceil(telling.duration_s * AUDIO_TOKENS_PER_S)
    made = len(telling.tokens_of(text))
    counted = {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}
    usage = {"type": "tokens", **counted}
    return event("transcript.text.done", text=text, usage=usage, **warning_of(telling))


def event(kind: str, **content: Any) -> bytes:
    """Return an event as OpenAI has it: its name is in the content too."""
    return event_stream.encode(kind, {"type": kind, **content})
