"""Libraries loaded without Python's collector of garbage, which finds none among them and looks for long."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Blocks:
    """Blocks of `loading` that run now, in any thread: the collector is one for all."""

    lock = threading.Lock()
    running = 0
    was_enabled = False
    modules_before = 0
    interval_s = 0.0


# Python lets a thread that only imports go on for 5 ms before another one's turn comes: one that computes beside it, by many short
# steps of NumPy, would wait as long after each of them.
_TURN_S = 0.0005


@contextmanager
def loading() -> Iterator[None]:
    """Runs a block that imports large libraries: what they make stays, so it is never looked through, then or later.

    torch makes 240,000 objects when it is loaded. Each full collection walks them all, also the last one at the end of
    the process: a quarter of the time of `import torch` (docs/research/performance.md, "Libraries in each other's way").
    Several threads may load at once; the collector runs again when the last one has loaded.
    """
    with _Blocks.lock:
        if not _Blocks.running:
            _Blocks.was_enabled, _Blocks.modules_before = gc.isenabled(), len(sys.modules)
            gc.disable()
            _Blocks.interval_s = sys.getswitchinterval()
            sys.setswitchinterval(_TURN_S)
        _Blocks.running += 1
    try:
        yield
    finally:
        with _Blocks.lock:
            _Blocks.running -= 1
            if not _Blocks.running:
                if (
                    len(sys.modules) > _Blocks.modules_before
                ):  # else garbage of this process would be kept with it, again and again
                    gc.freeze()
                if _Blocks.was_enabled:
                    gc.enable()
                sys.setswitchinterval(_Blocks.interval_s)
