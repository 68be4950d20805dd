"""Voice activity detection by Silero (v6), chunk by chunk as the samples come.

The model is the ONNX file that faster-whisper ships. It sees 64 samples of context and 512 new
ones at a time and carries an LSTM state, so a stream fed in any portions gives the probabilities
of the whole file. Source: github.com/snakers4/silero-vad (MIT).
"""

import functools
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.audio import Samples

CHUNK_SAMPLES = 512  # 32 ms at 16 kHz, what the model was trained on
CONTEXT_SAMPLES = 64
ONSET = 0.5  # at this probability speech begins, unless a profile says otherwise
Probabilities = npt.NDArray[np.float32]


@functools.cache
def session() -> Any:
    """Return the one ONNX session of this process; running it is safe from any thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    path = files("faster_whisper").joinpath("assets", "silero_vad_v6.onnx")
    return onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"], sess_options=options
    )


class Silero:
    """The state of one stream. Not to be shared between threads or streams."""

    def __init__(self) -> None:
        self._h = np.zeros((1, 1, 128), np.float32)
        self._c = np.zeros((1, 1, 128), np.float32)
        self._context = np.zeros(CONTEXT_SAMPLES, np.float32)

    def probabilities(self, samples: Samples) -> Probabilities:
        """Return the probability of speech (0..1) of each chunk; whole chunks only."""
        if len(samples) % CHUNK_SAMPLES:
            raise ValueError(f"{len(samples)} samples are not whole chunks of {CHUNK_SAMPLES}")
        if not len(samples):
            return np.zeros(0, np.float32)
        audio = np.concatenate([self._context, samples.astype(np.float32) / 32768])
        self._context = audio[-CONTEXT_SAMPLES:]
        chunks = np.lib.stride_tricks.sliding_window_view(audio, CONTEXT_SAMPLES + CHUNK_SAMPLES)
        inputs = {
            "input": np.ascontiguousarray(chunks[::CHUNK_SAMPLES]),
            "h": self._h,
            "c": self._c,
        }
        output, self._h, self._c = session().run(None, inputs)
        result: Probabilities = output.reshape(-1)
        return result
