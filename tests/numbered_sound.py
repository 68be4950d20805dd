"""A sound that numbers itself: from any tenth of a second of it one can tell where it was.

Noise between 300 and 5000 Hz from a seed. `places` finds where each stretch of what was captured
lies in what was played, to the sample; a lost or doubled sample is a step from one to the next.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

RATE = 16_000
BLOCK = RATE // 10
LOW_HZ, HIGH_HZ = 300, 5000
CLEAR = 0.5  # correlation from which a place is certain; noise that is not the sound has 0.1


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of the captured sound: where it begins, where that was played, how alike."""

    captured: int
    played: int
    likeness: float


def sound(seconds: float, seed: int = 1, amplitude: float = 0.2) -> np.ndarray:
    """Return the sound, int16."""
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / RATE)
    spectrum[(hertz < LOW_HZ) | (hertz > HIGH_HZ)] = 0
    noise = np.fft.irfft(spectrum, count)
    return (noise / noise.std() * amplitude / 3 * 32767).clip(-32768, 32767).astype(np.int16)


def places(captured: np.ndarray, played: np.ndarray, reach: int = 12 * RATE) -> list[Place]:
    """Return where each tenth of a second was played; those that are not of the sound are left out.

    `reach` is how far a place may lie from where the one before leads, in samples.
    """
    found: list[Place] = []
    expected: int | None = None
    for at in range(0, len(captured) - BLOCK + 1, BLOCK):
        block = captured[at : at + BLOCK].astype(np.float64)
        if block.std() < 50:
            continue
        near = None if expected is None else locate(block, played, expected + at, 400)
        if near is None or near.likeness < CLEAR:
            middle = len(played) // 2 if expected is None else expected + at
            span = len(played) if expected is None else reach
            near = locate(block, played, middle, span)
        if near is not None and near.likeness >= CLEAR:
            found.append(Place(at, near.played, near.likeness))
            expected = near.played - at
    return found


def locate(block: np.ndarray, played: np.ndarray, middle: int, reach: int) -> Place | None:
    """Return the best place of a block within reach of a position."""
    first = max(0, middle - reach)
    window = played[first : middle + reach + len(block)].astype(np.float64)
    if len(window) < len(block):
        return None
    size = 1 << (len(window) + len(block) - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(window, size) * np.conj(np.fft.rfft(block, size)), size)
    product = product[: len(window) - len(block) + 1]
    energy = np.cumsum(np.concatenate([[0.0], window**2]))
    norms = np.sqrt((energy[len(block) :] - energy[: -len(block)]) * (block**2).sum()).clip(1)
    likeness = product / norms
    best = int(likeness.argmax())
    return Place(0, first + best, float(likeness[best]))


def steps(found: list[Place], tolerance: int = 3) -> list[tuple[int, int]]:
    """Return where samples are missing (positive) or too many: (position captured, how many)."""
    stepped = []
    for before, after in pairwise(found):
        jump = (after.played - after.captured) - (before.played - before.captured)
        if abs(jump) > tolerance:
            stepped.append((after.captured, jump))
    return stepped
