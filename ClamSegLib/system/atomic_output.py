"""Outputs appear whole or not at all: written aside, flushed to the disk, then renamed into place.

While a target NAME is written, the new one lies beside it in `.clamseg-part-*/NAME`, and for the instant in which folders
are swapped the one before lies in `.clamseg-old-*/NAME`. What a killed process left there is put right at the next start.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ClamSegLib.system.disk import exists, flush, output_error, take_along
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.folder_kind import FolderKind

_PART, _OLD = ".clamseg-part-", ".clamseg-old-"
_LEFTOVER_AGE_S = 24 * 3600
_RESERVE_BYTES = 4 << 20
# Another process may put its own result in place between the two renames; whoever comes last wins.
_ATTEMPTS = 5
_RACED = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)
_cleaned: set[Path] = set()


def refuse_existing(target: Path, overwrite: bool, kind: FolderKind) -> None:
    """Raises InputError when something is at `target` that may not be replaced by a folder of this kind.

    A folder that a killed process was just replacing is put back first.
    """
    target = Path(target)
    if not exists(target):
        put_back(target.parent)
    if not exists(target):
        return
    mode = target.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise InputError(f"{target} is a link; name the folder it leads to, or choose another output.")
    if not stat.S_ISDIR(mode):
        raise InputError(f"{target} is no folder and is not replaced by one; choose another output.")
    if not kind.is_at(target) and any(target.iterdir()):
        raise InputError(
            f"{target} exists and is not {kind.shown} of ClamSeg (no {kind.manifest} of its own is in it), so not even "
            "--overwrite replaces it; choose another output."
        )
    if not overwrite:
        raise InputError(f"{target} exists already; choose another output or pass --overwrite to replace it.")


def put_back(folder: Path) -> None:
    """Puts back what a process was replacing in `folder` when it was killed, and removes what it had replaced."""
    with suppress(OSError):
        for aside in folder.glob(f"{_OLD}*"):
            for old in aside.iterdir():
                if not exists(folder / old.name):
                    old.rename(folder / old.name)
            _remove(aside)
        # As earlier versions called it; of a very long name only the end was kept.
        for old in folder.glob(".*.old-????????"):
            name = old.name[1:].rpartition(".old-")[0]
            if not exists(folder / name) and len(os.fsencode(name)) < 220:
                old.rename(folder / name)


@contextmanager
def whole_folder(target: Path, kind: FolderKind, overwrite: bool = False, *, lasting: bool = True) -> Iterator[Path]:
    """Yields an empty folder that becomes `target` when the block ends without an error.

    With an error, a kill or a full disk `target` is as it was before. Where it is replaced, files in it that are not of
    this kind are somebody's and stay.

    Args:
        target: of the result.
        kind: of folder that it is, and may replace.
        overwrite: whether it may replace one.
        lasting: outlives a power cut; what another process reads at once and nobody keeps need not.

    Raises:
        InputError: `target` exists and `overwrite` is false, or it is nothing that ClamSeg wrote.
        OutputError: the folder cannot be written.
    """
    target = Path(target)
    refuse_existing(target, overwrite, kind)
    with _written_aside(target) as written:
        written.mkdir()
        yield written
        if lasting:
            flush(written)
        _swap(written, target, kind, overwrite)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yields a path of the same name, in a folder beside `target`, that becomes `target` when the block ends well.

    Raises:
        InputError: something other than a file is at `target`.
        OutputError: the file cannot be written.
    """
    target = Path(target)
    if exists(target) and not stat.S_ISREG(target.lstat().st_mode):
        raise InputError(f"{target} is no plain file and is not replaced; choose another name, or remove it.")
    with _written_aside(target) as written:
        yield written
        flush(written)
        os.replace(written, target)
        flush(target.parent, deep=False)


@contextmanager
def _written_aside(target: Path) -> Iterator[Path]:
    """A path in a new folder beside `target`, on the same file system; whatever is left in it goes."""
    aside = target.with_name(f"{_PART}{uuid.uuid4().hex[:8]}")
    # Where memory runs out in between, there is this much to tidy up with; until then it is only an address.
    reserve = None
    with suppress(OSError):
        reserve = mmap.mmap(-1, _RESERVE_BYTES)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target.parent)
        aside.mkdir(mode=0o700)
        yield aside / target.name
    except OSError as error:
        raise output_error(target, error) from error
    finally:
        if reserve is not None:
            reserve.close()
        _remove(aside)


def _swap(written: Path, target: Path, kind: FolderKind, overwrite: bool) -> None:
    """Puts a written folder in place; until then, and with any error, the old one is there."""
    for attempt in range(_ATTEMPTS):
        aside = target.with_name(f"{_OLD}{uuid.uuid4().hex[:8]}")
        refuse_existing(target, overwrite, kind)
        try:
            if exists(target):
                take_along(target, written, kind.files)
                aside.mkdir(mode=0o700)
                target.rename(aside / target.name)
            written.rename(target)
            flush(target.parent, deep=False)
            with suppress(OSError):  # what came into the old folder while it was swapped
                take_along(aside / target.name, target, kind.files)
            return
        except OSError as error:
            if error.errno not in _RACED or attempt + 1 == _ATTEMPTS:
                raise
        finally:
            if exists(aside / target.name) and not exists(target):
                (aside / target.name).rename(target)
            _remove(aside)


def _remove(path: Path) -> None:
    # Below a file, or in a folder that went away, there is nothing to remove; the first error is the one to tell.
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _remove_leftovers(folder: Path) -> None:
    """Parts that a killed process left in `folder`; younger ones may belong to a process that still writes."""
    if folder in _cleaned:
        return
    _cleaned.add(folder)
    put_back(folder)
    for left in (*folder.glob(f"{_PART}*"), *folder.glob(".*.part-????????"), *folder.glob(".part-????????-*")):
        with suppress(OSError):
            if time.time() - _last_change(left) > _LEFTOVER_AGE_S:
                _remove(left)


def _last_change(path: Path) -> float:
    return max(each.lstat().st_mtime for each in (path, *path.rglob("*")))
