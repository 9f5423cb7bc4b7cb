"""The files beside a header that hold its voxels: one, a list of them, or numbered ones."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from ClamSegLib.system.errors import InputError

_LONGEST_LIST_BYTES = 1 << 20
_LONGEST_NAME = 1000
_MOST_FILES = 100_000


def named_file(path: Path, name: str) -> Path:
    """The file of this name, as the header `path` gives it.

    Raises:
        InputError: it is not there, or no file.
    """
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InputError(f"{path} has a damaged header (the name of its data file); copy or export it again.")
    try:
        is_there = (path.parent / name).is_file()
    except OSError:  # a part of the name that is too long
        is_there = False
    if not is_there:
        raise InputError(f"{path} keeps its voxels in {name}, which is not beside it; copy both files.")
    return path.parent / name


def listed_files(path: Path, file: BinaryIO, count: int) -> tuple[Path, ...]:
    """The files whose names follow in the header, one a line.

    Raises:
        InputError: another number of them than `count`, or one that is not there.
    """
    lines = file.read(_LONGEST_LIST_BYTES).decode("utf-8", "replace").splitlines()
    return _counted(path, [line.strip() for line in lines if line.strip()], count)


def numbered_files(path: Path, words: list[str], count: int) -> tuple[Path, ...]:
    """The files of a pattern such as `slice%03d.raw 1 20 1`: first number, last number, step.

    Raises:
        InputError: no such pattern, another number of files than `count`, or one that is not there.
    """
    try:
        pattern, first, last, step = words[0], int(words[1]), int(words[2]), int(words[3])
        numbers = range(first, last + (1 if step > 0 else -1), step)
        if len(numbers) > _MOST_FILES:
            raise ValueError
        before, _, after = pattern.partition("%")
        width, kind, after = after.partition("d")
        if kind != "d" or "%" in after or (width and not (width.isascii() and width.isdigit() and int(width) < 20)):
            raise ValueError
        names = [f"{before}{number:{width}d}{after}" for number in numbers]
    except (ValueError, IndexError) as error:
        raise InputError(f"{path} has a damaged header (names of its data files); copy or export it again.") from error
    return _counted(path, names, count)


def _counted(path: Path, names: list[str], count: int) -> tuple[Path, ...]:
    if len(names) != count:
        raise InputError(
            f"{path} names {len(names)} data files for {count} slices; its header or list is damaged, copy or export it again."
        )
    return tuple(named_file(path, name) for name in names)
