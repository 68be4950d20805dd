"""What is said in a stream and when: the sound, its words, its ends of speech, and what matches."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import corpus
import jiwer
import numpy as np
from background import LATER_S, client_of
from live_client import Said, Take, plain
from speech_fixtures import fixture
from whisper_normalizer.english import EnglishTextNormalizer

from api.sessions import PATH
from engine.audio import SAMPLE_RATE, Samples, read
from engine.detector import Detector
from engine.segmenter import MEETING, Segmenter
from engine.vad import CHUNK_SAMPLES

NORMALISE = EnglishTextNormalizer()
ALIKE_S = 0.6  # the same word in two transcripts is at most so far apart
IN_DOUBT_MS = 250  # a pause that is longer than the endpointing by less may be seen otherwise
BEFORE_S = 0.3  # a final may end so long before the end of its speech
NEVER_MS = 3_600_000
LOST = 3  # words in a row that are missing are not a slip of the ear


@dataclass(frozen=True, slots=True)
class Spoken:
    """The sound of a stream, and what is said in it."""

    samples: Samples
    reference: str
    clips: int

    @property
    def seconds(self) -> float:
        """Return its length."""
        return len(self.samples) / SAMPLE_RATE


def joined(folder: str, clips: int, pause_s: float) -> Spoken:
    """Return so many clips of English speech, each with a pause behind it."""
    if folder:
        every = [(clip.reference, read(clip.path)) for clip in corpus.read(folder)
                 if clip.language == "en" and clip.kind.startswith("read")]  # fmt: skip
        which = np.linspace(0, len(every) - 1, min(clips, len(every))).astype(int)
        taken = [every[i] for i in which]
    else:
        every = [(said.text, read(speech.path)[said.start_ms * 16 : said.end_ms * 16])
                 for speech in map(fixture, ("meeting", "two-voices", "dictation", "long-pause"))
                 for said in speech.utterances]  # fmt: skip
        taken = [every[i % len(every)] for i in range(clips)]
    pause = np.zeros(round(pause_s * SAMPLE_RATE), np.int16)
    parts = [part for _, samples in taken for part in (samples, pause)]
    text = " ".join(text for text, _ in taken)
    return Spoken(np.concatenate([pause[: SAMPLE_RATE // 2], *parts]), text, len(taken))


@dataclass(frozen=True, slots=True)
class Speech:
    """A stretch of speech: its first and its last voiced chunk, in seconds of the stream."""

    from_s: float
    to_s: float


def speeches(samples: Samples, endpointing_ms: int) -> list[Speech]:
    """Return what lies between pauses that are surely long enough to end an utterance."""
    silence_ms = max(endpointing_ms + IN_DOUBT_MS, MEETING.hangover_ms)
    profile = replace(
        MEETING, end_silence_ms=silence_ms, soft_max_ms=NEVER_MS, hard_max_ms=NEVER_MS
    )
    samples = samples[: len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES]
    segmenter = Segmenter(profile)
    heard = Detector(profile.onset).probabilities(samples)
    return [
        Speech(each.voiced_from / SAMPLE_RATE, each.voiced_to / SAMPLE_RATE)
        for each in [*segmenter.push(samples, heard), *segmenter.flush()]
    ]


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What the box makes of the same sound as a file."""

    text: str
    words: list[Said]


def uploaded(url: str, key: str, path: Path) -> Uploaded:
    """Have a file transcribed."""
    with client_of(url, key) as client:
        with path.open("rb") as file:
            asked = {"wait": "true", "language": "en"}
            sent = client.post(f"{PATH}/", params=asked, content=file, timeout=LATER_S)
        session = sent.raise_for_status().json()
        timed = client.get(f"{PATH}/{session['id']}/segments").raise_for_status().json()
    words = [
        Said(plain(word["word"]), word["start"], word["end"])
        for segment in timed["segments"]
        for word in segment["words"]
        if plain(word["word"])
    ]
    return Uploaded(timed["text"], words)


class Truth:
    """The words of a stream, to be found again by what they are and when they were said."""

    def __init__(self, words: list[Said]) -> None:
        self.words = words
        self._places: dict[str, list[tuple[float, int]]] = defaultdict(list)
        for i, word in enumerate(words):
            self._places[word.word].append((middle_s(word), i))

    def between(self, from_s: float, to_s: float) -> list[Said]:
        """Return the words that were said in a part of the stream, if only in part."""
        return [word for word in self.words if from_s <= word.end_s and word.start_s <= to_s]

    def matches(self, said: Iterable[Said]) -> list[tuple[int, Said]]:
        """Return which words these are; each is one of them at most once."""
        found, taken = [], set[int]()
        for word in said:
            places, at_s = self._places.get(word.word, []), middle_s(word)
            first = bisect_left(places, (at_s - ALIKE_S, 0))
            last = bisect_left(places, (at_s + ALIKE_S, 0))
            near = [(abs(there - at_s), i) for there, i in places[first:last] if i not in taken]
            if near:
                _, which = min(near)
                taken.add(which)
                found.append((which, word))
        return found

    def delays(self, take: Take, final: bool) -> dict[int, float]:
        """Return how long after it was spoken each word was first told (or told as final)."""
        found: dict[int, float] = {}
        for message in take.finals if final else take.results:
            for which, _ in self.matches(message.words):
                spoken_s = take.began_s + self.words[which].end_s
                found.setdefault(which, message.at_s - spoken_s)
        return found


def middle_s(word: Said) -> float:
    """Return when half of a word is said."""
    return (word.start_s + word.end_s) / 2


def ends(take: Take, spoken: list[Speech]) -> list[float | None]:
    """Return how long after each end of speech the Results came that tells it; None: never."""
    told = [message for message in take.finals if message.body["speech_final"]]
    found: list[float | None] = []
    for speech in spoken:
        mine = next((m for m in told if m.end_s >= speech.to_s - BEFORE_S), None)
        found.append(mine.at_s - take.began_s - speech.to_s if mine is not None else None)
    return found


def wer(reference: str, text: str) -> float:
    """Return the word error rate in per cent."""
    return 100 * jiwer.wer(NORMALISE(reference), NORMALISE(text))


def lost(reference: str, text: str) -> int:
    """Return how many words are missing where several in a row are."""
    told = jiwer.process_words(NORMALISE(reference), NORMALISE(text))
    runs = [chunk.ref_end_idx - chunk.ref_start_idx
            for chunk in told.alignments[0] if chunk.type == "delete"]  # fmt: skip
    return sum(run for run in runs if run >= LOST)
