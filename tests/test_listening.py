"""One stream of a client: every sample is heard once, on the channel it came on, and told."""

import threading

import numpy as np
import pytest
from speech_fixtures import encode, fixture, write_wav

from appliance.listening import MAX_DUE, Asked, Listening
from engine.audio import SAMPLE_RATE, read
from engine.errors import AudioUnreadable
from engine.live_events import Final, Partial, Paused, SpeechStarted
from engine.transcript import Segment, Word
from engine.whisper import Heard
from engine.worker import Priority, Ticket

WAIT_S = 60
RAW = Asked("linear16", SAMPLE_RATE, endpoint_ms=300)
STEREO = Asked("linear16", SAMPLE_RATE, channels=2, multichannel=True, endpoint_ms=300)
QUIET = np.zeros(SAMPLE_RATE, np.int16)


class Desk:
    """An engine whose answers the test gives, at once if nothing else is said."""

    def __init__(self, language="en", at_once=True):
        self.tickets = []
        self._language, self._at_once = language, at_once

    def expect_speech(self):
        pass

    def submit(self, samples, request, priority):
        ticket = Ticket(samples, request, priority)
        self.tickets.append(ticket)
        if self._at_once:
            self.answer(ticket)
        return ticket

    def answer(self, ticket):
        end_ms = len(ticket.samples) * 1000 // SAMPLE_RATE
        word = Word("word", end_ms // 2, end_ms - 100, 0.9)
        segment = Segment(0, end_ms, "word", (word,), "whisper-none", 0.9)
        ticket.finish(Heard((segment,), self._language))

    def finals(self):
        return [ticket for ticket in self.tickets if ticket.priority is Priority.LIVE]


@pytest.fixture(scope="module")
def speech():
    """Return a sentence, and the quiet after it."""
    return np.concatenate([read(fixture("dictation").path), QUIET])


@pytest.fixture(scope="module")
def another():
    """Return the first sentence of another voice, as long as that one."""
    return read(fixture("meeting").path)[: 6 * SAMPLE_RATE]


def listening(worker, asked, on_news=lambda: None):
    return Listening(worker, asked, on_news)


def heard(stream, *chunks):
    """Return what is told of chunks with an engine that answers at once, to the end."""
    told = []
    stream.take(chunks)
    while stream.unheard:
        told += stream.hear()
    return told


def followed(stream, samples):
    """Return what is told of sound that comes as it is spoken."""
    return [one for chunk in cut(samples.tobytes(), 3200) for one in heard(stream, chunk)]


def ended(stream, news=None):
    """Return what is told at the end; `news` is set by an engine that takes its time."""
    told = []
    stream.end()
    while stream.unheard:
        told += stream.hear()
    stream.finish()
    told += stream.collect()
    while not stream.done:
        assert news is not None and news.wait(WAIT_S)
        news.clear()
        told += stream.collect()
    return told


def cut(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


def text(told, channel=0):
    finals = [one for number, one in told if number == channel and isinstance(one, Final)]
    return " ".join(word.text.strip() for final in finals for word in final.words)


def test_how_the_bytes_were_cut_changes_nothing_for_the_engine(speech):
    asked = []
    for size in (len(speech) * 2, 32_000, 640, 7):
        desk = Desk()
        stream = listening(desk, RAW)
        heard(stream, *cut(speech.tobytes(), size))
        ended(stream)
        assert stream.samples == len(speech)
        asked.append([(t.samples.tobytes(), t.request, t.priority) for t in desk.tickets])
    assert asked[0] and all(one == asked[0] for one in asked[1:])


def test_a_packet_of_opus_stays_one(tmp_path, speech):
    import av

    sound = np.repeat(speech, 3)  # 48 kHz
    with av.open(encode(tmp_path / "x.ogg", "ogg", "libopus", sound, rate=48_000)) as file:
        packets = [bytes(packet) for packet in file.demux(audio=0) if packet.size]
    stream = listening(Desk(), Asked("opus", 48_000, endpoint_ms=300))
    try:
        heard(stream, *packets)
        ended(stream)
        assert abs(stream.samples - len(speech)) < SAMPLE_RATE // 10
    finally:
        stream.close()


def test_words_come_from_the_channel_they_were_said_on(tiny, speech, another):
    news = threading.Event()
    stream = listening(tiny, STEREO, news.set)
    told = heard(stream, np.stack([speech[: 6 * SAMPLE_RATE], another], axis=1).tobytes())
    told += ended(stream, news)
    assert stream.channels == 2
    assert "contract" in text(told, 0).lower() and "meeting" not in text(told, 0).lower()
    assert "meeting" in text(told, 1).lower() and "contract" not in text(told, 1).lower()


def test_what_is_heard_is_told_in_order_and_the_pause_after_it(speech):
    asked = Asked("linear16", SAMPLE_RATE, endpoint_ms=300, pause_ms=500)
    stream = listening(Desk(), asked)
    told = [one for _, one in followed(stream, speech)]
    assert isinstance(told[0], SpeechStarted)
    assert any(isinstance(one, Partial) for one in told)
    assert isinstance(told[-1], Paused) and isinstance(told[-2], Final)
    assert told[-2].ended and told[-2].words


def test_a_flush_is_answered_once_a_channel_whatever_was_heard(speech):
    stream = listening(Desk(), STEREO)
    stream.flush()
    assert [(n, one.flushed, one.words) for n, one in stream.collect()] == [
        (0, True, ()),
        (1, True, ()),
    ]
    told = heard(stream, np.stack([speech, speech], axis=1)[: 2 * SAMPLE_RATE].tobytes())
    stream.flush(1)
    told += stream.collect()
    flushed = [(n, bool(one.words)) for n, one in told if isinstance(one, Final) and one.flushed]
    assert flushed == [(1, True)]
    for unknown in (7, -1):
        stream.flush(unknown)
        assert [n for n, one in stream.collect() if one.flushed] == [0, 1]


def test_a_flush_before_the_first_sound_of_a_container_with_more_channels_does_no_harm(
    tmp_path, speech, another
):
    wav = write_wav(tmp_path / "two.wav", speech[: 6 * SAMPLE_RATE], another).read_bytes()
    stream = listening(Desk(), Asked(multichannel=True, endpoint_ms=300))
    try:
        stream.flush()
        assert [n for n, one in stream.collect() if one.flushed] == [0]
        told = heard(stream, wav)
        assert stream.channels == 2 and {n for n, _ in told} == {0, 1}
    finally:
        stream.close()


def test_the_language_of_the_first_speech_is_that_of_the_stream(speech):
    desk = Desk("de")
    stream = listening(desk, RAW)
    assert stream.language is None
    heard(stream, speech.tobytes())
    assert stream.language == "de"  # as soon as its words are told
    heard(stream, speech.tobytes())
    languages = [ticket.request.language for ticket in desk.tickets]
    assert languages[0] is None and languages[-1] == "de"
    asked = Asked("linear16", SAMPLE_RATE, language="en", endpoint_ms=300)
    stream = listening(Desk("de"), asked)
    heard(stream, speech.tobytes())
    heard(stream, speech.tobytes())
    assert stream.language == "en"


def test_words_to_expect_can_be_changed_in_mid_stream(speech):
    desk = Desk()
    asked = Asked("linear16", SAMPLE_RATE, hotwords=("one",), endpoint_ms=300)
    stream = listening(desk, asked)
    heard(stream, speech.tobytes())
    stream.hotwords = ("two",)
    heard(stream, speech.tobytes())
    assert desk.tickets[0].request.hotwords == ("one",)
    assert desk.tickets[-1].request.hotwords == ("two",)


def test_finals_go_before_what_is_shown_for_a_moment(speech):
    desk = Desk()
    followed(listening(desk, RAW), speech)
    assert {ticket.priority for ticket in desk.tickets} == {Priority.LIVE, Priority.PARTIAL}
    for ticket in desk.tickets:
        assert ticket.request.short_window
        assert ticket.request.quick is (ticket.priority is Priority.PARTIAL)


def test_an_engine_that_is_behind_makes_sound_wait_and_loses_no_final(speech):
    desk = Desk(at_once=False)
    stream = listening(desk, RAW)
    sentences = 2 * MAX_DUE
    for _ in range(sentences):
        followed(stream, speech)
    assert stream.full and stream.lag_s > len(speech) / SAMPLE_RATE
    assert stream.partials_left_out > 0
    told = []
    while not stream.done:
        for ticket in desk.tickets:
            desk.answer(ticket)
        told += stream.collect()
    finals = [one for _, one in told if isinstance(one, Final) and one.words]
    assert len(finals) >= sentences and not stream.full and stream.lag_s == 0


def test_news_is_told_when_the_engine_has_some(speech):
    news = threading.Event()
    desk = Desk(at_once=False)
    stream = listening(desk, RAW, news.set)
    heard(stream, speech.tobytes())
    assert not news.is_set()
    desk.answer(desk.tickets[0])
    assert news.is_set()


def test_sound_that_came_in_crumbs_is_heard_by_the_quarter_of_a_second(speech):
    stream = listening(Desk(), RAW)
    stream.take(cut(speech.tobytes(), 1)[:64_000])
    steps = 0
    while stream.unheard:
        stream.hear()
        steps += 1
    assert steps == 8


def test_where_it_listens_is_on_the_clock_of_the_sound(speech):
    stream = listening(Desk(), STEREO)
    assert (stream.channels, stream.position_s(0), stream.samples) == (1, 0, 0)
    heard(stream, np.stack([speech, speech], axis=1).tobytes())
    assert stream.samples == len(speech)
    assert abs(stream.position_s(1) - len(speech) / SAMPLE_RATE) < 0.05


def test_what_is_no_sound_is_refused_and_what_came_before_it_is_kept(tmp_path, speech):
    stream = listening(Desk(), Asked(endpoint_ms=300))
    try:
        with pytest.raises(AudioUnreadable):
            stream.take([b"nothing that anybody could play" * 100])
        with pytest.raises(AudioUnreadable):
            stream.end()
        assert (stream.samples, stream.unheard, stream.done) == (0, False, True)
    finally:
        stream.close()
    stream = listening(Desk(), Asked(endpoint_ms=300))
    try:
        with pytest.raises(AudioUnreadable, match="came to its end"):
            stream.take([write_wav(tmp_path / "x.wav", speech).read_bytes()])
            stream.take([bytes(1 << 20)])
        assert stream.samples == len(speech) and stream.unheard
    finally:
        stream.close()


def test_given_up_it_asks_the_engine_for_nothing_more(speech):
    desk = Desk(at_once=False)
    stream = listening(desk, RAW)
    heard(stream, speech.tobytes())
    stream.close()
    stream.close()
    assert desk.tickets[-1].done and not stream.unheard
    asked = len(desk.tickets)
    desk.answer(desk.tickets[0])
    assert stream.collect() == [] and len(desk.tickets) == asked
