"""How loud a stream of samples is, and what is wrong with it: nothing comes, or it is clipped.

A pure state machine: no clock, no thread. However the input is portioned, the answers after the
same samples are the same. Levels are RMS in dBFS, where 0 is a square wave at full scale.
"""

import math
from collections import deque

import numpy as np
import numpy.typing as npt

from engine.audio import SAMPLE_RATE, Samples

FLOOR_DBFS = -120.0  # of digital silence, which has no logarithm
QUIET_DBFS = -70.0
FULL_SCALE = 32_767  # either rail: -32,767 is one step before the other
SILENT, CLIPPING = "silent", "clipping"

ZERO_SAMPLES = 5 * SAMPLE_RATE  # of digital zero: nobody is there
QUIET_SECONDS = 60  # below QUIET_DBFS: muted, or the wrong device
CLIP_SAMPLES = 3  # in a row at full scale: no sound has such a top by itself
CLIPS = 3  # of them within CLIPS_WITHIN: one may be a knock at the table
CLIPS_WITHIN = SAMPLE_RATE
CLIPPING_LASTS = 10 * SAMPLE_RATE  # after the last one


class Levels:
    """What one stream has been like up to now. Not to be shared between threads or streams.

    `silent` lasts while the stream ends in ZERO_SAMPLES of zeros or in QUIET_SECONDS whole seconds
    below QUIET_DBFS. `clipping` begins with the last of CLIPS tops within CLIPS_WITHIN, and ends
    CLIPPING_LASTS after the last top.
    """

    def __init__(self) -> None:
        self._samples = 0  # so far
        self._second: Samples = np.zeros(0, np.int16)  # the last one
        self._zeros = 0  # that the stream ends in
        self._quiet_seconds = 0  # that the whole seconds end in
        self._edge = np.zeros(CLIP_SAMPLES, np.bool_)  # whether the last samples are at full scale
        self._tops: deque[int] = deque(maxlen=CLIPS)  # where the last ones were long enough
        self._clipping_until = 0

    def push(self, samples: Samples) -> None:
        """Take the next samples, however many."""
        if not len(samples):
            return
        self._count_zeros(samples)
        self._find_tops(samples)
        at, self._samples = 0, self._samples + len(samples)
        while at < len(samples):  # from one whole second of the stream to the next
            over = (self._samples - len(samples) + at) % SAMPLE_RATE
            part = samples[at : at + SAMPLE_RATE - over]
            at += len(part)
            self._second = np.concatenate([self._second, part])[-SAMPLE_RATE:]
            if over + len(part) == SAMPLE_RATE:
                quiet = dbfs_of(self._second) < QUIET_DBFS
                self._quiet_seconds = self._quiet_seconds + 1 if quiet else 0

    @property
    def dbfs(self) -> float | None:
        """Return the level of the last second, at least FLOOR_DBFS; None before there is one."""
        return dbfs_of(self._second) if len(self._second) == SAMPLE_RATE else None

    @property
    def alarms(self) -> frozenset[str]:
        """Return what is wrong now: of SILENT and CLIPPING."""
        alarms = set()
        if self._zeros >= ZERO_SAMPLES or self._quiet_seconds >= QUIET_SECONDS:
            alarms.add(SILENT)
        if self._samples < self._clipping_until:
            alarms.add(CLIPPING)
        return frozenset(alarms)

    def _count_zeros(self, samples: Samples) -> None:
        sounding = np.flatnonzero(samples)
        if len(sounding):
            self._zeros = len(samples) - 1 - int(sounding[-1])
        else:
            self._zeros += len(samples)

    def _find_tops(self, samples: Samples) -> None:
        """Count a top once, at the sample that makes it long enough."""
        full = np.concatenate([self._edge, np.abs(samples.astype(np.int32)) >= FULL_SCALE])
        for end in np.flatnonzero(reaches(full)):
            position = self._samples + int(end) + 1
            self._tops.append(position)
            many = len(self._tops) == CLIPS and position - self._tops[0] < CLIPS_WITHIN
            if many or position <= self._clipping_until:
                self._clipping_until = position + CLIPPING_LASTS
        self._edge = full[-CLIP_SAMPLES:]


def reaches(full: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Tell of each but the first CLIP_SAMPLES where a run of exactly so many ends, so far."""
    windows = np.lib.stride_tricks.sliding_window_view(full, CLIP_SAMPLES + 1)
    result: npt.NDArray[np.bool_] = windows[:, 1:].all(axis=1) & ~windows[:, 0]
    return result


def dbfs_of(samples: Samples) -> float:
    """Return the level of some samples."""
    power = float(np.mean(np.square(samples.astype(np.float64)))) / 32768**2
    return max(10 * math.log10(power), FLOOR_DBFS) if power > 0 else FLOOR_DBFS
