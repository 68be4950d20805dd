"""The memory that windows are computed in: kept for the next one, given back when none comes.

Left to itself, glibc asks the kernel for each buffer of more than 32 MB and returns it after use
(mallopt(3), M_MMAP_THRESHOLD). What a window compares with itself is such a buffer beyond 20 s in
`base` and 23 s in `tiny`, and the kernel clears its pages each time: a third of what a full window
costs. All of it in one heap, untrimmed, is the remedy; there is nothing of that in other libraries
of C, where the calls do nothing.
"""

import ctypes

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # of malloc.h
KEPT_BYTES = 1 << 30


def keep_buffers() -> None:
    """Set the allocator of this process to keep what is freed; for threads that start later."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((ARENA_MAX, 1), (MMAP_MAX, 0), (TRIM_THRESHOLD, KEPT_BYTES)):
            mallopt(option, value)


def give_back() -> None:
    """Return to the system all memory that is free."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
