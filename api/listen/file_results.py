"""The answer to a file: all that was heard in it, each field where Deepgram's clients look for it.

Plain functions of plain values. What wasn't asked for is left out, as some SDKs want it.
"""

from datetime import datetime
from typing import Any

import msgspec

from api.listen import paragraphs
from api.listen.messages import Model, alternative, moment, seconds
from api.listen.options import Options
from appliance.direct import DirectResult
from engine.transcript import Transcript, Word


def encode(
    result: DirectResult, options: Options, *, request_id: str, sha256: str, created: datetime
) -> bytes:
    """Return the answer as bytes."""
    spoken = [words_of(transcript) for transcript in result.transcripts]
    languages = [transcript.language for transcript in result.transcripts]
    channels = list(zip(spoken, languages, strict=True))
    results: dict[str, Any] = {
        "channels": [channel_of(words, options, language) for words, language in channels]
    }
    if options.utterances:
        found = [
            utterance
            for number, (words, language) in enumerate(channels)
            for utterance in paragraphs.utterances(words, options, number, language)
        ]
        results["utterances"] = sorted(found, key=lambda utterance: float(utterance["start"]))
    return msgspec.json.encode(
        {
            "metadata": metadata(result, options, request_id, sha256, created),
            "results": results,
        }
    )


def metadata(
    result: DirectResult, options: Options, request_id: str, sha256: str, created: datetime
) -> dict[str, Any]:
    """Return what is known of the file and of the model that listened, whichever was asked for."""
    model = Model.of(result.model)
    content: dict[str, Any] = {
        "transaction_key": "deprecated",
        "request_id": request_id,
        "sha256": sha256,
        "created": moment(created),
        "duration": seconds(max(t.duration_ms for t in result.transcripts) / 1000),
        "channels": len(result.transcripts),
        "models": [model.uuid],
        "model_info": {model.uuid: model.described},
    }
    if options.tags:
        content["tags"] = list(options.tags)
    if options.extra:
        content["extra"] = options.extra
    return content


def channel_of(words: list[Word], options: Options, language: str | None) -> dict[str, Any]:
    """Return what was heard in one channel; silence is one empty alternative."""
    content = alternative(words, options, language)
    if options.paragraphs or options.smart_format:
        content["paragraphs"] = paragraphs.paragraphs(words, options, language)
    channel: dict[str, Any] = {"alternatives": [content]}
    if options.detect_language and language is not None:
        channel["detected_language"] = language
    return channel


def words_of(transcript: Transcript) -> list[Word]:
    """Return all words in order; text that could not be laid on the clock is one of its own."""
    words: list[Word] = []
    for segment in transcript.spoken:
        whole = Word(segment.text, segment.start_ms, segment.end_ms, segment.confidence)
        words += segment.words or (whole,)
    return [word for word in words if word.text.strip()]
