"""webrtcvad and Silero over the same stream: speech begins when both hear it, and ends by Silero.

Both hear everything; skipping Silero where webrtcvad is silent would tear the state it carries.
The one array that comes out says both: where webrtcvad hears nothing, a probability that would
begin speech is held just below the onset, so that it can go on with an utterance but begin none.
Source: webrtcvad-wheels (MIT), Python's binding of the detector of Google's WebRTC (BSD).
"""

import numpy as np
import numpy.typing as npt
import webrtcvad

from engine.audio import SAMPLE_RATE, Samples
from engine.vad import CHUNK_SAMPLES, ONSET, Probabilities, Silero

FRAME_SAMPLES = SAMPLE_RATE // 50  # 20 ms, one of the three lengths that webrtcvad takes
MODE = 2  # of 0 to 3, which hears the least
# Its floor is an absolute one: it hears no speech below about -60 dBFS, where Silero still does.
GAIN = 4


class WebRtc:
    """The state of one stream. Not to be shared between threads or streams."""

    def __init__(self, gain: int = GAIN) -> None:
        self._vad = webrtcvad.Vad(MODE)
        self._gain = gain
        self._rest: Samples = np.zeros(0, np.int16)  # of a frame that the next chunk completes

    def voiced(self, samples: Samples) -> npt.NDArray[np.bool_]:
        """Tell of each chunk whether a frame that ends in it is voiced; whole chunks only."""
        if len(samples) % CHUNK_SAMPLES:
            raise ValueError(f"{len(samples)} samples are not whole chunks of {CHUNK_SAMPLES}")
        voiced = np.zeros(len(samples) // CHUNK_SAMPLES, np.bool_)
        before = len(self._rest)
        loud = (samples.astype(np.int32) * self._gain).clip(-32768, 32767).astype(np.int16)
        audio = np.concatenate([self._rest, loud])
        for start in range(0, len(audio) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
            end = start + FRAME_SAMPLES
            if self._vad.is_speech(audio[start:end].tobytes(), SAMPLE_RATE):
                voiced[(end - before - 1) // CHUNK_SAMPLES] = True
        self._rest = audio[len(audio) // FRAME_SAMPLES * FRAME_SAMPLES :]
        return voiced


class Detector:
    """The state of one stream. Not to be shared between threads or streams.

    `onset` is that of the profile which the probabilities are for.
    """

    def __init__(self, onset: float = ONSET) -> None:
        self._silero, self._webrtc = Silero(), WebRtc()
        self._doubt = np.nextafter(np.float32(onset), np.float32(0))

    def probabilities(self, samples: Samples) -> Probabilities:
        """Return the probability of speech (0..1) of each chunk; whole chunks only.

        At or above the onset it is only where webrtcvad agrees. However the stream is portioned,
        the result is the same.
        """
        heard = self._silero.probabilities(samples)
        agreed = self._webrtc.voiced(samples)
        result: Probabilities = np.where(agreed, heard, np.minimum(heard, self._doubt))
        return result
