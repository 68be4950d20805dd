"""Cut the words of a file into utterances, sentences and paragraphs, as Deepgram's answers do.

Plain functions of plain values.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from api.listen.messages import alternative, seconds
from api.listen.options import Options
from engine.cues import PAUSE_MS
from engine.sentences import SENTENCE_ENDS
from engine.transcript import Word

MOST_SENTENCES = 5  # in a paragraph
CLOSING_MARKS = "\"'”’»)]"  # noqa: RUF001  may follow what ends a sentence


def utterances(
    words: Sequence[Word], options: Options, channel: int, language: str | None
) -> list[dict[str, Any]]:
    """Return stretches of speech between pauses of `utt_split_s` or more."""
    return [
        {
            "id": str(uuid.uuid4()),
            **span(stretch),
            "channel": channel,
            **alternative(stretch, options, language),
        }
        for stretch in at_pauses(words, round(options.utt_split_s * 1000))
    ]


def paragraphs(words: Sequence[Word], options: Options, language: str | None) -> dict[str, Any]:
    """Return the text in paragraphs: a new one after a long pause, or after some sentences."""
    told, texts = [], []
    for paragraph in paragraphs_of(words):
        sentences = [
            {"text": alternative(sentence, options, language)["transcript"], **span(sentence)}
            for sentence in paragraph
        ]
        spoken = [word for sentence in paragraph for word in sentence]
        told.append({"sentences": sentences, **span(spoken), "num_words": len(spoken)})
        texts.append(alternative(spoken, options, language)["transcript"])
    text = "\n" + "\n\n".join(texts) if texts else ""
    return {"transcript": text, "paragraphs": told}


def paragraphs_of(words: Sequence[Word]) -> list[list[list[Word]]]:
    """Return the words as sentences in paragraphs."""
    found: list[list[list[Word]]] = []
    for stretch in at_pauses(words, PAUSE_MS):
        sentences = sentences_of(stretch)
        found += [
            sentences[at : at + MOST_SENTENCES] for at in range(0, len(sentences), MOST_SENTENCES)
        ]
    return found


def sentences_of(words: Sequence[Word]) -> list[list[Word]]:
    """Return the words cut after each that ends a sentence."""
    sentences: list[list[Word]] = []
    ended = True
    for word in words:
        if ended:
            sentences.append([])
        sentences[-1].append(word)
        ended = word.text.strip().rstrip(CLOSING_MARKS).endswith(SENTENCE_ENDS)
    return sentences


def at_pauses(words: Sequence[Word], pause_ms: int) -> list[list[Word]]:
    """Return the words cut at each pause of that length or a longer one."""
    stretches: list[list[Word]] = []
    for word in words:
        if not stretches or word.start_ms - stretches[-1][-1].end_ms >= pause_ms:
            stretches.append([])
        stretches[-1].append(word)
    return stretches


def span(words: Sequence[Word]) -> dict[str, float]:
    """Return where words begin and end."""
    return {"start": seconds(words[0].start_ms / 1000), "end": seconds(words[-1].end_ms / 1000)}
