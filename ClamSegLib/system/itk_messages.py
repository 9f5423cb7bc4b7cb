"""Keeps what the libraries below ITK print on the terminal out of the user's one line."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ClamSegLib.system.silence_c_output import descriptor_unheard

_lock = threading.RLock()


@contextmanager
def silenced() -> Iterator[None]:
    """While the block runs, nothing written to the process's standard error is shown.

    libpng, libtiff, MetaIO and nifti_clib write there themselves, past Python and past ITK's own switch; what they
    say of a damaged file stands in the InputError that follows. One thread at a time holds it.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    with _lock, descriptor_unheard(2):
        yield


def one_line(error: Exception) -> str:
    """The part of an ITK message a person can use."""
    lines = [line.strip().removeprefix("sitk::ERROR: ") for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith("Exception thrown") and "/" not in line[:4]]
    return (telling or lines or ["unknown error"])[-1].split("): ")[-1][:160]
