"""What a model runs on: the device, and how the cores are shared out among windows."""

import os
from dataclasses import dataclass

MOST_WORKERS = 2  # chosen by itself: each more takes memory, and a live one gets a core later
MOST_THREADS = 4  # of one window: more give nothing


@dataclass(frozen=True, slots=True)
class Hardware:
    """The device, the threads of one window, and how many windows are transcribed at once.

    Zero means: chosen from the cores. Two workers of one thread each do a quarter more than one
    with two, for the decoder reads all of its weights for each word, which a second core does
    not hasten (measured on 2 cores, `base` and `tiny.en`, tests/bench/RESULTS.md).
    """

    device: str = "auto"  # "cpu", "cuda" or whichever there is
    threads: int = 0
    workers: int = 0

    def resolved(self) -> "Hardware":
        """Return the same with nothing left open."""
        device = self.device
        if device == "auto":
            device = "cuda" if cuda_devices() else "cpu"
        cores = len(os.sched_getaffinity(0))
        most = 1 if device == "cuda" else MOST_WORKERS
        workers = self.workers or max(min(cores // (self.threads or 1), most), 1)
        threads = self.threads or max(min(cores // workers, MOST_THREADS), 1)
        return Hardware(device, threads, workers)


def cuda_devices() -> int:
    """Return how many GPUs CTranslate2 can use."""
    import ctranslate2

    return int(ctranslate2.get_cuda_device_count())
