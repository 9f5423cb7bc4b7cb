"""Libraries loaded without Python's collector of garbage, which finds none among them and looks for long."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Runs a block that imports large libraries: what they make stays, so it is never looked through, then or later.

    torch makes 240,000 objects when it is loaded. Each full collection walks them all, also the last one at the end of
    the process: a quarter of the time of `import torch` (docs/research/performance.md, "Libraries in each other's way").
    """
    was, before = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > before:  # else garbage of this process would be kept with it, again and again
            gc.freeze()
        if was:
            gc.enable()
