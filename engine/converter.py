"""From what a device gives to what the journal holds: resampling and mixing, block by block."""

from typing import Any

import numpy as np

from engine.audio import SAMPLE_RATE


class Converter:
    """Turn blocks of a stream into 16 kHz mono s16le; one stream, one converter."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._layout = rate, "mono" if channels == 1 else "stereo"
        self._resampler: Any = None
        if (rate, channels) != (SAMPLE_RATE, 1):
            import av

            self._resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)

    def convert(self, block: bytes) -> bytes:
        """Return what can be given out by now."""
        if self._resampler is None:
            return block
        import av

        packed = np.frombuffer(block, np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=self._layout)
        frame.sample_rate = self._rate
        return self._joined(frame)

    def rest(self) -> bytes:
        """Return what was held back at the end of the stream."""
        return b"" if self._resampler is None else self._joined(None)

    def _joined(self, frame: Any) -> bytes:
        return b"".join(made.to_ndarray().tobytes() for made in self._resampler.resample(frame))
