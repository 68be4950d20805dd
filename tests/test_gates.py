import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.gates import (
    DENSE_SCRIPTS,
    Decoded,
    Gates,
    compression_ratio,
    density,
    is_dense,
    repeated_share,
    verdict,
)
from engine.segmenter import pieces_for

PLAIN = "Please send the new contract to the finance team before lunch."
LOOP = "thank you very much " * 6


def decoded(text=PLAIN, log_probability=-0.2, no_speech=0.01, capped=False, seconds=2.0):
    tokens = tuple(range(len(text.split())))
    return Decoded(tokens, text, log_probability, no_speech, capped, seconds)


def test_plain_speech_passes_every_gate():
    assert verdict(decoded(), Gates()) is None


def test_no_text_needs_no_gate():
    assert verdict(decoded("", -5.0, 0.99, capped=True), Gates()) is None


def test_unlikely_text_over_no_speech_is_held_back():
    assert verdict(decoded(log_probability=-1.1, no_speech=0.7), Gates()) == "no speech"


def test_text_over_what_is_surely_no_speech_needs_to_be_likelier():
    assert verdict(decoded(log_probability=-0.7, no_speech=0.95), Gates()) == "no speech"
    assert verdict(decoded(log_probability=-0.4, no_speech=0.95), Gates()) is None
    assert verdict(decoded(log_probability=-0.7, no_speech=0.8), Gates()) is None  # in noise


@pytest.mark.parametrize(("log_probability", "no_speech"), [(-0.9, 0.8), (-3.0, 0.5)])
def test_one_sign_of_no_speech_alone_is_not_enough(log_probability, no_speech):
    assert verdict(decoded(log_probability=log_probability, no_speech=no_speech), Gates()) is None


def test_text_that_did_not_end_is_held_back():
    assert verdict(decoded(capped=True), Gates()) == "token rate"


def test_a_phrase_said_over_and_over_is_held_back():
    assert verdict(decoded(LOOP), Gates()) == "repetition"


def test_text_that_compresses_too_well_is_held_back():
    assert verdict(decoded("no no " * 40), Gates(repeated_share=None)) == "compression"


def test_a_phrase_that_people_had_the_time_to_say_over_and_over_is_speech():
    assert verdict(decoded(LOOP, seconds=6.0), Gates()) is None
    assert verdict(decoded("no no " * 40, seconds=30.0), Gates()) is None


KNOWN = frozenset({"thank you", "i'm here"})


@pytest.mark.parametrize(("log_probability", "no_speech"), [(-0.2, 0.5), (-0.9, 0.01)])
def test_a_phrase_known_to_be_invented_is_held_back_if_the_sound_says_so_too(
    log_probability, no_speech
):
    assert verdict(decoded("Thank you.", log_probability, no_speech), Gates(), KNOWN) == "phrase"
    assert verdict(decoded("I'm here!", log_probability, no_speech), Gates(), KNOWN) == "phrase"
    assert verdict(decoded("Thank you.", log_probability, no_speech), Gates()) is None


def test_people_may_say_what_is_known_to_be_invented():
    assert verdict(decoded("Thank you."), Gates(), KNOWN) is None
    more = decoded("Thank you, Anna.", log_probability=-0.9, no_speech=0.5)
    assert verdict(more, Gates(), KNOWN) is None


def test_a_limit_of_none_opens_its_gate():
    open_gates = Gates(no_speech_probability=None, compression_ratio=None, repeated_share=None)
    assert verdict(decoded(LOOP * 5, log_probability=-9, no_speech=1.0), open_gates) is None


def test_the_first_gate_gives_its_name():
    everything = decoded(LOOP, log_probability=-2, no_speech=0.9, capped=True)
    assert verdict(everything, Gates()) == "no speech"
    assert verdict(everything, Gates(no_speech_probability=None)) == "token rate"


def test_ordinary_repetition_is_speech():
    for text in (
        "no no no",
        "I think that it is good, and I think that we should do it.",
        "one two three one two three",
        "The first point is the budget. The second point is the plan. The third point is you.",
    ):
        assert verdict(decoded(text), Gates()) is None, text


def test_repeated_share_counts_phrases_of_three_to_six_words():
    assert repeated_share("a b c a b c a b c") == 1.0
    assert repeated_share("a b c a b c a b c x y z") == 0.75
    assert repeated_share("a b c a b c") == 0.0
    assert repeated_share("a b a b a b") == 0.0  # phrases of two words are no phrases
    assert repeated_share("") == 0.0


@given(st.text(max_size=200))
def test_repeated_share_is_a_share(text):
    assert 0.0 <= repeated_share(text) <= 1.0


@given(st.lists(st.integers(), unique=True, max_size=40))
def test_words_that_are_all_different_repeat_nothing(numbers):
    assert repeated_share(" ".join(f"w{n}" for n in numbers)) == 0.0


def test_compression_ratio_grows_with_repetition():
    assert compression_ratio(PLAIN) < 1.2
    assert compression_ratio(PLAIN * 10) > 5


def test_the_token_cap_grows_with_time_and_with_dense_scripts():
    assert Gates().token_cap(0, "en") == 16
    assert Gates().token_cap(10, "en") == 96
    assert Gates().token_cap(10, None) == 96
    assert Gates().token_cap(10, "ja") == 176


# tokens of the first article of the Declaration of Human Rights, about 12 s when it is read out
@pytest.mark.parametrize(
    ("language", "tokens"),
    [("en", 37), ("el", 100), ("hi", 195), ("mr", 208), ("ta", 200), ("hy", 180)],
)
def test_what_people_say_stays_below_the_cap_in_any_script(language, tokens):
    assert tokens < Gates().token_cap(12, language)
    said = Decoded((1,) * tokens, "same words " * 40, -0.3, 0.0, False, 12.0, language)
    assert verdict(said, Gates()) is None


@pytest.mark.parametrize("language", sorted(DENSE_SCRIPTS))
def test_a_window_of_a_dense_script_ends_before_the_decoder_does(language):
    seconds = pieces_for("base", is_dense(language)).soft_max_ms / 1000
    spoken = Gates().spoken_tokens_per_second * density(language)
    assert spoken * seconds < 224  # what Whisper writes at most


@given(st.floats(0, 30), st.floats(0, 30), st.sampled_from(["en", "ja", None]))
def test_more_time_never_lowers_the_token_cap(a, b, language):
    less, more = sorted([a, b])
    assert Gates().token_cap(less, language) <= Gates().token_cap(more, language)
