"""The two codes of the telephone (ITU-T G.711): a table of what each byte stands for."""

import numpy as np
import numpy.typing as npt

CODES = np.arange(256)


def a_law() -> npt.NDArray[np.int16]:
    """Return the sample of each A-law byte; every second bit is inverted on the line."""
    code = CODES ^ 0x55
    segment, step = code >> 4 & 7, code & 15
    level = np.where(segment, (step << 4) + 0x108 << np.maximum(segment - 1, 0), (step << 4) + 8)
    return np.where(code & 0x80, level, -level).astype(np.int16)


def mu_law() -> npt.NDArray[np.int16]:
    """Return the sample of each mu-law byte; all bits are inverted on the line."""
    code = CODES ^ 0xFF
    segment, step = code >> 4 & 7, code & 15
    level = ((step << 3) + 0x84 << segment) - 0x84
    return np.where(code & 0x80, -level, level).astype(np.int16)


A_LAW, MU_LAW = a_law(), mu_law()
