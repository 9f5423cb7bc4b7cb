"""Whether a NIfTI file holds the voxels its header promises; ITK fills what is missing with zeros, and says nothing."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from ClamSegLib.errors import InputError

_CHUNK_BYTES = 1 << 22
_NIFTI_1_BYTES, _NIFTI_2_BYTES = 348, 540


def check_nifti(path: Path) -> None:
    """Reads the header, and a compressed stream to its end.

    Args:
        path: .nii or .nii.gz, NIfTI-1 or NIfTI-2 (nifti.nimh.nih.gov), either byte order.

    Raises:
        InputError: no NIfTI header, sizes that cannot be, a damaged stream, or fewer bytes than the header promises.
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


def _rest(read: Callable[[int], bytes]) -> int:
    total = 0
    while part := read(_CHUNK_BYTES):
        total += len(part)
    return total


def _promised_bytes(head: bytes, path: Path) -> int:
    """Offset of the voxels plus their number times their size."""
    for order in "<>":
        if len(head) >= _NIFTI_1_BYTES and struct.unpack(f"{order}i", head[:4])[0] == _NIFTI_1_BYTES:
            dimensions = struct.unpack(f"{order}8h", head[40:56])
            bits = struct.unpack(f"{order}h", head[72:74])[0]
            offset = struct.unpack(f"{order}f", head[108:112])[0]
            break
        if len(head) >= _NIFTI_2_BYTES and struct.unpack(f"{order}i", head[:4])[0] == _NIFTI_2_BYTES:
            bits = struct.unpack(f"{order}h", head[14:16])[0]
            dimensions = struct.unpack(f"{order}8q", head[16:80])
            offset = struct.unpack(f"{order}q", head[168:176])[0]
            break
    else:
        raise InputError(f"{path} is not a NIfTI file; it is damaged or another kind of file under that name.")
    rank, sizes = dimensions[0], dimensions[1:]
    if not 1 <= rank <= 7 or any(size < 1 for size in sizes[:rank]) or bits < 1 or not 0 <= offset < 2**40:
        raise InputError(f"{path} has a damaged header (sizes {list(sizes)}); copy or export it again.")
    voxels = 1
    for size in sizes[:rank]:
        voxels *= int(size)
    return int(offset) + voxels * int(bits) // 8
