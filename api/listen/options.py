"""What a client of `/v1/listen` asks for in the query, in Deepgram's words.

All values are text, lists are repeated keys, and of anything else given twice the last counts.
What is unknown, or is not of the surface asked (live or files), is ignored as Deepgram does; a
wrong value is refused with its name. Two things are refused whatever their value: `redact` and
`callback`, because silence would be a promise.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from api.listen.query import WHOLE, InvalidOption, Query, truth_of, within, wrong
from appliance.store.search import printable
from engine.incoming import ENCODINGS

OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
LOWEST_RATE, HIGHEST_RATE, MAX_CHANNELS = 4000, 192_000, 8
DEFAULT_MODEL, DEFAULT_LANGUAGE, MULTILINGUAL = "base-general", "en", "multi"
DEFAULT_ENDPOINTING_MS, LONGEST_SILENCE_MS = 10, 60_000
DEFAULT_SPLIT_S, LONGEST_SPLIT_S = 0.8, 60.0
MAX_TERMS, MAX_TERM_LENGTH = 100, 100
MAX_LABELS, MAX_LABEL_LENGTH = 100, 2048
PREFIX = "Failed to deserialize query parameters: "
LIVE_ONLY = frozenset({"interim_results", "endpointing", "utterance_end_ms", "vad_events"})
FILES_ONLY = frozenset({"detect_language", "paragraphs", "utterances", "utt_split"})
LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{1,8})*")
INTENSIFIER, LESS = re.compile(r":-?[0-9.]{1,9}$"), re.compile(r":-[0-9.]{1,9}$")
DECIMAL = re.compile(r"[0-9]{0,9}\.?[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for, checked; the defaults are Deepgram's."""

    model: str = DEFAULT_MODEL  # any name: the truth about the model is told in the answers
    language: str | None = DEFAULT_LANGUAGE  # ISO 639, no region; None: detect
    language_given: bool = False
    multilingual: bool = False  # language=multi
    detect_language: bool = False
    detect_among: tuple[str, ...] = ()  # languages to choose from; none: all
    encoding: str | None = None  # one of ENCODINGS; None: a container, which says it itself
    sample_rate: int | None = None  # of the encoding
    channels: int = 1  # of the encoding
    multichannel: bool = False  # each channel by itself, else mixed down
    interim_results: bool = False
    endpointing_ms: int | None = DEFAULT_ENDPOINTING_MS  # None: disabled
    utterance_end_ms: int | None = None  # None: not asked for
    vad_events: bool = False
    punctuate: bool = False  # also true with smart_format
    smart_format: bool = False
    keyterms: tuple[str, ...] = ()
    extra: dict[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    paragraphs: bool = False
    utterances: bool = False
    utt_split_s: float = DEFAULT_SPLIT_S

    def language_for(self, own: str | None) -> str | None:
        """Return the language to expect, None: the one that is spoken; `own` is the box's setting.

        Deepgram's default counts only where neither the client nor the settings name one.
        """
        if self.detect_language or self.multilingual:
            return None
        return self.language if self.language_given else own or self.language


def parse(query: Iterable[tuple[str, str]], *, live: bool = True) -> Options:
    """Return what the query asks of a live stream, or of a file; raise InvalidOption."""
    ignored = FILES_ONLY if live else LIVE_ONLY
    asked = Query([(name, value) for name, value in query if name not in ignored])
    try:
        return options_of(asked, live)
    except InvalidOption as error:
        raise InvalidOption(f"{PREFIX}{error}") from None


def options_of(query: Query, live: bool) -> Options:
    """Return the options of the parameters."""
    refuse_promises(query)
    language, multilingual = language_of(query)
    detect_language, detect_among = detection_of(query)
    encoding, sample_rate, channels = encoding_of(query, live)
    smart_format = query.flag("smart_format")
    return Options(
        model=query.one("model") or DEFAULT_MODEL,
        language=language,
        language_given=query.one("language") is not None,
        multilingual=multilingual,
        detect_language=detect_language,
        detect_among=detect_among,
        encoding=encoding,
        sample_rate=sample_rate,
        channels=channels,
        multichannel=query.flag("multichannel"),
        interim_results=query.flag("interim_results"),
        endpointing_ms=endpointing_of(query),
        utterance_end_ms=query.whole("utterance_end_ms", 0, LONGEST_SILENCE_MS) or None,
        vad_events=query.flag("vad_events"),
        punctuate=query.flag("punctuate") or smart_format,
        smart_format=smart_format,
        keyterms=terms([*query.every("keyterm"), *keywords_of(query)]),
        extra=extra_of(query),
        tags=labels(query, "tag"),
        paragraphs=query.flag("paragraphs"),
        utterances=query.flag("utterances"),
        utt_split_s=split_of(query),
    )


def refuse_promises(query: Query) -> None:
    """Refuse what people would rely on, and this box can't do or won't."""
    for value in query.every("redact"):
        if truth_of(value) is not False:
            raise wrong("redact", value, "this box can't redact; leave it out and redact the text")
    if query.every("callback"):  # its value may hold a password
        raise InvalidOption(
            "callback: this box calls no address that a request names; wait for the answer"
        )


def language_of(query: Query) -> tuple[str | None, bool]:
    """Return the language without its region, and whether several are to be expected."""
    value = query.one("language")
    if value is None:
        return DEFAULT_LANGUAGE, False
    if value.lower() == MULTILINGUAL:
        return None, True
    tag = LANGUAGE.fullmatch(value)
    if tag is None:
        raise wrong("language", value, "want a language such as en, en-US or de, or multi")
    return tag[1].lower(), False


def detection_of(query: Query) -> tuple[bool, tuple[str, ...]]:
    """Return whether to detect the language, and the languages to choose from, if any is named."""
    values = query.every("detect_language")
    for value in values:
        if truth_of(value) is None and not LANGUAGE.fullmatch(value):
            raise wrong("detect_language", value, "want true, false or languages such as en")
    tags = (LANGUAGE.fullmatch(value) for value in values if truth_of(value) is None)
    among = tuple(dict.fromkeys(tag[1].lower() for tag in tags if tag))
    return any(truth_of(value) is not False for value in values), among


def encoding_of(query: Query, live: bool) -> tuple[str | None, int | None, int]:
    """Return encoding, sample rate and channels; without an encoding the others mean nothing."""
    value = query.one("encoding")
    if value is None:
        return None, None, 1
    encoding = value.lower()
    if encoding not in ENCODINGS:
        raise wrong("encoding", value, f"want one of {', '.join(ENCODINGS)}; none for containers")
    rate = query.whole("sample_rate", LOWEST_RATE, HIGHEST_RATE)
    if rate is None and live:
        raise InvalidOption(f"sample_rate is missing: encoding '{encoding}' needs it")
    if encoding == "opus" and rate is not None and rate not in OPUS_RATES:
        raise wrong("sample_rate", str(rate), f"opus has one of {', '.join(map(str, OPUS_RATES))}")
    return encoding, rate, query.whole("channels", 1, MAX_CHANNELS) or 1


def endpointing_of(query: Query) -> int | None:
    """Return how much silence ends an utterance; None if none does."""
    value = query.one("endpointing")
    truth = None if value is None else truth_of(value)
    if value is None or truth is not None:
        return None if truth is False else DEFAULT_ENDPOINTING_MS
    if not WHOLE.fullmatch(value) or int(value) > LONGEST_SILENCE_MS:
        wanted = f"want true, false or milliseconds from 0 to {LONGEST_SILENCE_MS}"
        raise wrong("endpointing", value, wanted)
    return int(value)


def split_of(query: Query) -> float:
    """Return the pause that splits utterances of a file."""
    value = query.one("utt_split")
    if value is None:
        return DEFAULT_SPLIT_S
    seconds = float(value) if DECIMAL.fullmatch(value) else math.inf
    if seconds > LONGEST_SPLIT_S:
        raise wrong("utt_split", value, f"want seconds from 0 to {LONGEST_SPLIT_S:g}")
    return seconds


def keywords_of(query: Query) -> list[str]:
    """Return the keywords that are to be heard more often, without their weights."""
    # a negative weight asks for the opposite
    return [INTENSIFIER.sub("", v) for v in query.every("keywords") if not LESS.search(v)]


def terms(values: Sequence[str]) -> tuple[str, ...]:
    """Return terms as the engine takes them, each once; also those that come mid-stream."""
    lines = (" ".join(printable(value).split()) for value in values)
    found = list(dict.fromkeys(line for line in lines if line))
    return within("keyterm", found, MAX_TERMS, MAX_TERM_LENGTH)


def labels(query: Query, name: str) -> tuple[str, ...]:
    """Return what the client wants to read again in the answer."""
    return within(name, query.every(name), MAX_LABELS, MAX_LABEL_LENGTH)


def extra_of(query: Query) -> dict[str, str]:
    """Return the pairs of `extra`."""
    pairs = {}
    for value in labels(query, "extra"):
        key, colon, text = value.partition(":")
        if not colon or not key:
            raise wrong("extra", value, "want a key and a value such as room:12")
        pairs[key] = text
    return pairs
