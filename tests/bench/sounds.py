"""Sound in which nobody speaks, made on the spot: noise, silence, hum, music, taps.

Deterministic: the same seed gives the same samples. Levels are peak values of full scale.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from engine.audio import SAMPLE_RATE, Samples

Wave = npt.NDArray[np.float64]
LEVELS = (0.003, 0.03, 0.2)
NOTES_HZ = 220 * 2 ** (np.array([0, 3, 5, 7, 10, 12, 15, 17]) / 12)


def pcm(wave: Wave, level: float) -> Samples:
    """Return a wave as samples with a certain peak."""
    peak = float(np.abs(wave).max()) or 1.0
    return (wave / peak * level * 32767).astype(np.int16)


def coloured(seconds: float, exponent: float, rng: np.random.Generator) -> Wave:
    """Return noise whose power falls with frequency: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.normal(size=round(seconds * SAMPLE_RATE)))
    frequencies = np.maximum(np.fft.rfftfreq(round(seconds * SAMPLE_RATE), 1 / SAMPLE_RATE), 20)
    return np.fft.irfft(spectrum / frequencies ** (exponent / 2))


def hum(seconds: float, rng: np.random.Generator) -> Wave:
    """Return mains hum with its harmonics, and a little noise."""
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    base = rng.choice([50.0, 60.0])
    tones = sum(np.sin(2 * np.pi * base * n * at + n) / n for n in range(1, 9))
    return tones + 0.02 * rng.normal(size=len(at))


def music(seconds: float, rng: np.random.Generator) -> Wave:
    """Return plucked notes and chords over a beat."""
    wave = np.zeros(round(seconds * SAMPLE_RATE))
    beat_s = rng.uniform(0.2, 0.5)
    for start in np.arange(0, seconds - 1.5, beat_s):
        at = np.arange(round(1.5 * SAMPLE_RATE)) / SAMPLE_RATE
        for hertz in rng.choice(NOTES_HZ, rng.integers(1, 4)):
            fall = np.exp(-at * rng.uniform(2, 6))
            note = sum(np.sin(2 * np.pi * hertz * n * at) / n**1.5 for n in range(1, 6)) * fall
            first = round(start * SAMPLE_RATE)
            wave[first : first + len(note)] += note[: len(wave) - first]
    return wave


def taps(seconds: float, rng: np.random.Generator) -> Wave:
    """Return short knocks, as of keys or a table."""
    wave = 0.01 * rng.normal(size=round(seconds * SAMPLE_RATE))
    for first in rng.integers(0, len(wave) - 800, round(seconds * 4)):
        knock = rng.normal(size=800) * np.exp(-np.arange(800) / 90)
        wave[first : first + 800] += knock
    return wave


def breaths(seconds: float, rng: np.random.Generator) -> Wave:
    """Return noise that swells and fades as breath does."""
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    swell = np.clip(np.sin(2 * np.pi * rng.uniform(0.2, 0.6) * at), 0, 1) ** 2
    return coloured(seconds, 1, rng) * (swell + 0.01)


def without_speech(seconds: float, seed: int) -> Iterator[tuple[str, Samples]]:
    """Yield every kind of sound at every level, each with its name."""
    rng = np.random.default_rng(seed)
    yield "silence", np.zeros(round(seconds * SAMPLE_RATE), np.int16)
    for level in LEVELS:
        yield f"white {level}", pcm(coloured(seconds, 0, rng), level)
        yield f"pink {level}", pcm(coloured(seconds, 1, rng), level)
        yield f"brown {level}", pcm(coloured(seconds, 2, rng), level)
        yield f"hum {level}", pcm(hum(seconds, rng), level)
        yield f"music {level}", pcm(music(seconds, rng), level)
        yield f"taps {level}", pcm(taps(seconds, rng), level)
        yield f"breaths {level}", pcm(breaths(seconds, rng), level)
