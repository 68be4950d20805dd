"""The speech fixtures with their truth, how to compare words, and sound made on the spot."""

import json
import re
import wave
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from engine.audio import Samples

SPEECH = Path(__file__).resolve().parent / "speech"


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance of a fixture and where it lies, right to about 50 ms."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Speech:
    """A fixture: its file and the truth about it."""

    path: Path
    text: str
    language: str
    seconds: float
    utterances: tuple[Spoken, ...]


def fixture(name: str) -> Speech:
    """Return the speech fixture of that name."""
    truth = json.loads((SPEECH / f"{name}.json").read_text(encoding="utf-8"))
    return Speech(
        path=SPEECH / f"{name}.flac",
        text=truth["text"],
        language=truth["language"],
        seconds=truth["seconds"],
        utterances=tuple(
            Spoken(u["text"], u["start_ms"], u["end_ms"]) for u in truth["utterances"]
        ),
    )


def words_of(text: str) -> list[str]:
    """Return the words in lower case and without punctuation."""
    return re.sub(r"[^\w\s]", "", text.lower()).split()


def words_wrong(reference: str, text: str) -> int:
    """Return how many words must be put in, taken out or replaced to turn one into the other."""
    wanted, got = words_of(reference), words_of(text)
    row = list(range(len(got) + 1))
    for i, word in enumerate(wanted, 1):
        before, row = row, [i]
        for j, other in enumerate(got, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (word != other)))
    return row[-1]


def tone(seconds: float, rate: int = 16_000, hertz: float = 440.0, level: float = 0.3) -> Samples:
    """Return a sine wave."""
    at = np.arange(round(seconds * rate)) / rate
    return (np.sin(2 * np.pi * hertz * at) * level * 32767).astype(np.int16)


def hiss(seconds: float, rate: int = 16_000, level: float = 0.05, seed: int = 1) -> Samples:
    """Return white noise."""
    noise = np.random.default_rng(seed).normal(0, level, round(seconds * rate))
    return (noise.clip(-1, 1) * 32767).astype(np.int16)


def write_wav(path: Path, *channels: Samples, rate: int = 16_000) -> Path:
    """Write a WAV file of one channel or several."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.stack(channels, axis=1).tobytes())
    return path


def encode(
    path: Path,
    kind: str,
    codec: str,
    *channels: Samples,
    rate: int = 16_000,
    options: dict[str, str] | None = None,
) -> Path:
    """Write the channels with PyAV in the format `kind`."""
    layout = "mono" if len(channels) == 1 else "stereo"
    packed = np.stack(channels, axis=1)
    with av.open(str(path), "w", format=kind, options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        for at in range(0, len(packed), rate):
            block = np.ascontiguousarray(packed[at : at + rate]).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout=layout)
            frame.sample_rate = rate
            frame.pts, frame.time_base = at, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def quiet_flac(path: Path, minutes: int) -> Path:
    """Write a FLAC file of digital silence: long to listen to, small on the disk."""
    silence = np.zeros(60 * 16_000, np.int16)
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=16_000, layout="mono")
        for _ in range(minutes):
            frame = av.AudioFrame.from_ndarray(silence.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
