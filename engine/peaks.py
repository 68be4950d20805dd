"""The outline of a sound, as a waveform is drawn from it: the largest amplitude of each slice.

Made in one pass in constant memory, of a length nobody knows before: when the bins are used up,
neighbours are joined, and from then on each stands for twice as long.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.audio import SAMPLE_RATE, Samples

BINS = 1 << 14  # between this and half of it once a sound is long: four for each of 4000 points
FIRST_BIN_SAMPLES = 16  # 1 ms
FULL_SCALE, PERCENT = 1 << 15, 100


@dataclass(frozen=True, slots=True)
class Outline:
    """How loud a sound is over its length: bins of equal length, each 0 to 100 % of full scale."""

    seconds: float
    bins: bytes

    def points(self, count: int) -> list[int]:
        """Return the outline as so many slices of equal length, to within a bin."""
        if not self.bins:
            return [0] * count
        bins = np.frombuffer(self.bins, np.uint8)
        starts = np.arange(count) * len(bins) // count
        return [int(point) for point in np.maximum.reduceat(bins, starts)]


def outline(blocks: Iterable[Samples]) -> Outline:
    """Return the outline of a sound that comes in blocks."""
    maxima: npt.NDArray[np.int32] = np.zeros(BINS, np.int32)
    rest: Samples = np.zeros(0, np.int16)
    used, bin_samples, samples = 0, FIRST_BIN_SAMPLES, 0
    for block in blocks:
        samples += len(block)
        rest = np.concatenate((rest, block))
        while len(rest) >= bin_samples:
            whole = min(len(rest) // bin_samples, BINS - used)
            maxima[used : used + whole] = loudest(rest[: whole * bin_samples], bin_samples)
            rest = rest[whole * bin_samples :]
            used += whole
            if used == BINS:
                used, bin_samples = BINS // 2, 2 * bin_samples
                maxima[:used] = maxima.reshape(-1, 2).max(axis=1)
    found = maxima[:used]
    if len(rest):
        found = np.append(found, loudest(rest, len(rest)))
    percent = np.rint(found * (PERCENT / FULL_SCALE)).astype(np.uint8)
    return Outline(samples / SAMPLE_RATE, percent.tobytes())


def loudest(samples: Samples, bin_samples: int) -> npt.NDArray[np.int32]:
    """Return the largest absolute amplitude of each bin; of -32768 int16 has none."""
    binned = samples.reshape(-1, bin_samples)
    highest, lowest = binned.max(axis=1).astype(np.int32), binned.min(axis=1).astype(np.int32)
    amplitudes: npt.NDArray[np.int32] = np.maximum(highest, -lowest)
    return amplitudes
