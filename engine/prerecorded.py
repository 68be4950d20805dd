"""Have Deepgram's cloud hear one window of speech: `POST /v1/listen` with the sound as a WAV.

The answer becomes what the engine of the box would give: words on the clock of the window, one
after the other, none beyond its end. An answer that makes no sense is as good as none.
"""

import asyncio
import io
import json
import math
import re
import wave
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from engine.audio import SAMPLE_RATE, Samples
from engine.cloud import Cloud, Post, post
from engine.errors import CloudRefused
from engine.sentences import RawWord, sentences
from engine.transcript import WITHOUT_SPACES, Segment, Word
from engine.whisper import Heard, Request

MODEL = "nova-3"
DEADLINE_S = 30.0  # of the whole: a window is at most 1 MB, and is answered within a second or two
ANSWER_LIMIT_BYTES = 4 << 20
MOST_KEYTERMS, MOST_KEYTERM_CHARACTERS = 100, 2000  # more are refused
MOST_WORDS, MOST_CHARACTERS = 1000, 20_000  # that can be said in a window, and then some
AGAIN = (408, 429)  # as good as no answer: later it may be another
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
LANGUAGE = re.compile(r"([a-z]{2,3})(?:[-_][A-Za-z0-9]+)*")
WHAT_TO_DO = {
    400: "did not take the request or the API key; check SCRIBEBOX_DEEPGRAM_API_KEY",
    401: "did not accept the API key; check SCRIBEBOX_DEEPGRAM_API_KEY",
    402: "has no credit left for the project of this API key; add some in its console",
    403: "lets this API key transcribe nothing; make another and set SCRIBEBOX_DEEPGRAM_API_KEY",
    404: "has no transcription at this address; check SCRIBEBOX_DEEPGRAM_URL",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the cloud heard, and the model that did: "nova-3"."""

    heard: Heard
    model: str


def label_of(model: str) -> str:
    """Return the label of a model of the cloud, as segments carry it."""
    return f"deepgram-{model}"


async def transcribe(
    cloud: Cloud, samples: Samples, request: Request, deadline_s: float = DEADLINE_S
) -> Answer:
    """Return what the cloud hears in a window; raise CloudRefused or CloudUnreachable.

    Asks once: 408, 429, 5xx and no whole answer in time are CloudUnreachable, for a later try.
    """
    cloud.check_key()
    target = f"/v1/listen?{urlencode(query(request))}"
    asked = Post(target, wav(samples), "audio/wav", deadline_s, ANSWER_LIMIT_BYTES)
    answer = await post(cloud, asked, asyncio.get_running_loop().time() + deadline_s)
    if isinstance(answer, str):
        raise cloud.unreachable(answer)
    status, body = answer
    if status in AGAIN:
        raise cloud.unreachable(f"had too much to do: it answered {status}")
    if 400 <= status < 500:
        said = WHAT_TO_DO.get(status, "refused to transcribe; check the API key and its project")
        raise CloudRefused(f"Deepgram answered {status}: it {said}.", status)
    if status != httpx.codes.OK:
        raise cloud.unreachable(f"answered {status}, which is no transcript")
    try:
        return read(body, round(len(samples) * 1000 / SAMPLE_RATE), request.language)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        pass  # raised outside: what it was would take the answer along
    raise cloud.unreachable("answered 200, but without a transcript that can be used")


def query(request: Request) -> list[tuple[str, str]]:
    """Return the parameters that ask for what the request wants."""
    asked = [("model", MODEL), ("punctuate", "true"), ("smart_format", "true")]
    if request.language is not None:
        asked.append(("language", request.language))
    else:
        asked += [("detect_language", code) for code in request.among or ("true",)]
    left = MOST_KEYTERM_CHARACTERS
    for word in request.hotwords[:MOST_KEYTERMS]:
        left -= len(word)
        if left >= 0:
            asked.append(("keyterm", word))
    return asked


def wav(samples: Samples) -> bytes:
    """Return the samples as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(SAMPLE_RATE)
        written.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def read(body: bytes, window_ms: int, language: str | None) -> Answer:
    """Return what the JSON says of a window; raise whatever comes of one that doesn't."""
    said = json.loads(body.decode())
    channel = said["results"]["channels"][0]
    best = channel["alternatives"][0]
    words, text = best["words"], printable(best["transcript"])
    if not isinstance(words, list) or len(words) > MOST_WORDS or len(text) > MOST_CHARACTERS:
        raise ValueError("that is no list of the words of a window")
    model = model_of(said)
    language = language or code_of(channel.get("detected_language"))
    if not text:
        return Answer(Heard((), language or ""), model)
    if language is None:
        raise ValueError("text of an unknown language")
    raw = raw_words(words, window_ms, "" if language in WITHOUT_SPACES else " ")
    segments = sentences(raw, label_of(model))
    if not segments:  # text without times is text all the same
        score = share(best.get("confidence", 0))
        segments = [Segment(0, window_ms, text, (), label_of(model), score)]
    return Answer(Heard(tuple(segments), language), model)


def raw_words(words: list[Any], window_ms: int, space: str) -> list[RawWord]:
    """Return the words of the answer within the window, each after the one before."""
    found: list[RawWord] = []
    after_ms = 0
    for word in words:
        text = printable(word.get("punctuated_word") or word["word"])
        if not text:
            continue
        start_ms = min(max(milliseconds(word["start"]), after_ms), window_ms)
        end_ms = min(max(milliseconds(word["end"]), start_ms), window_ms)
        score = share(word.get("confidence", 0))
        found.append((space + text, Word(text, start_ms, end_ms, score)))
        after_ms = end_ms
    return found


def model_of(said: dict[str, Any]) -> str:
    """Return the model that the answer names, else the one that was asked for."""
    metadata = said.get("metadata")
    known = metadata.get("model_info") if isinstance(metadata, dict) else None
    for told in known.values() if isinstance(known, dict) else ():
        name = told.get("arch") if isinstance(told, dict) else None
        if isinstance(name, str) and NAME.fullmatch(name):
            return name
    return MODEL


def code_of(language: Any) -> str | None:
    """Return the ISO 639 code of a language tag, None if it is none."""
    match = LANGUAGE.fullmatch(language) if isinstance(language, str) else None
    return match[1] if match else None


def printable(text: Any) -> str:
    """Return a text on one line without what can't be shown or stored."""
    if not isinstance(text, str):
        raise TypeError("that is no text")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def milliseconds(seconds: Any) -> int:
    """Return a time of the answer."""
    if isinstance(seconds, bool) or not math.isfinite(seconds):
        raise ValueError("that is no time")
    return round(float(seconds) * 1000)


def share(number: Any) -> float:
    """Return a probability of the answer, 0..1."""
    if isinstance(number, bool) or not math.isfinite(number):
        raise ValueError("that is no probability")
    return round(min(max(float(number), 0.0), 1.0), 3)
