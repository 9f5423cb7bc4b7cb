"""Keeps what libraries print past Python out of the user's terminal and out of the JSON lines of a process."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from tempfile import TemporaryFile
from typing import TextIO

_lock = threading.RLock()
# Of what libraries say about a file, this much is kept.
_HEARD_BYTES = 1 << 16
_COMPLAINT = re.compile(
    r"corrupt|premature|inconsistent|not enough|libpng|decode|jpeglib|fax|error|code not", re.IGNORECASE
)
_HARMLESS = re.compile(r"libpng warning: [a-z]|TIFFReadDirectory|TIFFFetch|EXIFRead|Unknown field")


def claim_stdout(encoding: str | None = None) -> TextIO:
    """Keeps standard output for what Python writes: file descriptor 1 leads to standard error from here on.

    C libraries and processes that are started find descriptor 1. Once claimed, the same stream is given again.

    Args:
        encoding: of what is written; the stream's own unless given, else with plain line ends on every system.
    """
    before = sys.stdout
    try:
        descriptor = os.dup(1 if _claimed is None else _claimed.fileno())
        os.dup2(2, 1)
    except (OSError, ValueError):  # a program without a terminal has neither
        return before
    return _keep(descriptor, before, encoding)


_claimed: TextIO | None = None


def _keep(descriptor: int, before: TextIO | None, encoding: str | None) -> TextIO:
    global _claimed  # noqa: PLW0603 - a process has one standard output
    own = getattr(before, "encoding", None)
    _claimed = os.fdopen(
        descriptor,
        "w",
        encoding=encoding or own,
        errors=getattr(before, "errors", None),
        newline="\n" if encoding else None,
    )
    if _claimed.isatty():
        _claimed.reconfigure(line_buffering=True)
    sys.stdout = _claimed
    return _claimed


@contextmanager
def suppress_c_stdout() -> Iterator[None]:
    """While the block runs, nothing written by C's printf is shown; what Python writes is. One thread at a time holds it.

    Where C's standard output is a variable (glibc, macOS), that is all that changes: Python writes past it. Elsewhere the
    file descriptor 1 leads nowhere and Python's stream past it, so blocks are to be short: the loading of a library.
    """
    with _lock:
        variable = _stdout_variable()
        if variable is None:
            with suppress_fd(1):
                yield
            return
        shown, variable.value = variable.value, _nowhere()
        try:
            yield
        finally:
            variable.value = shown


@cache
def _stdout_variable() -> ctypes.c_void_p | None:
    """C's variable stdout, None where it is none that can be set."""
    if os.name == "nt":
        return None
    library = ctypes.CDLL(None)
    if sys.platform == "darwin":
        return ctypes.c_void_p.in_dll(library, "__stdoutp")
    # In other C libraries of Linux it lies in memory that cannot be written.
    return ctypes.c_void_p.in_dll(library, "stdout") if hasattr(library, "gnu_get_libc_version") else None


@cache
def _nowhere() -> int:
    """A C stream that leads nowhere, opened once and kept: a library loaded meanwhile may hold on to it."""
    library = ctypes.CDLL(None)
    library.fopen.restype = ctypes.c_void_p
    return int(library.fopen(os.devnull.encode(), b"w"))


@contextmanager
def suppress_fd(descriptor: int, kept_in: int | None = None) -> Iterator[None]:
    """While the block runs, what libraries write to file descriptor 1 or 2 is not shown; what Python writes there is.

    Callers hold a lock: two threads at a time would give each other's descriptor back.

    Args:
        descriptor: 1 or 2.
        kept_in: descriptor of a file that gets those words; they are dropped without one.
    """
    name = {1: "stdout", 2: "stderr"}[descriptor]
    try:
        kept = os.dup(descriptor)
    except OSError:  # a program without a terminal has neither
        yield
        return
    shown = getattr(sys, name)
    _write_what_c_holds()
    with suppress(OSError, ValueError, AttributeError):
        shown.flush()
    try:
        elsewhere = os.open(os.devnull, os.O_WRONLY) if kept_in is None else os.dup(kept_in)
        os.dup2(elsewhere, descriptor)
        os.close(elsewhere)
        # Another thread may have something to tell meanwhile; what Python writes goes the usual way.
        if shown is not None and shown is getattr(sys, f"__{name}__"):
            around = os.fdopen(os.dup(kept), "w", buffering=1, encoding=shown.encoding, errors="replace")
            setattr(sys, name, around)
        yield
    finally:
        _write_what_c_holds()
        setattr(sys, name, shown)
        os.dup2(kept, descriptor)
        os.close(kept)


@contextmanager
def suppress_itk_output() -> Iterator[list[str]]:
    """While the block runs, nothing that ITK's libraries write to the process's standard output and error is shown.

    libpng, libjpeg, libtiff, MetaIO and nifti_clib write there themselves, past Python and past ITK's own switch. One thread at
    a time holds it.

    Yields:
        A list that holds their lines once the block has ended.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    words: list[str] = []
    with _lock, _short_file() as file:
        with suppress_fd(2, file), suppress_fd(1, file):
            yield words
        if file is not None:
            os.lseek(file, 0, os.SEEK_SET)
            words += os.read(file, _HEARD_BYTES).decode(errors="replace").splitlines()


@contextmanager
def _short_file() -> Iterator[int | None]:
    """The descriptor of a file that is in no folder, None where there can be none."""
    try:
        file = os.fdopen(os.memfd_create("words"), "wb") if hasattr(os, "memfd_create") else TemporaryFile()  # noqa: SIM115
    except OSError:
        yield None
        return
    with file:
        yield file.fileno()


def _write_what_c_holds() -> None:
    """C keeps what it prints; it goes to where descriptor 1 leads now."""
    with suppress(OSError):
        (ctypes.CDLL("ucrtbase") if os.name == "nt" else ctypes.CDLL(None)).fflush(None)


def one_line(error: Exception) -> str:
    """The part of an ITK message a person can use."""
    lines = [line.strip().removeprefix("sitk::ERROR: ") for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith("Exception thrown") and "/" not in line[:4]]
    return (telling or lines or ["unknown error"])[-1].split("): ")[-1][:160]


def complaint(lines: list[str]) -> str:
    """The first line in which a decoder says that it could not decode all pixels, '' where none does.

    What decoders say of colours, tags and other things beside the pixels is no matter: the names of the parts of a PNG that
    are not needed begin with a small letter.
    """
    for line in lines:
        if _COMPLAINT.search(line) and not _HARMLESS.search(line):
            words = "".join(letter for letter in line.strip() if letter.isprintable())
            return words.rstrip(".")[:120]
    return ""
