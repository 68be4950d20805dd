"""Ten minutes of speech on one live connection, several times as fast as it is spoken."""

import asyncio
from dataclasses import dataclass, field

import numpy as np
import psutil
import pytest
from bench.live_client import Take, chunks, stream, violations
from running_box import running
from speech_fixtures import fixture
from virtual_microphone import wait_until

from engine.audio import SAMPLE_RATE, read

pytestmark = pytest.mark.long

ROUND_S, ROUNDS, SPEED = 20, 30, 6.0
MARKERS = ("contract", "finance", "team", "lunch")  # words of the sentence that begins each round
WARM_S, LATE_S = (120, 300), 420  # the first minutes fill caches and pools
GROWN_MIB, DRIFT_S = 30, 0.1
SHORT, POOLED = 6, 2  # streams that show a leak apart from the pools of threads, which breathe
MIB = 1 << 20


@dataclass
class Soak:
    """The long stream: what it was told, and what the server held meanwhile."""

    server: psutil.Process
    take: Take = field(default_factory=Take)
    memory: list[tuple[float, float]] = field(default_factory=list)  # of the audio, MiB
    before: tuple[int, ...] = ()  # threads, descriptors

    def held(self):
        """Return how many threads and descriptors the server has."""
        return self.server.num_threads(), self.server.num_fds()

    def look(self, take, message):
        """Note the memory at each final."""
        if message.final:
            self.memory.append((message.end_s, self.server.memory_info().rss / MIB))


def one_round():
    """Return the sentence of the marker words, a pause, someone speaking for long, a pause."""
    sound = np.zeros(ROUND_S * SAMPLE_RATE, np.int16)
    sentence, meeting = read(fixture("dictation").path), read(fixture("meeting").path)
    sound[: len(sentence)] = sentence
    sound[7 * SAMPLE_RATE : 17 * SAMPLE_RATE] = meeting[: 10 * SAMPLE_RATE]
    return sound


@pytest.fixture(scope="module")
def soak(tmp_path_factory):
    """Send a short stream, the long one and more short ones; the server still runs."""
    data, sound = tmp_path_factory.mktemp("soak"), one_round()
    with running("--port", "0", "--data", str(data), SCRIBEBOX_MODEL="tiny.en") as box:
        box.wait_for(r"it is session 1$")
        key, done = (data / "admin.key").read_text().strip(), Soak(psutil.Process(box.process.pid))

        def send(samples, **more):
            asyncio.run(stream(box.url, key, chunks(samples), speed=SPEED, **more))

        send(sound)  # what is made once and kept is there
        done.before = done.held()
        send(np.tile(sound, ROUNDS), take=done.take, on_message=done.look)
        for _ in range(SHORT):
            send(sound[: 5 * SAMPLE_RATE])
        yield done
        box.stop()
        assert "Traceback" not in box.output


def test_the_server_keeps_its_word_from_the_first_minute_to_the_last(soak):
    assert violations(soak.take) == []
    assert soak.take.sent_s == soak.take.duration_s == ROUNDS * ROUND_S


def test_memory_does_not_grow_with_the_length_of_a_stream(soak):
    warm = max(mib for at_s, mib in soak.memory if WARM_S[0] <= at_s < WARM_S[1])
    late = max(mib for at_s, mib in soak.memory if at_s >= LATE_S)
    assert late - warm <= GROWN_MIB


@pytest.mark.parametrize("marker", MARKERS)
def test_words_stay_on_the_clock_of_the_audio(soak, marker):
    places = [divmod(word.start_s, ROUND_S) for word in soak.take.words if word.word == marker]
    assert len({number for number, _ in places}) >= 0.9 * ROUNDS
    first = np.median([at_s for number, at_s in places if number < ROUNDS / 3])
    last = np.median([at_s for number, at_s in places if number >= ROUNDS * 2 / 3])
    assert abs(last - first) < DRIFT_S


def test_nothing_is_left_of_streams_that_are_over(soak):
    threads, descriptors = soak.before
    most = threads + POOLED, descriptors + POOLED
    wait_until(
        lambda: all(np.less_equal(soak.held(), most)),
        f"end of what is beyond {most}: {soak.held()}",
    )
