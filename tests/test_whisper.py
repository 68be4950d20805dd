import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from running_box import clean_environment
from speech_fixtures import fixture, hiss, words_wrong

from engine.audio import SAMPLE_RATE, read
from engine.decoding import Decoding
from engine.errors import LanguageUnsupported
from engine.gates import Decoded, Gates
from engine.sentences import segments_of
from engine.transcript import Word
from engine.whisper import Request, check_language
from engine.windows import window_of
from engine.worker import Priority

WAIT_S = 120


def hear(worker, samples, request=None):
    return worker.submit(samples, request or Request(), Priority.LIVE).result(WAIT_S)


def text_of(heard):
    return " ".join(segment.text for segment in heard.segments if segment.suppressed is None)


def decoded(text):
    return Decoded((1, 2), text, -0.2, 0.0, capped=False, seconds=2.0)


def timed(text, *spans):
    """Return the words of a text as Whisper gives them, from one span (ms) each."""
    return [
        (f" {word}", Word(word, start, end, 0.8))
        for word, (start, end) in zip(text.split(), spans, strict=True)
    ]


@pytest.mark.parametrize("seconds", [1.2, 4.0, 8.5])
def test_a_short_window_hears_the_same_words(tiny, seconds):
    samples = read(fixture("dictation").path)[: round(seconds * SAMPLE_RATE)]
    full, short = hear(tiny, samples, Request(short_window=False)), hear(tiny, samples)
    assert words_wrong(text_of(full), text_of(short)) <= 1
    for segment in short.segments:
        assert all(word.end_ms <= seconds * 1000 for word in segment.words)


def test_what_is_doubtful_in_a_short_window_is_heard_in_a_full_one(tiny):
    samples = read(fixture("dictation").path)[: 4 * SAMPLE_RATE]
    never_sure = Gates(mean_log_probability=1.0)  # no text is as likely as that
    full = hear(tiny, samples, Request(gates=never_sure, short_window=False))
    assert text_of(hear(tiny, samples, Request(gates=never_sure))) == text_of(full)


def test_windows_have_silence_behind_the_speech():
    assert [window_of(s) for s in (0.1, 8, 8.1, 13, 13.1, 18, 18.1, 30)] == [
        10, 10, 15, 15, 20, 20, 30, 30
    ]  # fmt: skip


def test_one_window_becomes_its_words(tiny):
    dictation = fixture("dictation")
    heard = hear(tiny, read(dictation.path))
    assert heard.language == "en"
    assert words_wrong(dictation.text, text_of(heard)) <= 1
    assert {segment.engine for segment in heard.segments} == {"whisper-tiny.en"}
    words = [word for segment in heard.segments for word in segment.words]
    assert words_wrong(dictation.text, " ".join(word.text for word in words)) <= 1
    for before, after in pairwise(words):
        assert 0 <= before.start_ms <= before.end_ms <= after.start_ms + 20
    assert words[-1].end_ms <= dictation.seconds * 1000
    assert all(0 <= word.probability <= 1 for word in words)


def test_without_word_times_the_text_is_the_same(tiny):
    samples = read(fixture("dictation").path)
    plain = hear(tiny, samples, Request(word_times=False))
    assert text_of(plain) == text_of(hear(tiny, samples))
    (segment,) = plain.segments
    assert segment.words == ()
    assert (segment.start_ms, segment.end_ms) == (0, len(samples) * 1000 // SAMPLE_RATE)
    assert 0 < segment.confidence <= 1


def test_several_windows_at_once_are_heard_as_one_by_one(tiny):
    whisper = tiny.model(WAIT_S)
    speech = read(fixture("meeting").path)
    windows = [speech[: 9 * SAMPLE_RATE], speech[9 * SAMPLE_RATE : 20 * SAMPLE_RATE]]
    windows += [np.zeros(3 * SAMPLE_RATE, np.int16), read(fixture("dictation").path)]
    together = whisper.transcribe_all(windows, Request("en"))
    for samples, heard in zip(windows, together, strict=True):
        alone = whisper.transcribe(samples, Request("en"))
        assert words_wrong(text_of(alone), text_of(heard)) <= 1
    assert whisper.transcribe_all([]) == []


def test_each_of_several_windows_has_its_own_language(base):
    whisper = base.model(WAIT_S)
    windows = [read(fixture(name).path) for name in ("german", "dictation")]
    assert [heard.language for heard in whisper.transcribe_all(windows)] == ["de", "en"]


def test_a_sentence_that_the_decoder_passes_over_is_heard_by_itself(tiny):
    """Cut the tokens of the last sentence off, as a decoder does that ends too early."""
    whisper = tiny.model(WAIT_S)
    speech = read(fixture("meeting").path)[: 14 * SAMPLE_RATE]
    whole = whisper.transcribe(speech, Request("en"))
    decode = Decoding.decode

    def ends_early(decoding, windows, manner):
        first, *others = decode(decoding, windows, manner)
        if windows[0].seconds < 10:  # what was passed over
            return [first, *others]
        kept = first.tokens[: len(first.tokens) // 3]
        text = decoding.tokenizer.decode(list(kept)).strip()
        return [replace(first, tokens=kept, text=text), *others]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decoding, "decode", ends_early)
        heard = whisper.transcribe(speech, Request("en"))
    assert words_wrong(text_of(whole), text_of(heard)) <= len(text_of(whole).split()) // 5
    for before, after in pairwise(word for s in heard.segments for word in s.words):
        assert before.start_ms <= after.start_ms


def test_hotwords_are_accepted(tiny):
    dictation = fixture("dictation")
    heard = hear(tiny, read(dictation.path), Request(hotwords=("finance", "contract")))
    assert words_wrong(dictation.text, text_of(heard)) <= 1


@pytest.mark.parametrize("level", [0.0, 0.001, 0.05])
def test_silence_and_noise_that_slip_through_are_never_shown_at_length(tiny, level):
    assert len(text_of(hear(tiny, hiss(4, level=level))).split()) <= 3


@pytest.mark.parametrize("samples", [0, 1, 160, 1600])
def test_a_window_of_next_to_nothing_is_no_error(tiny, samples):
    heard = hear(tiny, np.zeros(samples, np.int16))
    assert heard.language == "en"


def test_a_window_longer_than_30_seconds_is_refused(tiny):
    with pytest.raises(ValueError, match=r"at most 30 s, not 30\.0 s"):
        hear(tiny, np.zeros(30 * SAMPLE_RATE + 1, np.int16))


def test_an_english_model_refuses_german_naming_the_extra(tiny):
    whisper = tiny.model(WAIT_S)
    assert whisper.languages == ("en",)
    with pytest.raises(LanguageUnsupported, match=r"'de'.*scribebox\[multilingual\]"):
        whisper.check_language("de")
    with pytest.raises(LanguageUnsupported, match=r"scribebox\[multilingual\]"):
        check_language(whisper.model, "de")
    whisper.check_language("en")
    whisper.check_language(None)


def test_german_is_detected(base):
    german = fixture("german")
    heard = hear(base, read(german.path))
    assert heard.language == "de"
    assert words_wrong(german.text, text_of(heard)) <= 2  # by the rounding of the processor


def test_a_multilingual_model_refuses_what_is_no_language(base):
    whisper = base.model(WAIT_S)
    whisper.check_language("de")
    assert {"en", "de", "fr", "ja"} <= set(whisper.languages)
    with pytest.raises(LanguageUnsupported, match="'klingon': Whisper does not know it"):
        whisper.check_language("klingon")


def test_a_long_sentence_ends_its_segment():
    raw = timed("It ends. Then more.", (0, 2000), (2000, 4500), (4600, 4800), (4800, 5000))
    first, second = segments_of(raw, decoded("It ends. Then more."), "whisper-x", 6, None)
    assert (first.text, first.start_ms, first.end_ms) == ("It ends.", 0, 4500)
    assert (second.text, second.start_ms, second.end_ms) == ("Then more.", 4600, 5000)


def test_a_short_sentence_stays_with_the_next():
    raw = timed("Yes. Then more.", (0, 300), (400, 600), (600, 900))
    (segment,) = segments_of(raw, decoded("Yes. Then more."), "whisper-x", 6, None)
    assert segment.text == "Yes. Then more."
    assert segment.confidence == 0.8


def test_a_pause_ends_a_segment_in_mid_sentence():
    raw = timed("well then", (0, 300), (1300, 1600))
    segments = segments_of(raw, decoded("well then"), "whisper-x", 6, None)
    assert [segment.text for segment in segments] == ["well", "then"]


def test_suppressed_text_is_one_segment_with_its_reason():
    raw = timed("well then", (100, 300), (2300, 2600))
    (segment,) = segments_of(raw, decoded("well then"), "whisper-x", 6, "repetition")
    assert (segment.text, segment.suppressed) == ("well then", "repetition")
    assert (segment.start_ms, segment.end_ms) == (100, 2600)


def test_a_decode_that_does_not_end_is_known_by_its_length(tiny):
    """CTranslate2 stops at half of what it is told: the limit that really applies must be ours."""
    whisper = tiny.model(WAIT_S)
    speech = read(fixture("meeting").path)[: 20 * 16_000]
    short = Gates(tokens_per_second=0.5, spare_tokens=8)  # far less than what is said
    heard = hear(tiny, speech, Request(language="en", gates=short))
    assert {segment.suppressed for segment in heard.segments} == {"token rate"}
    assert whisper.model.english_only


def test_so_much_as_people_can_say_is_never_cut(tiny):
    speech = read(fixture("meeting").path)[: 27 * 16_000]
    fast = np.ascontiguousarray(speech[::2])  # twice as fast, an octave higher
    heard = hear(tiny, fast, Request(language="en"))
    assert all(segment.suppressed != "token rate" for segment in heard.segments)


def test_nothing_is_written_or_told_by_the_libraries(tmp_path):
    script = "from engine.vad import session; session(); import faster_whisper, os; "
    script += "assert os.environ['HF_HUB_OFFLINE'] == '1'"
    environment = {**clean_environment(), "HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=WAIT_S)
    assert list(tmp_path.rglob("*")) == []
