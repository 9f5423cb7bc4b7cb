"""Whether a NIfTI file holds the voxels its header promises; ITK fills what is missing with zeros, and says nothing."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ClamSegLib.system.errors import InputError

_CHUNK_BYTES = 1 << 22
NIFTI_1_BYTES, _NIFTI_2_BYTES = 348, 540
# Bits a voxel of the value types scans have, by NIfTI's number of the type.
_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64}


def check_nifti(path: Path) -> None:
    """Reads the header, and a compressed stream to its end.

    Args:
        path: .nii or .nii.gz (nifti.nimh.nih.gov), either byte order.

    Raises:
        InputError: no NIfTI-1 header, sizes or spacings that cannot be, a damaged stream, or fewer bytes than the header promises.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if compressed else path.open("rb") as stream:
            head = stream.read(_NIFTI_2_BYTES)
            promised = _promised_bytes(head, path)
            held = len(head) + _rest(stream.read) if compressed else path.stat().st_size
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is truncated or damaged ({error}); copy or export it again.") from error
    if held < promised:
        raise InputError(
            f"{path} is truncated: it holds {held} bytes of the {promised} its header promises; copy or export it again."
        )


def stored_header(path: Path) -> Header:
    """The header of a file that `check_nifti` passed."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if compressed else path.open("rb") as stream:
        return read_header(stream.read(NIFTI_1_BYTES), path)


def _rest(read: Callable[[int], bytes]) -> int:
    total = 0
    while part := read(_CHUNK_BYTES):
        total += len(part)
    return total


class Header(NamedTuple):
    """What decides where the voxels of a file lie and how they are stored."""

    order: str
    dimensions: tuple[int, ...]
    spacing: tuple[float, ...]
    kind: int
    bits: int
    offset: float


def read_header(head: bytes, path: Path) -> Header:
    """The header of a NIfTI-1 file from its first bytes; raises InputError where there is none."""
    for order in "<>":
        if len(head) >= NIFTI_1_BYTES and struct.unpack(f"{order}i", head[:4])[0] == NIFTI_1_BYTES:
            dimensions = struct.unpack(f"{order}8h", head[40:56])
            spacing = struct.unpack(f"{order}8f", head[76:108])
            kind, bits = struct.unpack(f"{order}2h", head[70:74])
            return Header(order, dimensions, spacing, kind, bits, struct.unpack(f"{order}f", head[108:112])[0])
        if len(head) >= 4 and struct.unpack(f"{order}i", head[:4])[0] == _NIFTI_2_BYTES:
            raise InputError(
                f"{path} is a NIfTI-2 file, a kind that is not read; save it as NIfTI-1 (with nibabel: "
                "nibabel.Nifti1Image.from_image(nibabel.load(FILE)).to_filename(NEW)) or as NRRD."
            )
    raise InputError(f"{path} is not a NIfTI file; it is damaged or another kind of file under that name.")


def _promised_bytes(head: bytes, path: Path) -> int:
    """Offset of the voxels plus their number times their size."""
    _order, dimensions, spacing, kind, bits, offset = read_header(head, path)
    rank, sizes = dimensions[0], dimensions[1:]
    if _BITS.get(kind, bits) != bits:  # ITK would go by the kind and fill what is missing with zeros
        raise InputError(f"{path} has a damaged header ({bits} bits a voxel of kind {kind}); copy or export it again.")
    if not 1 <= rank <= 7 or any(size < 1 for size in sizes[:rank]) or bits < 1 or not 0 <= offset < 2**40:
        raise InputError(f"{path} has a damaged header (sizes {list(sizes)}); copy or export it again.")
    for size, step in list(zip(sizes, spacing[1:], strict=True))[: min(rank, 3)]:
        # ITK takes 1 mm for such a step without a word; along a single slice nobody measures.
        if size > 1 and not (math.isfinite(step) and step > 0):
            raise InputError(
                f"{path} has the voxel spacing {[round(s, 4) for s in spacing[1:4]]} mm; each must be above 0."
            )
    voxels = 1
    for size in sizes[:rank]:
        voxels *= int(size)
    return int(offset) + voxels * int(bits) // 8
