"""Whether a MetaImage file (.mha, .mhd) is what its header says, before MetaIO sees it.

MetaIO keeps its lists in arrays of fixed length: a header with another number of dimensions than the lists have
makes it write beyond them, and the process ends without a word.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import BinaryIO

from ClamSegLib.imaging.frames import unknown_frame
from ClamSegLib.system.errors import InputError

_LONGEST_HEADER_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 22
_MOST_DIMENSIONS = 10  # as many as MetaIO has room for
_BYTES = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4, "MET_LONG": 4,
    "MET_ULONG": 4, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_FLOAT": 4, "MET_DOUBLE": 8,
}  # fmt: skip
_PER_DIMENSION = ("DimSize", "ElementSpacing", "ElementSize", "Offset", "Position", "Origin", "CenterOfRotation")
_PER_DIMENSION_SQUARED = ("TransformMatrix", "Rotation", "Orientation")


def check_meta_image(path: Path) -> list[str]:
    """Reads the header, and a compressed stream to its end.

    Args:
        path: .mha, or .mhd with its data file beside it.

    Returns:
        What the user should know: that the header states no frame.

    Raises:
        InputError: no MetaImage header, lists of another length than the dimensions, or fewer bytes than promised.
    """
    with path.open("rb") as file:
        fields = _fields(file, path)
        promised = _promised_bytes(fields, path)
        states_frame = fields["NDims"] != "3" or any(name in fields for name in _PER_DIMENSION_SQUARED)
        doubts = [] if states_frame else [unknown_frame("it has no field 'TransformMatrix'")]
        doubts += _unapplied_scaling(fields)
        name = fields["ElementDataFile"]
        binary = fields.get("BinaryData", "True").lower().startswith("t")
        compressed = fields.get("CompressedData", "False").lower().startswith("t")
        if name == "LIST" or "%" in name or not binary:
            return doubts  # one file a slice, or numbers in words: MetaIO itself compares those
        if name == "LOCAL":
            held = _unpacked(file, promised) if compressed else path.stat().st_size - file.tell()
        else:
            held = _held_beside(path, name, compressed, promised)
    if held < promised:
        raise InputError(
            f"{path} is truncated or damaged: it holds {max(held, 0)} bytes of the {promised} its header promises; "
            "copy or export it again."
        )
    return doubts


def _unapplied_scaling(fields: dict[str, str]) -> list[str]:
    slope, offset = (fields.get(f"ElementToIntensityFunction{name}", "") for name in ("Slope", "Offset"))
    if _numbers(slope) in ([], [1.0]) and _numbers(offset) in ([], [0.0]):
        return []
    return [
        f"The header states a scaling of the values (slope {slope or 1}, offset {offset or 0}), which neither Slicer nor ITK "
        "applies; the values are taken as they are stored."
    ]


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path} has a damaged header ({what}); copy or export it again.")


def _fields(file: BinaryIO, path: Path) -> dict[str, str]:
    """The header's 'key = value' lines; the file then stands where the voxels may begin."""
    fields: dict[str, str] = {}
    while file.tell() < _LONGEST_HEADER_BYTES and (line := file.readline(_LONGEST_HEADER_BYTES)):
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


def _promised_bytes(fields: dict[str, str], path: Path) -> int:
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
    if kind not in _BYTES or not (channels.isascii() and channels.isdigit()) or len(channels) > 4:
        raise _damaged(path, f"ElementType {kind[:30] or 'is missing'}")
    return math.prod(sizes) * _BYTES[kind] * int(channels)


def _numbers(words: str) -> list[float]:
    """Finite numbers of a list, [] when one of them is none."""
    try:
        values = [float(word) for word in words.split()]
    except ValueError:
        return []
    return values if all(math.isfinite(value) for value in values) else []


def _held_beside(path: Path, name: str, compressed: bool, promised: int) -> int:
    data = path.parent / name
    if not data.is_file():
        raise InputError(f"{path} keeps its voxels in {name}, which is not beside it; copy both files.")
    if not compressed:
        return data.stat().st_size
    with data.open("rb") as file:
        return _unpacked(file, promised)


def _unpacked(file: BinaryIO, promised: int) -> int:
    """Bytes a zlib stream holds, counted up to one more than `promised` and never kept; -1 when it is damaged."""
    stream = zlib.decompressobj()
    total = 0
    try:
        while total <= promised and (part := file.read(_CHUNK_BYTES)):
            while part and total <= promised:
                total += len(stream.decompress(part, _CHUNK_BYTES))
                part = stream.unconsumed_tail
    except zlib.error:
        return -1
    return total
