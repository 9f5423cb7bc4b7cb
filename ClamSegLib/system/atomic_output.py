"""Outputs appear whole or not at all: written aside under another name, renamed when complete."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ClamSegLib.system.errors import InputError, OutputError

_LEFTOVER_AGE_S = 24 * 3600
# Of the 255 that usual disks allow, less the words that tell a part from the whole.
_NAME_BYTES = 220


def _part_of_name(target: Path) -> str:
    """The end of a name, its suffixes included: with a few words more, the whole name may be too long for a disk."""
    return os.fsencode(target.name)[-_NAME_BYTES:].decode(errors="ignore")


def _aside(target: Path, word: str) -> Path:
    return target.with_name(f".{_part_of_name(target)}.{word}-{uuid.uuid4().hex[:8]}")


def _output_error(target: Path, error: OSError) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(
            f"No space left while writing {target}; free some space and run again. Nothing was left there."
        )
    return OutputError(f"Cannot write {target}: {error.strerror or error}. Choose a folder you may write to.")


def refuse_existing(target: Path, overwrite: bool) -> None:
    """Raises InputError when `target` exists and may not be replaced."""
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists already; choose another output or pass --overwrite to replace it.")


def _remove(path: Path) -> None:
    # Below a file, or in a folder that went away, there is nothing to remove; the first error is the one to tell.
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _put_in_place(written: Path, target: Path) -> None:
    old = _aside(target, "old")
    if target.exists():
        os.replace(target, old)
    try:
        os.replace(written, target)
    except OSError:
        if old.exists():
            os.replace(old, target)
        raise
    _remove(old)


def _remove_leftovers(target: Path) -> None:
    """Parts a killed process left beside `target`; younger ones may belong to a process that still writes."""
    for left in target.parent.glob(f".{glob.escape(_part_of_name(target))}.part-*"):
        if time.time() - left.stat().st_mtime > _LEFTOVER_AGE_S:
            _remove(left)


@contextmanager
def whole_folder(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yields an empty folder beside `target` that becomes `target` when the block ends without an error.

    With an error, a kill of the block or a full disk, `target` is as it was before.

    Raises:
        InputError: `target` exists and `overwrite` is false.
        OutputError: the folder cannot be written.
    """
    target = Path(target)
    refuse_existing(target, overwrite)
    written = _aside(target, "part")
    try:
        _remove_leftovers(target)
        written.mkdir(parents=True)
        yield written
        _put_in_place(written, target)
    except OSError as error:
        raise _output_error(target, error) from error
    finally:
        _remove(written)


@contextmanager
def whole_file(target: Path, overwrite: bool = True) -> Iterator[Path]:
    """Yields a path beside `target`, with its suffixes, that becomes `target` when the block ends well.

    Raises:
        InputError: `target` exists and `overwrite` is false.
        OutputError: the file cannot be written.
    """
    target = Path(target)
    refuse_existing(target, overwrite)
    # The suffix stays last so that writers that choose the format by it still do.
    written = target.with_name(f".part-{uuid.uuid4().hex[:8]}-{_part_of_name(target)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield written
        _put_in_place(written, target)
    except OSError as error:
        raise _output_error(target, error) from error
    finally:
        _remove(written)
