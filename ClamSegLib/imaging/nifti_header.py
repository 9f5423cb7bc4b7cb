"""Where a NIfTI file keeps its voxels, by its header; ITK fills what is missing with zeros, and says nothing."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ClamSegLib.imaging.stored_voxels import StoredVoxels
from ClamSegLib.system.errors import InputError

NIFTI_1_BYTES, _NIFTI_2_BYTES = 348, 540
# Header, and the four bytes that say whether extensions follow.
_FIRST_VOXEL = 352
_BLOCK = 16
# Bits a voxel of the value types scans have, by NIfTI's number of the type, and how numpy calls the grey ones.
_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64}
_KINDS = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}


class Header(NamedTuple):
    """What decides where the voxels of a file lie and how they are stored."""

    order: str
    dimensions: tuple[int, ...]
    spacing: tuple[float, ...]
    kind: int
    bits: int
    offset: float
    slope: float
    intercept: float
    magic: bytes


def stored_header(path: Path) -> Header:
    """The header of a file.

    Args:
        path: .nii or .nii.gz (nifti.nimh.nih.gov), either byte order.

    Raises:
        InputError: no NIfTI-1 header, or a damaged stream.
    """
    try:
        with gzip.open(path) if _is_packed(path) else path.open("rb") as stream:
            return read_header(stream.read(NIFTI_1_BYTES), path)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is truncated or damaged ({error}); copy or export it again.") from error


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def nifti_voxels(path: Path, header: Header) -> StoredVoxels | None:
    """Where the voxels lie; None for values that are not grey.

    Raises:
        InputError: sizes, spacings, kinds or places that cannot be.
    """
    _check_numbers(path, header)
    if header.kind not in _KINDS:
        return None
    offset, packed = int(header.offset), _is_packed(path)
    sizes = header.dimensions[1 : 1 + header.dimensions[0]]
    return StoredVoxels(
        (path,), np.dtype(header.order + _KINDS[header.kind]), sizes, 0 if packed else offset, packed,
        offset if packed else 0, exact=offset % _BLOCK != 0,
    )  # fmt: skip


def read_header(head: bytes, path: Path) -> Header:
    """The header of a NIfTI-1 file from its first bytes; raises InputError where there is none."""
    for order in "<>":
        if len(head) >= NIFTI_1_BYTES and struct.unpack(f"{order}i", head[:4])[0] == NIFTI_1_BYTES:
            dimensions = struct.unpack(f"{order}8h", head[40:56])
            spacing = struct.unpack(f"{order}8f", head[76:108])
            kind, bits = struct.unpack(f"{order}2h", head[70:74])
            offset, slope, intercept = struct.unpack(f"{order}3f", head[108:120])
            return Header(order, dimensions, spacing, kind, bits, offset, slope, intercept, head[344:348])
        if len(head) >= 4 and struct.unpack(f"{order}i", head[:4])[0] == _NIFTI_2_BYTES:
            raise InputError(
                f"{path} is a NIfTI-2 file, a kind that is not read; save it as NIfTI-1 (with nibabel: "
                "nibabel.Nifti1Image.from_image(nibabel.load(FILE)).to_filename(NEW)) or as NRRD."
            )
    raise InputError(f"{path} is not a NIfTI file; it is damaged or another kind of file under that name.")


def _check_numbers(path: Path, header: Header) -> None:
    rank, sizes = header.dimensions[0], header.dimensions[1:]
    if header.magic != b"n+1\0":
        raise InputError(
            f"{path} is no NIfTI-1 file in one piece (its mark is {header.magic!r}); save it as .nii or .nii.gz."
        )
    if (
        _BITS.get(header.kind, header.bits) != header.bits
    ):  # ITK would go by the kind and fill what is missing with zeros
        raise InputError(
            f"{path} has a damaged header ({header.bits} bits a voxel of kind {header.kind}); copy or export it again."
        )
    if not 1 <= rank <= 7 or any(size < 1 for size in sizes[:rank]) or header.bits < 1:
        raise InputError(f"{path} has a damaged header (sizes {list(sizes)}); copy or export it again.")
    if not _FIRST_VOXEL <= header.offset < 2**40 or header.offset != int(header.offset):
        raise InputError(
            f"{path} has a damaged header (its voxels begin at byte {header.offset:.6g}, at least {_FIRST_VOXEL} is allowed); "
            "copy or export it again."
        )
    for size, step in list(zip(sizes, header.spacing[1:], strict=True))[: min(rank, 3)]:
        # ITK takes 1 mm for such a step without a word; along a single slice nobody measures.
        if size > 1 and not (math.isfinite(step) and step > 0):
            raise InputError(
                f"{path} has the voxel spacing {[round(s, 4) for s in header.spacing[1:4]]} mm; each must be above 0."
            )
