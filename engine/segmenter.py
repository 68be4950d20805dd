"""Cut a stream of samples into utterances by the probability of speech of each 32 ms chunk.

A pure state machine: no clock, no thread, no model. Every sample given comes out at most once and
in order; what is left out is silence. However the input is portioned, the utterances are the same,
and one that is started again where another was `settled` goes on like it.

Terms: *pre-roll* is the silence kept before the first voiced chunk, *hangover* the silence kept
after the last one, *endpointing* the rule that so much silence ends an utterance.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from engine.audio import SAMPLE_RATE, Samples
from engine.vad import CHUNK_SAMPLES, ONSET, Probabilities

CHUNK_MS = CHUNK_SAMPLES * 1000 // SAMPLE_RATE
EndedBy = Literal["silence", "soft maximum", "hard maximum", "end of stream"]


@dataclass(frozen=True, slots=True)
class Profile:
    """When speech begins, ends and is cut. Lengths in milliseconds of audio."""

    onset: float = ONSET  # probability at which speech begins
    offset: float = 0.35  # below it a chunk of an utterance counts as silence
    pre_roll_ms: int = 400
    hangover_ms: int = 400
    end_silence_ms: int = 1000
    min_speech_ms: int = 250  # less voiced sound than this is not an utterance
    soft_max_ms: int = 15_000  # from here on the longest pause of `look_back_ms` is cut at
    hard_max_ms: int = 28_000
    look_back_ms: int = 5_000
    min_pause_ms: int = 96  # a pause worth cutting at

    def __post_init__(self) -> None:
        if not 0 < self.offset < self.onset < 1:
            raise ValueError(f"want 0 < offset < onset < 1, not {self.offset} and {self.onset}")
        if not self.look_back_ms < self.soft_max_ms <= self.hard_max_ms:
            raise ValueError("want look_back_ms < soft_max_ms <= hard_max_ms")
        if self.end_silence_ms < self.hangover_ms:
            raise ValueError("want end_silence_ms >= hangover_ms")


# tuned with tests/bench/vad.py, and on other voices and noises than it has
MEETING = Profile(offset=0.4, pre_roll_ms=300, hangover_ms=250, min_speech_ms=190)
DICTATION = replace(MEETING, end_silence_ms=600)
# what windows are packed with: 18 s fit into the one of 20 s, 28 s into the full one. The more a
# window holds, the more the decoder knows of who speaks, and the fewer words it gets wrong
FILE = Profile(end_silence_ms=400, soft_max_ms=17_984, hard_max_ms=17_984)  # whole chunks
DENSE = replace(FILE, soft_max_ms=7_968, hard_max_ms=7_968)
LONGER = replace(FILE, soft_max_ms=28_000, hard_max_ms=28_000)  # where encoding is cheap


@dataclass(frozen=True, slots=True)
class Utterance:
    """One stretch of speech: its position in the stream, its samples, and what ended it."""

    start_sample: int
    samples: Samples
    ended_by: EndedBy
    voiced_from: int  # position in the stream of its first voiced chunk: before it is pre-roll
    voiced_to: int  # and after its last one: what follows is hangover

    @property
    def end_sample(self) -> int:
        """Return the position after its last sample."""
        return self.start_sample + len(self.samples)

    @property
    def continues(self) -> bool:
        """Tell whether it was cut within speech, which goes on at its end."""
        return self.ended_by in ("soft maximum", "hard maximum")


class Segmenter:
    """Hold the current utterance and the pre-roll before it, and nothing older.

    `start_sample` is the position in the stream of the first sample it will be given; `continued`
    says that an utterance which `continues` ended there. To go on after a restart, give it either
    what was `settled`, or the end of the last utterance that is safe.
    """

    def __init__(
        self, profile: Profile = MEETING, *, start_sample: int = 0, continued: bool = False
    ) -> None:
        self.profile = profile
        self._chunks: list[Samples] = []  # the pre-roll, or the pre-roll and the utterance
        self._voiced: list[float] = []  # probability of each of them
        self._start = start_sample  # position in the stream of the first of them
        self._speaking = continued
        self._continued = continued  # the utterance is what a cut left over
        self._silent_chunks = 0  # at the end of the utterance

    def push(self, samples: Samples, probabilities: Probabilities) -> list[Utterance]:
        """Take whole chunks with their probabilities; return the utterances that ended."""
        if len(samples) != len(probabilities) * CHUNK_SAMPLES:
            raise ValueError(f"{len(samples)} samples for {len(probabilities)} chunks")
        ended = []
        for i, probability in enumerate(probabilities):
            chunk = samples[i * CHUNK_SAMPLES : (i + 1) * CHUNK_SAMPLES]
            utterance = self._step(chunk, float(probability))
            if utterance is not None:
                ended.append(utterance)
        return ended

    def flush(self, tail: Samples | None = None) -> list[Utterance]:
        """End the stream; `tail` is what was left of it, less than a chunk."""
        utterance = None
        if tail is not None and len(tail):
            self._chunks.append(tail)
            self._voiced.append(self._voiced[-1] if self._voiced else 0)  # too short to be judged
            self._silent_chunks += self._silent_chunks > 0
        if self._speaking and self._chunks:  # a cut may just have taken all there was
            utterance = self._cut(self._without_silence(), "end of stream")
        self._speaking = False
        self._drop(len(self._chunks))
        return [utterance] if utterance is not None else []

    @property
    def speaking(self) -> bool:
        """Tell whether an utterance is open."""
        return self._speaking

    @property
    def silent_ms(self) -> int:
        """Return how long the silence at the end of the open utterance is so far."""
        return self._silent_chunks * CHUNK_MS

    @property
    def end(self) -> int:
        """Return the position in the stream after the last sample it was given."""
        return self._start + sum(map(len, self._chunks))

    def current(self) -> Samples:
        """Return the sound from `settled` on: that of the open utterance, with its pre-roll."""
        return np.concatenate(self._chunks) if self._chunks else np.zeros(0, np.int16)

    def let_go(self, sample: int) -> None:
        """Forget the sound of the open utterance before a position; what is left goes on."""
        self._drop(max(0, min((sample - self._start) // CHUNK_SAMPLES, len(self._chunks) - 1)))
        self._silent_chunks = min(self._silent_chunks, len(self._chunks))
        self._continued = True

    @property
    def settled(self) -> int:
        """Return the position in the stream before which no utterance will begin any more."""
        return self._start

    def _step(self, chunk: Samples, probability: float) -> Utterance | None:
        self._chunks.append(chunk)
        self._voiced.append(probability)
        if not self._speaking:
            if probability < self.profile.onset:
                self._forget()
                return None
            self._speaking, self._continued, self._silent_chunks = True, False, 0
        elif probability >= self.profile.offset:
            self._silent_chunks = 0
        else:
            self._silent_chunks += 1
            if self._silent_chunks * CHUNK_MS >= self.profile.end_silence_ms:
                return self._end()
        return self._shorten()

    def _forget(self) -> None:
        """Keep no more silence than the pre-roll."""
        self._drop(max(len(self._chunks) - chunks_of(self.profile.pre_roll_ms), 0))

    def _drop(self, chunks: int) -> None:
        self._start += sum(map(len, self._chunks[:chunks]))
        del self._chunks[:chunks], self._voiced[:chunks]

    def _without_silence(self) -> int:
        """Return how many chunks are the utterance with its hangover."""
        keep = len(self._chunks) - self._silent_chunks + chunks_of(self.profile.hangover_ms)
        return min(keep, len(self._chunks))

    def _end(self) -> Utterance | None:
        """Cut the utterance after its hangover; the silence behind it becomes pre-roll."""
        utterance = self._cut(self._without_silence(), "silence")
        self._speaking = False
        self._forget()
        return utterance

    def _shorten(self) -> Utterance | None:
        """Cut an utterance that grows too long, at a pause if there is one."""
        length_ms = len(self._chunks) * CHUNK_MS
        if length_ms < self.profile.soft_max_ms:
            return None
        back = chunks_of(self.profile.look_back_ms)
        recent = self._voiced[-back:]
        pause = longest_below(recent, self.profile.offset)
        if pause is not None and (pause[1] - pause[0]) * CHUNK_MS >= self.profile.min_pause_ms:
            if pause[1] == len(recent) and length_ms < self.profile.hard_max_ms:
                return None  # the pause still grows and may yet end the utterance
            return self._cut(len(self._voiced) - back + sum(pause) // 2, "soft maximum")
        if length_ms + CHUNK_MS <= self.profile.hard_max_ms:
            return None
        quietest = len(self._voiced) - back + int(np.argmin(recent))
        return self._cut(quietest + 1, "hard maximum")

    def _cut(self, chunks: int, by: EndedBy) -> Utterance | None:
        """Take `chunks` out as an utterance, or drop them if they hold too little speech.

        What a cut left over is never too little: it may be the last word of a sentence.
        """
        voiced = [i for i in range(chunks) if self._voiced[i] >= self.profile.offset]
        enough_ms = 1 if self._continued else self.profile.min_speech_ms
        utterance = None
        if len(voiced) * CHUNK_MS >= enough_ms:
            samples = np.concatenate(self._chunks[:chunks])
            first, last = (self._start + voiced[i] * CHUNK_SAMPLES for i in (0, -1))
            utterance = Utterance(self._start, samples, by, first, last + CHUNK_SAMPLES)
        self._drop(chunks)
        self._silent_chunks = min(self._silent_chunks, len(self._chunks))
        self._continued = True
        return utterance


def pieces_for(model_name: str, dense: bool = False) -> Profile:
    """Return how a file is cut for a model: what erred the least for what it costs.

    `dense`: its language takes so many tokens that the decoder's context ends before a window does.
    """
    if dense:
        return DENSE
    return LONGER if model_name.startswith("tiny") else FILE


def chunks_of(milliseconds: int) -> int:
    """Return how many chunks hold at least so many milliseconds."""
    return -(-milliseconds // CHUNK_MS)


def longest_below(values: list[float], limit: float) -> tuple[int, int] | None:
    """Return start and end of the longest run of values below `limit`, the last of equals."""
    best: tuple[int, int] | None = None
    start = None
    for i, value in enumerate([*values, limit]):
        if value < limit and start is None:
            start = i
        elif value >= limit and start is not None:
            if best is None or i - start >= best[1] - best[0]:
                best = (start, i)
            start = None
    return best
