"""Keeps what the libraries below ITK print on the terminal out of the user's one line."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_lock = threading.RLock()


@contextmanager
def silenced() -> Iterator[None]:
    """While the block runs, nothing written to the process's standard error is shown.

    libpng, libtiff, MetaIO and nifti_clib write there themselves, past Python and past ITK's own switch; what they
    say of a damaged file stands in the InputError that follows. One thread at a time holds it.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    with _lock:
        try:
            kept = os.dup(2)
        except OSError:  # a program without a terminal has no standard error
            yield
            return
        shown = sys.stderr
        try:
            with suppress(OSError, ValueError, AttributeError):
                sys.stderr.flush()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            # Another thread may have something to tell meanwhile; what Python writes goes the usual way.
            if shown is sys.__stderr__ and shown is not None:
                sys.stderr = os.fdopen(os.dup(kept), "w", buffering=1, encoding=shown.encoding, errors="replace")
            yield
        finally:
            sys.stderr = shown
            os.dup2(kept, 2)
            os.close(kept)
