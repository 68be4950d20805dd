"""The windows that sound is encoded in: how long they are, and what is heard of them.

Whisper was taught on windows of 30 s; a shorter one costs less than its share, for the encoder
compares everything with everything. Without silence behind the speech its decoder loops, so each
window has some, as sound: a spectrogram padded with zeros would be noise.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.audio import SAMPLE_RATE, Samples

FULL_WINDOW_SECONDS = 30
WINDOWS_SECONDS = (10, 15, 20)  # 75, 125 and 195 ms of a core to encode, where 30 s cost 400
SLACK_SECONDS = 2
HOP_SAMPLES = 160  # 10 ms, one frame of the spectrogram

Frames = npt.NDArray[np.float32]


def window_of(seconds: float) -> int:
    """Return the shortest window for so much speech, in seconds, with silence behind it."""
    return next((w for w in WINDOWS_SECONDS if seconds + SLACK_SECONDS <= w), FULL_WINDOW_SECONDS)


def spectrogram(extractor: Any, samples: Samples, window: int) -> Frames:
    """Return the log-mel frames [1, bands, window * 100] of samples padded to a window (s)."""
    audio = np.zeros(window * SAMPLE_RATE, np.float32)
    audio[: len(samples)] = samples.astype(np.float32) / 32768
    bands = extractor(audio, padding=0)[:, : window * SAMPLE_RATE // HOP_SAMPLES]
    return np.ascontiguousarray(bands[np.newaxis], np.float32)


def frames_of(samples: Samples) -> int:
    """Return how many frames are sound, not padding; at least 2, for alignment halves them."""
    most = FULL_WINDOW_SECONDS * SAMPLE_RATE // HOP_SAMPLES
    return max(min(len(samples) // HOP_SAMPLES, most), 2)
