"""The sound of a latency measurement: what is played, and the utterances the box finds in it."""

import time
from dataclasses import dataclass
from pathlib import Path

import corpus
import numpy as np
from speech_fixtures import fixture

from engine.audio import SAMPLE_RATE, Samples, read
from engine.detector import Detector
from engine.segmenter import FILE, MEETING, Segmenter, Utterance
from engine.vad import CHUNK_SAMPLES, Silero
from engine.whisper import Request, Whisper

CLIPS, PAUSE_S, LONGEST_CLIP_S = 42, 2.5, 10
WINDOWS = 8  # of an upload, that are timed
BEGINS_WITHIN_S = 20  # what is played, after the recording
STEPS = 16  # of a sample, to which they are aligned


def spoken(folder: str) -> tuple[Samples, str]:
    """Return the sound to play, and its words."""
    if folder:
        clips = [(clip.reference, read(clip.path)) for clip in corpus.read(folder)
                 if clip.language == "en" and clip.kind.startswith("read")]  # fmt: skip
        clips = [each for each in clips if len(each[1]) <= LONGEST_CLIP_S * SAMPLE_RATE]
        clips = [clips[i] for i in np.linspace(0, len(clips) - 1, CLIPS).astype(int)]
    else:
        clips = [(said.text, read(speech.path)[said.start_ms * 16 : said.end_ms * 16])
                 for speech in map(fixture, ("meeting", "two-voices", "dictation", "long-pause"))
                 for said in speech.utterances]  # fmt: skip
        clips *= -(-CLIPS // len(clips))
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), np.int16)
    played = [part for _, samples in clips[:CLIPS] for part in (samples, pause)]
    return np.concatenate([pause[: SAMPLE_RATE // 2], *played]), " ".join(
        text for text, _ in clips[:CLIPS]
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """An utterance: the last voiced sample, and the sample with which it was known to be over."""

    utterance: Utterance
    voiced_to: int
    decided_at: int


def utterances(samples: Samples) -> list[Ended]:
    """Return the utterances that the box found in the same samples."""
    samples = samples[: len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES]
    heard, segmenter = Detector(MEETING.onset).probabilities(samples), Segmenter(MEETING)
    found: list[Ended] = []

    def add(some: list[Utterance], decided_at: int) -> None:
        for each in some:
            first, end = each.start_sample // CHUNK_SAMPLES, each.end_sample // CHUNK_SAMPLES
            voiced = np.flatnonzero(heard[first:end] >= MEETING.offset)
            found.append(Ended(each, (first + int(voiced[-1]) + 1) * CHUNK_SAMPLES, decided_at))

    for i in range(len(heard)):
        at = i * CHUNK_SAMPLES
        add(segmenter.push(samples[at : at + CHUNK_SAMPLES], heard[i : i + 1]), at + CHUNK_SAMPLES)
    add(segmenter.flush(), len(samples))
    return found


def aligned(captured: Samples, played: Samples) -> tuple[int, float]:
    """Return where in the FLAC what was played begins, and how alike they are from there.

    The way to 48 kHz and back moves the sound by a part of a sample, too; that is no difference.
    """
    size = 1 << (len(captured) + len(played)).bit_length()
    product = np.fft.rfft(captured, size) * np.conj(np.fft.rfft(played, size))
    offset = int(np.fft.irfft(product, size)[: BEGINS_WITHIN_S * SAMPLE_RATE].argmax())
    turned = 2j * np.pi * np.arange(len(product)) / size
    product *= np.exp(turned * offset)
    part = captured[offset : offset + len(played)].astype(np.float64)
    norm = np.sqrt((part**2).sum() * (played.astype(np.float64) ** 2).sum())
    best = max(
        float((product * np.exp(turned * step / STEPS)).real.sum()) * 2 / size
        for step in range(-STEPS // 2, STEPS // 2 + 1)
    )
    return offset, best / norm


def window_seconds(whisper: Whisper, path: Path) -> float:
    """Return how long the longest of the windows of an upload takes the engine, by itself."""
    samples = read(path)[: WINDOWS * 30 * SAMPLE_RATE]
    samples = samples[: len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES]
    windows = Segmenter(FILE).push(samples, Silero().probabilities(samples))[:WINDOWS]
    taken = []
    for window in windows:
        at = time.perf_counter()
        whisper.transcribe(window.samples, Request(language="en"))
        taken.append(time.perf_counter() - at)
    return max(taken)
