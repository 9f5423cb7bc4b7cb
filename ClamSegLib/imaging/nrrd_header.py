"""Where a NRRD file (.nrrd, .nhdr) keeps its voxels, by its header, before teem sees it.

Format: teem.sourceforge.net/nrrd/format.html. A header whose lists are longer or shorter than its dimensions, that names a
field twice or one that does not exist, is refused here: libraries have ended the process over less.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ClamSegLib.imaging.data_files import listed_files, named_file, numbered_files
from ClamSegLib.imaging.stored_voxels import StoredVoxels
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.words import bounded

_LONGEST_HEADER_BYTES = 1 << 22
_MOST_DIMENSIONS = 16  # as many as teem has room for
_KINDS = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names.split(", ")}
_ENCODINGS = {"raw": False, "gz": True, "gzip": True}
# Fields, without their blanks: as many words as dimensions, in quotes or not; vectors; anything.
_PER_DIMENSION = ("sizes", "spacings", "thicknesses", "axismins", "axismaxs", "centers", "centerings", "kinds")
_QUOTED_PER_DIMENSION = ("labels", "units")
_VECTORS = ("spacedirections", "spaceorigin", "measurementframe")
_OTHERS = (
    "dimension", "type", "blocksize", "encoding", "endian", "content", "min", "max", "oldmin", "oldmax", "datafile",
    "lineskip", "byteskip", "number", "sampleunits", "space", "spacedimension", "spaceunits",
)  # fmt: skip
_FIELDS = {*_PER_DIMENSION, *_QUOTED_PER_DIMENSION, *_VECTORS, *_OTHERS}
_SPACE_DIMENSIONS = {"time": 4}


def nrrd_voxels(path: Path) -> StoredVoxels:
    """Where the voxels lie.

    Args:
        path: .nrrd, or .nhdr with its data file or files beside it.

    Raises:
        InputError: no NRRD header, lists of another length than the dimensions, or a data file that is not there.
    """
    with path.open("rb") as file:
        fields = _fields(file, path)
        sizes = _sizes(fields, path)
        _check_frame(fields, path)
        kind = _kind(fields, path)
        encoding = fields.get("encoding", "")
        if encoding not in _ENCODINGS:
            raise InputError(
                f"{path} keeps its voxels in the encoding '{bounded(encoding, 20)}', which is not read; save it as raw or gzip."
            )
        packed = _ENCODINGS[encoding]
        files = _data_files(path, file, fields, sizes)
        lines, skipped = (_whole_number(fields, name, path) for name in ("lineskip", "byteskip"))
        if skipped < -1 or lines < 0 or (skipped == -1 and packed) or (lines and len(files) > 1):
            raise _damaged(path, f"byte skip {skipped}, line skip {lines}")
        start = _start(path, file, files, lines)
    if packed:
        return StoredVoxels(files, kind, sizes, start, True, skipped)
    return StoredVoxels(files, kind, sizes, None if skipped == -1 else start + skipped)


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path} has a damaged header ({bounded(what, 80)}); copy or export it again.")


def _fields(file: BinaryIO, path: Path) -> dict[str, str]:
    """The fields of the header without the blanks in their names; the file then stands behind the empty line."""
    if not re.fullmatch(rb"NRRD000[1-5]\r?\n", file.readline(20)):
        raise InputError(f"{path} is not a NRRD file; it is damaged or another kind of file under that name.")
    fields: dict[str, str] = {}
    while line := file.readline(_LONGEST_HEADER_BYTES):
        if file.tell() > _LONGEST_HEADER_BYTES:
            raise _damaged(path, "it does not end")
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if not text:
            break
        key, is_pair, _ = text.partition(":=")
        name, is_field, value = text.partition(":")
        if text.startswith("#") or (is_pair and len(key) <= len(name)):
            continue  # a comment, or a key with its value, which may be anything
        name = name.replace(" ", "").lower()
        if not is_field or name not in _FIELDS or name in fields:
            twice = " stands there twice" if name in fields else ""
            raise _damaged(path, f"'{text[:40]}'{twice or ' is no field of NRRD'}")
        fields[name] = value.strip()
        if name == "datafile" and value.split()[:1] == ["LIST"]:
            break  # the names of the files follow at once
    return fields


def _sizes(fields: dict[str, str], path: Path) -> tuple[int, ...]:
    dimension = _whole_number(fields, "dimension", path)
    if not 1 <= dimension <= _MOST_DIMENSIONS:
        raise _damaged(path, f"dimension {dimension}")
    for name in (*_PER_DIMENSION, *_QUOTED_PER_DIMENSION):
        words = fields.get(name, "")
        found = re.findall(r'"[^"]*"', words) if name in _QUOTED_PER_DIMENSION else words.split()
        if name in fields and len(found) != dimension:
            raise _damaged(path, f"{name} has {len(found)} entries for {dimension} dimensions")
    sizes = tuple(int(word) if word.isascii() and word.isdigit() else 0 for word in fields.get("sizes", "").split())
    if len(sizes) != dimension or any(not 1 <= size < 2**40 for size in sizes):
        raise _damaged(path, f"sizes {fields.get('sizes', 'are missing')}")
    return sizes


def _check_frame(fields: dict[str, str], path: Path) -> None:
    """Refuses vectors of another number or length than the axes and the space have."""
    dimension = _whole_number(fields, "dimension", path)
    space = fields.get("space", "")
    if space and "spacedimension" in fields:
        raise _damaged(path, "space and space dimension exclude each other")
    in_space = next((n for word, n in _SPACE_DIMENSIONS.items() if space.lower().endswith(word)), 3)
    if "spacedimension" in fields:
        in_space = _whole_number(fields, "spacedimension", path)
    counts = {"spacedirections": dimension, "spaceorigin": 1, "measurementframe": in_space}
    for name, count in counts.items():
        if name not in fields:
            continue
        if not space and "spacedimension" not in fields:
            raise _damaged(path, f"{name} without a space")
        vectors = re.findall(r"\([^()]*\)|none", fields[name])
        numbers = [vector.strip("()").split(",") for vector in vectors if vector != "none"]
        left = re.sub(r"\([^()]*\)|none", "", fields[name]).strip()
        if left or len(vectors) != count or any(len(n) != in_space or not _are_numbers(n) for n in numbers):
            raise _damaged(path, f"{name} {fields[name]}")
        if name == "spacedirections" and len(numbers) != in_space:
            raise _damaged(path, f"{len(numbers)} space directions in a space of {in_space} dimensions")


def _are_numbers(words: list[str]) -> bool:
    try:
        return all(math.isfinite(float(word)) for word in words)
    except ValueError:
        return False


def _kind(fields: dict[str, str], path: Path) -> np.dtype[np.generic]:
    name = " ".join(fields.get("type", "").split())
    if name not in _KIND_OF:
        raise _damaged(path, f"type {name or 'is missing'}")
    kind, endian = _KIND_OF[name], fields.get("endian", "").lower()
    if endian not in ("little", "big") and (endian or kind[1] != "1"):
        raise _damaged(path, f"endian {endian or 'is missing'}")
    return np.dtype((">" if endian == "big" else "<") + kind)


def _whole_number(fields: dict[str, str], name: str, path: Path) -> int:
    words = fields.get(name, "0")
    if not re.fullmatch(r"[+-]?[0-9]{1,15}", words):
        raise _damaged(path, f"{name} {words}")
    return int(words)


def _data_files(path: Path, file: BinaryIO, fields: dict[str, str], sizes: tuple[int, ...]) -> tuple[Path, ...]:
    if "datafile" not in fields:
        return (path,)
    words = fields["datafile"].split()
    if words[:1] == ["LIST"] or (len(words) > 3 and "%" in words[0]):
        of_each = words[1:] if words[0] == "LIST" else words[4:]
        if of_each not in ([], [str(len(sizes) - 1)]):
            raise _damaged(path, f"data file {fields['datafile']}")
        return listed_files(path, file, sizes[-1]) if words[0] == "LIST" else numbered_files(path, words, sizes[-1])
    return (named_file(path, fields["datafile"]),)


def _start(path: Path, file: BinaryIO, files: tuple[Path, ...], lines: int) -> int:
    """Bytes before the voxels in the file that holds them: the header where that is the same file, and skipped lines."""
    if files == (path,):
        for _ in range(lines):
            file.readline(_LONGEST_HEADER_BYTES)
        return file.tell()
    with files[0].open("rb") as beside:
        for _ in range(min(lines, _LONGEST_HEADER_BYTES)):
            beside.readline(_LONGEST_HEADER_BYTES)
        return beside.tell()
