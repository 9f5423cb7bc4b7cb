"""Freed memory kept for the next layer while networks run, on Linux with its usual C library.

The maps of a network are megabytes each and live for one layer. By default the C library gives such memory back to the
system at once and gets it again page by page, which took 10 to 15 % of a training step and more of an inference
(docs/research/performance.md). Elsewhere nothing is changed.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# Numbers of malloc.h; 32 MB is the largest size that glibc agrees to keep.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT, _NEVER = 32 * 2**20, 2**31 - 1
# Afterwards arrays of more than 1 MB go back at once, and what is free at the end of the heap above 16 MB.
_LARGEST_AFTERWARDS, _AFTERWARDS = 2**20, 16 * 2**20
_lock = threading.Lock()
_blocks: list[object] = []  # that are inside now, of all threads


@cache
def _glibc() -> Any:
    """The C library, None where it is another one."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    known = all(hasattr(library, name) for name in ("gnu_get_libc_version", "mallopt", "malloc_trim"))
    return library if known else None


def give_back_memory() -> None:
    """What is free goes back to the system: after a scan was closed, of which much lies between what is still used."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Within the block freed memory stays with the process; at its end what is free goes back to the system."""
    library = _glibc()
    if library is None:
        yield
        return
    with _lock:
        _blocks.append(block := object())
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        library.mallopt(_M_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        with _lock:
            _blocks.remove(block)
            if not _blocks:
                library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_AFTERWARDS)
                library.mallopt(_M_TRIM_THRESHOLD, _AFTERWARDS)
                library.malloc_trim(0)
