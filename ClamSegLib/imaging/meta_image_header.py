"""Where a MetaImage file (.mha, .mhd) keeps its voxels, by its header, before MetaIO sees it.

MetaIO keeps its lists in arrays of fixed length: a header with another number of dimensions than the lists have
makes it write beyond them, and the process ends without a word.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ClamSegLib.imaging.data_files import listed_files, named_file, numbered_files
from ClamSegLib.imaging.frames import unknown_frame
from ClamSegLib.imaging.stored_voxels import StoredVoxels
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.words import bounded

_LONGEST_HEADER_BYTES = 1 << 20
_MOST_DIMENSIONS = 10  # as many as MetaIO has room for
_KINDS = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_YES_OR_NO = ("BinaryData", "BinaryDataByteOrderMSB", "ElementByteOrderMSB", "CompressedData")
_TRUE, _FALSE = ("true", "t", "1"), ("false", "f", "0")
_PER_DIMENSION = ("DimSize", "ElementSpacing", "ElementSize", "Offset", "Position", "Origin", "CenterOfRotation")
_PER_DIMENSION_SQUARED = ("TransformMatrix", "Rotation", "Orientation")


def meta_image_voxels(path: Path) -> tuple[StoredVoxels | None, list[str]]:
    """Where the voxels lie, and what the user should know: that the header states no frame, or a scaling.

    Args:
        path: .mha, or .mhd with its data file or files beside it.

    Returns:
        No place for values that are not grey.

    Raises:
        InputError: no MetaImage header, lists of another length than the dimensions, or a data file that is not there.
    """
    with path.open("rb") as file:
        fields = _fields(file, path)
        sizes, kind, channels = _shape(fields, path)
        for name in _YES_OR_NO:
            if fields.get(name, "True").lower() not in (*_TRUE, *_FALSE):
                raise _damaged(path, f"{name} {fields[name][:20]}")
        if not _is(fields, "BinaryData", "True"):
            raise InputError(f"{path} keeps its voxels as text, which is not read; save it as NRRD or NIfTI.")
        packed = _is(fields, "CompressedData", "False")
        files, start = _data_files(path, file, fields, sizes)
    states_frame = fields["NDims"] != "3" or any(name in fields for name in _PER_DIMENSION_SQUARED)
    doubts = [] if states_frame else [unknown_frame("it has no field 'TransformMatrix'")]
    if packed and len(files) > 1:
        raise _damaged(path, "packed slices in files of their own")
    large_end_first = {_is(fields, name, "False") for name in _YES_OR_NO[1:3] if name in fields}
    if len(large_end_first) > 1:
        raise _damaged(path, "two byte orders")
    order = ">" if True in large_end_first else "<"
    stored = StoredVoxels(files, np.dtype(order + kind), sizes, start, packed) if channels == 1 else None
    return stored, doubts + _unapplied_scaling(fields)


def _is(fields: dict[str, str], name: str, otherwise: str) -> bool:
    return fields.get(name, otherwise).lower() in _TRUE


def _data_files(
    path: Path, file: BinaryIO, fields: dict[str, str], sizes: tuple[int, ...]
) -> tuple[tuple[Path, ...], int | None]:
    """The files that hold the voxels, and the bytes of each before them; None where they are its last bytes."""
    name, skipped = fields["ElementDataFile"], _numbers(fields.get("HeaderSize", "0"))
    if len(skipped) != 1 or skipped[0] != int(skipped[0]) or skipped[0] < -1:
        raise _damaged(path, f"HeaderSize {fields['HeaderSize'][:20]}")
    start = None if skipped[0] == -1 else int(skipped[0])
    if name == "LOCAL":
        if start != 0:
            raise _damaged(path, f"HeaderSize {start} in a file that holds its own voxels")
        return (path,), file.tell()
    if name == "LIST":
        return listed_files(path, file, sizes[-1]), start
    if "%" in name:
        return numbered_files(path, name.split(), sizes[-1]), start
    return (named_file(path, name),), start


def _unapplied_scaling(fields: dict[str, str]) -> list[str]:
    slope, offset = (fields.get(f"ElementToIntensityFunction{name}", "") for name in ("Slope", "Offset"))
    if _numbers(slope) in ([], [1.0]) and _numbers(offset) in ([], [0.0]):
        return []
    return [
        f"The header states a scaling of the values (slope {bounded(slope) or 1}, offset {bounded(offset) or 0}), which neither Slicer nor ITK "
        "applies; the values are taken as they are stored."
    ]


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path} has a damaged header ({bounded(what)}); copy or export it again.")


def _fields(file: BinaryIO, path: Path) -> dict[str, str]:
    """The header's 'key = value' lines; the file then stands where the voxels may begin."""
    fields: dict[str, str] = {}
    while file.tell() < _LONGEST_HEADER_BYTES and (line := file.readline(_LONGEST_HEADER_BYTES)):
        try:
            key, equals, value = line.decode("utf-8").partition("=")
        except UnicodeDecodeError:
            key, equals, value = line.decode("latin-1").partition("=")
        # Whoever writes may add fields of any name: DICOM tags ("0008|0060"), words with blanks.
        if not equals or not key.strip().isprintable() or not key.strip():
            break
        if key.strip() in fields:
            raise _damaged(path, f"{key.strip()} stands there twice")
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            break
    if "ElementDataFile" not in fields or "NDims" not in fields:
        raise InputError(f"{path} is not a MetaImage file; it is damaged or another kind of file under that name.")
    return fields


def _shape(fields: dict[str, str], path: Path) -> tuple[tuple[int, ...], str, int]:
    """Sizes, first axis fastest, kind of a value, and values a voxel."""
    dimensions = int(fields["NDims"]) if fields["NDims"].isascii() and fields["NDims"].isdigit() else 0
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise _damaged(path, f"NDims {fields['NDims'][:20]}")
    for names, count in ((_PER_DIMENSION, dimensions), (_PER_DIMENSION_SQUARED, dimensions**2)):
        for name in names:
            if name in fields and len(_numbers(fields[name])) != count:
                raise _damaged(path, f"{name} {fields[name][:60]}")
    sizes = [int(size) if size == int(size) else 0 for size in _numbers(fields.get("DimSize", ""))]
    if len(sizes) != dimensions or any(size < 1 for size in sizes):
        raise _damaged(path, f"DimSize {fields.get('DimSize', 'is missing')[:60]}")
    kind = fields.get("ElementType", "").removesuffix("_ARRAY")
    channels = fields.get("ElementNumberOfChannels", "1")
    if kind not in _KINDS or not (channels.isascii() and channels.isdigit()) or len(channels) > 4:
        raise _damaged(path, f"ElementType {kind[:30] or 'is missing'}")
    return tuple(sizes), _KINDS[kind], int(channels)


def _numbers(words: str) -> list[float]:
    """Finite numbers of a list, [] when one of them is none."""
    try:
        values = [float(word) for word in words.split()]
    except ValueError:
        return []
    return values if all(math.isfinite(value) for value in values) else []
