"""The query of `/v1/listen`: what Deepgram's clients send is understood, what is wrong is named."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from api.listen.options import ENCODINGS, Options, parse, terms
from api.listen.query import InvalidOption

RAW = [("encoding", "linear16"), ("sample_rate", "16000")]
NAMES = (
    "model", "language", "encoding", "sample_rate", "channels", "multichannel", "interim_results",
    "endpointing", "utterance_end_ms", "vad_events", "punctuate", "smart_format", "keyterm",
    "keywords", "extra", "tag", "paragraphs", "utterances", "utt_split", "detect_language",
    "redact", "callback",
)  # fmt: skip
VALUES = some.one_of(
    some.text(),
    some.integers().map(str),
    some.floats().map(str),
    some.sampled_from(("true", "False", "en-US", "multi", "opus", "k:v", "word:-2", "٣", "\0")),
)


def refused(*pairs, live=True):
    """Return why a query is refused."""
    with pytest.raises(InvalidOption) as caught:
        parse(pairs, live=live)
    return str(caught.value)


def test_nothing_asked_is_what_deepgram_takes_it_for():
    assert parse([]) == Options()
    asked = parse([])
    assert (asked.language, asked.language_given, asked.multilingual) == ("en", False, False)
    assert (asked.endpointing_ms, asked.utterance_end_ms) == (10, None)
    assert (asked.encoding, asked.sample_rate, asked.channels) == (None, None, 1)
    assert (asked.utt_split_s, asked.model) == (0.8, "base-general")


def test_what_the_sdk_sends_for_a_dictation_is_understood():
    asked = parse(
        [
            ("model", "nova-3"), ("language", "en-US"), *RAW, ("channels", "2"),
            ("multichannel", "True"), ("interim_results", "true"), ("endpointing", "300"),
            ("utterance_end_ms", "1000"), ("vad_events", "TRUE"), ("smart_format", "true"),
            ("keyterm", "office kitchen"), ("keyterm", "Tuesday"), ("extra", "room:12:b"),
            ("tag", "one"), ("tag", "two"),
        ]
    )  # fmt: skip
    assert asked == Options(
        model="nova-3", language="en", language_given=True, encoding="linear16",
        sample_rate=16000, channels=2, multichannel=True, interim_results=True,
        endpointing_ms=300, utterance_end_ms=1000, vad_events=True, punctuate=True,
        smart_format=True, keyterms=("office kitchen", "Tuesday"), extra={"room": "12:b"},
        tags=("one", "two"),
    )  # fmt: skip


def test_what_is_unknown_or_of_no_account_here_is_ignored():
    unknown = ("version", "no_delay", "filler_words", "numerals", "mip_opt_out", "language_hint")
    pairs = [(name, "x") for name in (*unknown, "callback_method", "diarize", "made_up", "")]
    assert parse(pairs) == parse(pairs, live=False) == Options()


def test_a_stream_ignores_what_is_for_files_and_a_file_what_is_for_streams():
    for_files = [("utterances", "x"), ("paragraphs", "x"), ("utt_split", "x")]
    assert parse([*for_files, ("detect_language", "?")]) == Options()
    for_streams = [("endpointing", "x"), ("utterance_end_ms", "x"), ("vad_events", "x")]
    assert parse([*for_streams, ("interim_results", "x")], live=False) == Options()


@pytest.mark.parametrize(
    ("said", "language", "multilingual"),
    [
        ("en", "en", False), ("en-US", "en", False), ("pt-BR", "pt", False),
        ("zh-TW", "zh", False), ("zh-Hant-TW", "zh", False), ("DE", "de", False),
        ("es_419", "es", False), ("multi", None, True), ("Multi", None, True),
    ],
)  # fmt: skip
def test_a_language_loses_its_region(said, language, multilingual):
    asked = parse([("language", said)])
    assert (asked.language, asked.multilingual) == (language, multilingual)
    assert asked.language_given


@pytest.mark.parametrize(
    ("said", "silence_ms"),
    [("true", 10), ("false", None), ("False", None), ("0", 0), ("60000", 60000)],
)
def test_endpointing_is_a_truth_or_milliseconds(said, silence_ms):
    assert parse([("endpointing", said)]).endpointing_ms == silence_ms


def test_an_utterance_end_of_nought_is_none():
    assert parse([("utterance_end_ms", "0")]).utterance_end_ms is None


def test_smart_format_punctuates_and_punctuate_does_not_format_smartly():
    assert parse([("smart_format", "true"), ("punctuate", "false")]).punctuate
    asked = parse([("punctuate", "true")])
    assert asked.punctuate and not asked.smart_format


def test_rate_and_channels_mean_nothing_without_an_encoding():
    asked = parse([("sample_rate", "1"), ("channels", "99")])
    assert (asked.sample_rate, asked.channels) == (None, 1)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_of_a_stream_needs_its_rate(encoding):
    assert parse([("encoding", encoding), ("sample_rate", "48000")]).encoding == encoding
    assert "sample_rate is missing" in refused(("encoding", encoding))
    assert parse([("encoding", encoding)], live=False).sample_rate is None


@pytest.mark.parametrize("encoding", ["speex", "g729", "mp3", ""])
def test_another_encoding_is_refused_with_those_there_are(encoding):
    said = refused(("encoding", encoding), ("sample_rate", "8000"))
    assert repr(encoding) in said and ", ".join(ENCODINGS) in said


@pytest.mark.parametrize(
    "pair",
    [
        ("punctuate", "yes"), ("punctuate", "1"), ("interim_results", ""), ("multichannel", "on"),
        ("smart_format", "tru"), ("vad_events", "2"), ("endpointing", "-1"),
        ("endpointing", "60001"), ("endpointing", "10.5"), ("utterance_end_ms", "true"),
        ("utterance_end_ms", "60001"), ("language", ""), ("language", "e"), ("language", "en us"),
        ("language", "english"), ("extra", "no colon"), ("extra", ":v"), ("keyterm", "x" * 101),
        ("keywords", "x" * 101 + ":2"), ("tag", "x" * 2049), ("extra", "k:" + "x" * 2047),
    ],
    ids=lambda pair: f"{pair[0]}={pair[1][:12]}",
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_parameter(pair):
    said = refused(pair)
    name, value = pair
    assert said.startswith("Failed to deserialize query parameters: ")
    assert name.replace("keywords", "keyterm") in said and value[:60] in said and "want" in said
    assert len(said) < 250


@pytest.mark.parametrize(
    "pair",
    [
        ("sample_rate", "3999"), ("sample_rate", "192001"), ("sample_rate", "16k"),
        ("sample_rate", "١٦٠٠٠"), ("sample_rate", "9" * 5000), ("channels", "0"),
        ("channels", "9"), ("channels", "two"),
    ],
    ids=lambda pair: f"{pair[0]}={pair[1][:12]}",
)  # fmt: skip
def test_a_wrong_form_of_the_sound_is_named(pair):
    assert pair[0] in refused(*RAW, pair)


def test_opus_has_rates_of_its_own():
    assert "8000, 12000, 16000, 24000, 48000" in refused(
        ("encoding", "opus"), ("sample_rate", "44100")
    )
    asked = parse([("encoding", "Opus"), ("sample_rate", "24000")])
    assert (asked.encoding, asked.sample_rate) == ("opus", 24000)


@pytest.mark.parametrize("value", ["true", "pci", "numbers", "ssn", ""])
def test_redaction_is_refused_whatever_else_is_asked(value):
    said = refused(("redact", "false"), ("redact", value))
    assert "redact" in said and repr(value) in said
    assert parse([("redact", "False")]) == Options()


def test_a_callback_is_refused_and_its_address_not_repeated():
    said = refused(("callback", "https://user:pass@192.168.0.1/hook"))
    assert "callback" in said and "192.168" not in said and "pass" not in said


def test_keywords_lose_their_weights_and_those_to_be_avoided_are_left_out():
    pairs = [
        ("keyterm", "  office \t kitchen "), ("keyterm", ""), ("keyterm", "a:2"),
        ("keywords", "snuffleupagus:2"), ("keywords", "Tuesday"), ("keywords", "b:0.5"),
        ("keywords", "never:-10"), ("keywords", "Tuesday:3"),
    ]  # fmt: skip
    wanted = ("office kitchen", "a:2", "snuffleupagus", "Tuesday", "b")
    assert parse(pairs).keyterms == wanted


def test_there_is_an_end_to_what_is_carried_along():
    many = [(f"k{n}") for n in range(101)]
    assert len(terms(many[:100])) == 100
    assert "101" in refused(*[("keyterm", term) for term in many])
    assert "101" in refused(*[("tag", term) for term in many])
    assert "101" in refused(*[("extra", f"{term}:v") for term in many])


def test_a_long_value_is_not_repeated_whole():
    said = refused(("language", "x" * 60_000))
    assert "x" * 60 + "…" in said and "x" * 61 not in said


def test_of_a_parameter_given_twice_the_last_counts():
    assert parse([("punctuate", "true"), ("punctuate", "false")]).punctuate is False


def test_a_file_has_its_own_options():
    asked = parse(
        [
            ("paragraphs", "true"), ("utterances", "true"), ("utt_split", "1.5"),
            ("detect_language", "true"),
        ],
        live=False,
    )  # fmt: skip
    assert asked.paragraphs and asked.utterances and asked.detect_language
    assert asked.utt_split_s == 1.5
    assert parse([("detect_language", "en"), ("detect_language", "de")], live=False).detect_language
    assert not parse([("detect_language", "false")], live=False).detect_language


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "60.1", "1e3", "", ".", "٣"])
def test_a_split_that_is_no_time_is_refused(value):
    assert "utt_split" in refused(("utt_split", value), live=False)


def test_a_value_made_to_be_slow_is_not():
    slow = ":" + "0" * 60_000 + "x"
    assert "keyterm" in refused(("keywords", slow))
    assert "language" in refused(("language", "aa" + "-a" * 30_000 + "!"))
    assert "utt_split" in refused(("utt_split", "0" * 60_000 + "x"), live=False)


@given(
    some.lists(some.tuples(some.one_of(some.sampled_from(NAMES), some.text()), VALUES)),
    some.booleans(),
)
@example([("extra", ":")], True)
def test_any_query_is_understood_or_refused(query, live):
    try:
        asked = parse(query, live=live)
    except InvalidOption as error:
        assert str(error)
        return
    assert asked.language is not None or asked.multilingual
    assert asked.encoding is None or asked.encoding in ENCODINGS
    assert asked.encoding is None or asked.sample_rate is not None or not live
    assert 1 <= asked.channels <= 8
    assert asked.endpointing_ms is None or 0 <= asked.endpointing_ms <= 60_000
    assert 0 <= asked.utt_split_s <= 60
    assert all(term.strip() == term and term for term in asked.keyterms)
