from dataclasses import dataclass, field

import numpy as np
import pytest

from engine import guard
from engine.decoding import UNSURE, Encoded, Manner
from engine.gates import Decoded, Gates
from engine.guard import RETRY_TEMPERATURE, guarded

PLAIN = Manner(1, Gates())
SURE = -0.1


def window(seconds=10):
    return Encoded(np.zeros(4 * 16_000, np.int16), seconds, None)


@dataclass
class Decoder:
    """Say in turn what a test wants said; note how each window was decoded."""

    texts: list[Decoded]
    asked: list[tuple[int, float, int]] = field(default_factory=list)

    def decode(self, windows, manner):
        self.asked += [(each.window, manner.temperature, manner.beam) for each in windows]
        said, self.texts = self.texts[: len(windows)], self.texts[len(windows) :]
        return said


def text(words, log_probability=SURE, no_speech=0.0, capped=False):
    return Decoded((1,) * 3, words, log_probability, no_speech, capped, 4.0, "en")


@pytest.fixture(autouse=True)
def nothing_to_encode(monkeypatch):
    """Give the full window where one is asked for; what it holds doesn't matter here."""
    monkeypatch.setattr(guard, "encode", lambda whisper, samples, seconds: window(seconds))


def test_what_is_sure_is_decoded_once():
    decoder = Decoder([text("one"), text("two")])
    takes = guarded(None, decoder, [window(), window()], Manner(5, Gates()))
    assert [take.decoded.text for take in takes] == ["one", "two"]
    assert decoder.asked == [(10, 0.0, 1)] * 2


def test_a_beam_searches_only_where_the_model_is_unsure():
    decoder = Decoder([text("one"), text("too", UNSURE - 0.1), text("two")])
    takes = guarded(None, decoder, [window(), window()], Manner(5, Gates()))
    assert [take.decoded.text for take in takes] == ["one", "two"]
    assert decoder.asked == [(10, 0.0, 1)] * 2 + [(10, 0.0, 5)]


def test_a_beam_may_be_wanted_however_sure_the_model_is():
    decoder = Decoder([text("one"), text("won", SURE / 2)])
    (take,) = guarded(None, decoder, [window()], Manner(5, Gates(), unsure=0.0))
    assert take.decoded.text == "won"


def test_a_beam_that_finds_nothing_likelier_changes_nothing():
    decoder = Decoder([text("too", UNSURE - 0.1), text("to", UNSURE - 0.2)])
    (take,) = guarded(None, decoder, [window()], Manner(5, Gates()))
    assert take.decoded.text == "too"


def test_what_trips_a_gate_in_a_short_window_is_decoded_in_a_full_one():
    decoder = Decoder([text("la la la", capped=True), text("one")])
    (take,) = guarded(None, decoder, [window()], PLAIN)
    assert (take.decoded.text, take.reason) == ("one", None)
    assert decoder.asked == [(10, 0.0, 1), (30, 0.0, 1)]


def test_what_trips_a_gate_there_too_is_tried_at_a_temperature_once():
    decoder = Decoder([text("la", capped=True), text("la la", capped=True), text("one")])
    (take,) = guarded(None, decoder, [window()], PLAIN)
    assert (take.decoded.text, take.reason) == ("one", None)
    assert decoder.asked[-1] == (30, RETRY_TEMPERATURE, 1)


def test_what_trips_a_gate_to_the_end_is_kept_with_its_reason():
    decoder = Decoder([text("la", capped=True)] * 3)
    (take,) = guarded(None, decoder, [window()], PLAIN)
    assert (take.decoded.text, take.reason) == ("la", "token rate")
    assert len(decoder.asked) == 3


def test_where_nothing_is_said_no_other_text_is_asked_for():
    decoder = Decoder([text("you", -1.5, 0.9)] * 3)
    (take,) = guarded(None, decoder, [window()], PLAIN)
    assert take.reason == "no speech"
    assert decoder.asked == [(10, 0.0, 1), (30, 0.0, 1)]


def test_a_phrase_that_is_known_to_be_invented_is_held_back():
    decoder = Decoder([text("Thank you.", SURE, 0.5)] * 2)
    known = Manner(1, Gates(), phrases=frozenset({"thank you"}))
    (take,) = guarded(None, decoder, [window(30)], known)
    assert (take.reason, len(decoder.asked)) == ("phrase", 1)


def test_what_must_be_quick_is_left_out_when_in_doubt():
    decoder = Decoder([text("la", capped=True), text("one")])
    takes = guarded(None, decoder, [window(), window()], Manner(1, Gates(), quick=True))
    assert [(take.decoded.text, take.reason) for take in takes] == [("", None), ("one", None)]
    assert len(decoder.asked) == 2


def test_the_less_unlikely_of_two_doubtful_texts_is_kept():
    decoder = Decoder([text("so", -2.0), text("so so", -1.8), text("saw", -1.2)])
    (take,) = guarded(None, decoder, [window()], PLAIN)
    assert (take.decoded.text, take.reason) == ("saw", None)
