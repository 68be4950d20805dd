"""What the fields of a form ask for, checked: what is accepted, what is ignored, what is refused.

Ignored, because nothing is promised by it: `model` (any name will do), `temperature`, `include`,
`chunking_strategy`, `languages`, `known_speaker_…`, and every name that is not known.
"""

import re
from dataclasses import dataclass

from api.openai.form import Fields
from api.openai.refusals import InvalidField
from appliance.store.search import printable

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
STREAMED = ("json", "text")
GRANULARITIES = ("word", "segment")
LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{1,8})*")  # a region says nothing here
PROMPT_CHARACTERS = 500  # the last ones; Whisper reads half a window of 448 tokens
MAX_KEYWORDS, MAX_KEYWORD_CHARACTERS = 100, 100
SPECIAL = re.compile(r"<\|.*?\|>")  # the decoder's own signs are no words
MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one caller wants of a file."""

    language: str | None
    hotwords: tuple[str, ...]
    format: str
    granularities: frozenset[str]
    stream: bool


def parse(fields: Fields) -> Wishes:
    """Return what the fields ask for; raise InvalidField."""
    if not last(fields, "model").strip():
        raise InvalidField("the field 'model' is missing; any name will do: whisper-1", "model")
    wanted = last(fields, "response_format") or "json"
    if wanted == "diarized_json":
        raise InvalidField(
            "response_format 'diarized_json': this box does not tell speakers apart; "
            "use verbose_json",
            "response_format",
        )
    if wanted not in FORMATS:
        raise wrong("response_format", wanted, f"want one of {', '.join(FORMATS)}")
    stream = flag(fields, "stream")
    if stream and wanted not in STREAMED:
        raise wrong("response_format", wanted, f"want {' or '.join(STREAMED)} with stream")
    return Wishes(
        language=language_of(fields),
        hotwords=hotwords_of(fields),
        format=wanted,
        granularities=granularities_of(fields, wanted),
        stream=stream,
    )


def language_of(fields: Fields) -> str | None:
    """Return the language; whether the model knows it is the engine's to say."""
    value = last(fields, "language").strip()
    if not value:
        return None
    tag = LANGUAGE.fullmatch(value)
    if tag is None:
        raise wrong("language", value, "want an ISO 639-1 code such as en")
    return tag[1].lower()


def granularities_of(fields: Fields, format: str) -> frozenset[str]:
    """Return what is to have times; segments, if nothing is said."""
    name = "timestamp_granularities"
    values = fields.get(name, [])
    for value in values:
        if value not in GRANULARITIES:
            raise wrong(name, value, f"want {' or '.join(GRANULARITIES)}")
    if values and format != "verbose_json":
        raise InvalidField(f"{name}: they need response_format verbose_json", name)
    return frozenset(values or ("segment",))


def hotwords_of(fields: Fields) -> tuple[str, ...]:
    """Return what is to be expected: the end of the prompt, and the keywords."""
    prompt = plain(last(fields, "prompt"))
    if len(prompt) > PROMPT_CHARACTERS:
        prompt = prompt[-PROMPT_CHARACTERS:].partition(" ")[2]  # no torn word
    keywords = [word for value in fields.get("keywords", []) if (word := plain(value))]
    if len(keywords) > MAX_KEYWORDS:
        raise InvalidField(
            f"keywords: {len(keywords)} of them; want {MAX_KEYWORDS} at most", "keywords"
        )
    for word in keywords:
        if len(word) > MAX_KEYWORD_CHARACTERS:
            raise wrong("keywords", word, f"want {MAX_KEYWORD_CHARACTERS} characters at most")
    return tuple(filter(None, (prompt, *keywords)))


def plain(text: str) -> str:
    """Return text on one line, without what the decoder would take for its own signs."""
    return " ".join(printable(SPECIAL.sub(" ", text)).split())


def flag(fields: Fields, name: str) -> bool:
    """Return whether it is true."""
    value = last(fields, name).lower()
    if value not in ("", "true", "false", "1", "0"):
        raise wrong(name, value, "want true or false")
    return value in ("true", "1")


def last(fields: Fields, name: str) -> str:
    """Return a field's value, the last one if it is repeated; "" if it is not there."""
    return fields.get(name, [""])[-1]


def wrong(name: str, value: str, wanted: str) -> InvalidField:
    """Return what is wrong with a value, without repeating all of a long one."""
    shown = value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…"
    return InvalidField(f"{name} {shown!r}: {wanted}", name)
