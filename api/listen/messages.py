"""What a live stream says to its client: Deepgram's messages, each with every field.

Some SDKs end at the first message that lacks a field or has a type they don't know, so there are
four kinds, and two more only for clients that sent `Configure`. Plain functions of plain values.
"""

import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

from api.listen.options import Options
from engine import models
from engine.transcript import WITHOUT_SPACES, Word

ARCHITECTURE = "whisper"
NAMESPACE = uuid.UUID("5f3b2f0e-6d0a-5b0e-9a53-6f1f0c8f4d11")
KEPT_SIGNS = "%‰&@#§"  # punctuation to Unicode, words to a reader
NUMBER_LEADS = ("-", ".", "-.")  # -5 and .5 are not 5
LIMIT_EXCEEDED = "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
INTERNAL_ERROR = "CONFIGURE_INTERNAL_ERROR"

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """The model that really listens, whichever one was asked for."""

    name: str  # "whisper-tiny.en"
    version: str

    @classmethod
    def of(cls, installed: models.Model) -> "Model":
        """Return it as clients know it; its version is the beginning of its digest."""
        return cls(installed.label, installed.digests["model.bin"][:12])

    @property
    def uuid(self) -> str:
        """Return the same number for the same model on every box."""
        return str(uuid.uuid5(NAMESPACE, f"{self.name} {self.version}"))

    @property
    def described(self) -> Message:
        """Return what is known of it."""
        return {"name": self.name, "version": self.version, "arch": ARCHITECTURE}


def results(
    words: Sequence[Word],
    *,
    start_s: float,
    duration_s: float,
    is_final: bool,
    speech_final: bool,
    from_finalize: bool,
    channel: int,
    channels: int,
    options: Options,
    model: Model,
    request_id: str,
    language: str | None = None,
) -> Message:
    """Return what was heard in a stretch of sound; `language` is the detected one, if known."""
    metadata: Message = {
        "request_id": request_id,
        "model_info": model.described,
        "model_uuid": model.uuid,
    }
    if options.extra:
        metadata["extra"] = options.extra
    return {
        "type": "Results",
        "channel_index": [channel, channels],
        "duration": seconds(duration_s),
        "start": seconds(start_s),
        "is_final": is_final,
        "speech_final": speech_final,
        "channel": {"alternatives": [alternative(words, options, language)]},
        "metadata": metadata,
        "from_finalize": from_finalize,
    }


def alternative(words: Sequence[Word], options: Options, language: str | None = None) -> Message:
    """Return words as a transcript; silence is an empty one. Files have the same."""
    told = [described(w, options, language) for w in words if w.text.strip()]
    shown = "punctuated_word" if options.punctuate else "word"
    apart = "" if (language or options.language) in WITHOUT_SPACES else " "
    content: Message = {
        "transcript": apart.join(word[shown] for word in told),
        "confidence": round(fmean(w["confidence"] for w in told), 4) if told else 0.0,
        "words": told,
    }
    if told and options.multilingual and language:
        content["languages"] = [language]
    return content


def described(word: Word, options: Options, language: str | None = None) -> Message:
    """Return one word on the clock of the stream."""
    start = seconds(word.start_ms / 1000)
    content: Message = {
        "word": bare(word.text),
        "start": start,
        "end": max(start, seconds(word.end_ms / 1000)),
        "confidence": round(min(1.0, max(0.0, word.probability)), 4),
    }
    if options.multilingual and language:
        content["language"] = language
    if options.punctuate:
        content["punctuated_word"] = word.text.strip()
    return content


def metadata(
    *,
    request_id: str,
    created: datetime,
    duration_s: float,
    channels: int,
    model: Model | None,
    options: Options,
) -> Message:
    """Return the last message of a stream; `model` is None if it brought no sound."""
    content: Message = {
        "type": "Metadata",
        "transaction_key": "deprecated",
        "request_id": request_id,
        "sha256": "incomplete",
        "created": moment(created),
        "duration": seconds(duration_s),
        "channels": channels,
    }
    if model is not None:
        content |= {"models": [model.uuid], "model_info": {model.uuid: model.described}}
    if options.extra:
        content["extra"] = options.extra
    return content


def speech_started(*, channel: int, channels: int, timestamp_s: float) -> Message:
    """Return that somebody begins to speak."""
    return {
        "type": "SpeechStarted",
        "channel": [channel, channels],
        "timestamp": seconds(timestamp_s),
    }


def utterance_end(*, channel: int, channels: int, last_word_end_s: float) -> Message:
    """Return that nothing more came after the last word for as long as the client asked."""
    return {
        "type": "UtteranceEnd",
        "channel": [channel, channels],
        "last_word_end": seconds(last_word_end_s),
    }


def configure_success(*, request_id: str, keyterms: Sequence[str] | None = None) -> Message:
    """Return that `Configure` is in force, with the terms if it changed them."""
    content: Message = {"type": "ConfigureSuccess", "request_id": request_id}
    return content if keyterms is None else {**content, "keyterms": list(keyterms)}


def configure_failure(*, request_id: str, code: str, description: str) -> Message:
    """Return why `Configure` is not; all is as it was."""
    return {
        "type": "ConfigureFailure",
        "request_id": request_id,
        "code": code,
        "description": description,
    }


def bare(text: str) -> str:
    """Return a word in lower case and without the punctuation around it.

    What is inside stays (don't, twenty-one, 3.5), and so does what is nothing but punctuation.
    """
    text = text.strip()
    inner = [i for i, character in enumerate(text) if not is_edge(character)]
    if not inner:
        return text.lower()
    first, last = inner[0], inner[-1]
    if text[:first] in NUMBER_LEADS and text[first].isdigit():
        first = 0
    return text[first : last + 1].lower()


def is_edge(character: str) -> bool:
    """Tell whether a character is no part of a word when it stands before or after it."""
    punctuation = unicodedata.category(character).startswith("P") and character not in KEPT_SIGNS
    return punctuation or character.isspace()


def seconds(value: float) -> float:
    """Return a time as clients read it: to the millisecond, never negative, never an integer."""
    return max(0.0, round(float(value), 3))


def moment(at: datetime) -> str:
    """Return a moment as ISO 8601 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
