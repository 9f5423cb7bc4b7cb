"""The values of a NIfTI file as the format means them, where ITK gives others.

ITK puts zeros where a file says that there is no number, and adds the intercept of a scaling that the file switches off.
"""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.nifti_header import NIFTI_1_BYTES, read_header
from ClamSegLib.imaging.volume import Volume

if TYPE_CHECKING:
    import SimpleITK

_CHUNK_BYTES = 1 << 22
# Bytes of the value types that may hold what is no number; types that float32 holds exactly, by NIfTI's number.
_FLOATS = {16: 4, 64: 8}
_SMALL_INTEGERS = {2: np.uint8, 4: np.int16, 256: np.int8, 512: np.uint16}


def with_true_values(volume: Volume, reader: SimpleITK.ImageFileReader, path: Path) -> Volume:
    """The volume with its missing numbers as NaN, and without the intercept of a slope of 0 (nifti1.h: no scaling).

    Args:
        volume: as ITK read it.
        reader: has read the header.
        path: of the file, which `nifti_header.check_nifti` passed.
    """
    volume = _without_unused_intercept(volume, reader)
    missing = _missing_numbers(path)
    if missing is None or missing.size < volume.array.size:
        return volume
    array = volume.array.astype(np.float32 if volume.array.dtype.kind != "f" else volume.array.dtype)
    array.ravel()[missing[: array.size]] = np.nan
    return volume.with_array(array)


def _without_unused_intercept(volume: Volume, reader: SimpleITK.ImageFileReader) -> Volume:
    slope, intercept = (float(reader.GetMetaData(name)) for name in ("scl_slope", "scl_inter"))
    if (math.isfinite(slope) and slope != 0) or not math.isfinite(intercept) or intercept == 0:
        return volume
    array = volume.array.astype(np.float64) - intercept
    kind = _SMALL_INTEGERS.get(int(reader.GetMetaData("datatype")))
    return volume.with_array(array.astype(np.float32) if kind is None else np.rint(array).astype(kind))


def _missing_numbers(path: Path) -> NDArray[np.bool_] | None:
    """Which voxels are no numbers, in the file's own order; None where all are."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if compressed else path.open("rb") as stream:
        header = read_header(stream.read(NIFTI_1_BYTES), path)
        if header.kind not in _FLOATS:
            return None
        size = _FLOATS[header.kind]
        stream.seek(int(header.offset))
        parts = []
        while part := stream.read(_CHUNK_BYTES):
            values = np.frombuffer(part[: len(part) // size * size], f"{header.order}f{size}")
            parts.append(~np.isfinite(values))
    missing = np.concatenate(parts)
    return missing if missing.any() else None
