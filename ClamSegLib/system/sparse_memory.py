"""Zeros that take memory only where something is written: maps and masks of a scan are empty in most of it.

NumPy asks Linux for memory in pages of 2 MB, of which a single voxel written takes one, so that an array of lesions that fill
a thousandth of a scan is as large as the scan. Elsewhere NumPy's own zeros do as well.
"""

from __future__ import annotations

import errno
import mmap
import sys
from contextlib import suppress
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Kind = TypeVar("Kind", bound=np.generic)
_SMALLEST = 1 << 20  # bytes; below it NumPy asks for no large pages


def zeros_on_demand(shape: tuple[int, ...], dtype: type[Kind]) -> NDArray[Kind]:
    """As `numpy.zeros`.

    Raises:
        MemoryError: the system has no room for it.
    """
    kind = np.dtype(dtype)
    size = kind.itemsize
    for side in shape:
        size *= int(side)
    if size < _SMALLEST or not sys.platform.startswith("linux"):
        return np.zeros(shape, kind)
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError(f"{size / 1e6:.0f} MB of memory are not there.") from error
        raise
    with suppress(OSError, AttributeError):  # a kernel without large pages knows no such advice
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, kind).reshape(shape)
