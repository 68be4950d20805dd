"""What a process sets for itself to compute windows faster: early, before it has threads.

Left to itself, glibc asks the kernel for each buffer of more than 32 MB and returns it after use
(mallopt(3), M_MMAP_THRESHOLD). The scores of the encoder's self-attention, heads x positions^2 of
4 bytes, are such a buffer beyond 20 s in `base` and 23 s in `tiny`, and the kernel clears its pages
each time: a third of what a full window costs. Kept in one heap that is not trimmed, they are
cleared once. Other libraries of C have no such settings, and are left as they are.
"""

import ctypes
import os
from pathlib import Path
from typing import Any

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # of malloc.h
KEPT_BYTES = 1 << 30
AVX_512 = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}  # what CTranslate2 wants
CPUINFO = Path("/proc/cpuinfo")


def prepare_process() -> None:
    """Set what this module has; more than once does no harm."""
    keep_buffers()
    use_avx512()


def keep_buffers() -> None:
    """Let the allocator keep what is freed.

    A thread that came before this may have a heap of its own, which holds no large buffer and
    may be handed on to a later thread.
    """
    mallopt = of_glibc("mallopt")
    if mallopt is not None:
        for option, value in ((ARENA_MAX, 1), (MMAP_MAX, 0), (TRIM_THRESHOLD, KEPT_BYTES)):
            mallopt(option, value)


def give_back() -> None:
    """Return to the system all memory that is free; nobody can allocate meanwhile."""
    trim = of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def of_glibc(name: str) -> Any:
    """Return a function of the C library; None if it has none of this name."""
    return getattr(ctypes.CDLL(None), name, None)


def use_avx512(cpuinfo: Path = CPUINFO) -> None:
    """Let CTranslate2 use AVX-512 on AMD's processors that have it (Zen 4 and later).

    It takes AVX2 unless it is told otherwise; a window is encoded in a tenth less. Intel's, of
    which many slow down for it, were not measured. What the environment says already stays.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    told = dict(line.partition(":")[::2] for line in reversed(lines))  # of the first processor
    told = {name.strip(): value.strip() for name, value in told.items()}
    if told.get("vendor_id") == "AuthenticAMD" and AVX_512.issubset(told.get("flags", "").split()):
        os.environ.setdefault("CT2_FORCE_CPU_ISA", "AVX512")
