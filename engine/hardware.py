"""What a model runs on: the device, and how the cores are shared out among windows."""

import os
from dataclasses import dataclass
from pathlib import Path

MOST_WORKERS = 2  # chosen by itself: each more takes memory, and a live one gets a core later
MOST_THREADS = 4  # of one window: more give nothing
AVX_512 = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}


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


def use_wide_vectors(cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """Let CTranslate2 use AVX-512 wherever there is all of it; call before a model is loaded.

    Left to itself it does so on Intel's processors alone; on AMD's (Zen 4 and later) a window is
    encoded in a tenth less. What the environment says already stays.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    if AVX_512.issubset(flags):
        os.environ.setdefault("CT2_FORCE_CPU_ISA", "AVX512")


def cuda_devices() -> int:
    """Return how many GPUs CTranslate2 can use."""
    import ctranslate2

    return int(ctranslate2.get_cuda_device_count())
