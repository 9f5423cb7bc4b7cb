"""Where a file keeps its voxels, and reading them: the one place that compares what a file holds with what its header promises.

Readers elsewhere fill what is missing with zeros and leave what is too much unread, so that a header with one wrong number
gives a sheared or cut picture without a word. Here both are refused, with the packed stream's own checksum.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ClamSegLib.imaging.volume import Array
from ClamSegLib.system.errors import InputError

# Bytes that writers leave behind the voxels to fill a block; a header that promises too little leaves more.
SPARE_BYTES = 16
_CHUNK_BYTES = 1 << 20
_EITHER_HEADER = 47  # zlib's word for a gzip or a zlib header


@dataclass(frozen=True)
class StoredVoxels:
    """Where and how a file keeps its voxels.

    Attributes:
        files: that hold them one after the other, each the same number.
        kind: of a voxel, in the file's byte order.
        sizes: voxels along each axis, the first varying fastest.
        start: bytes of each file before the voxels, or before the packed stream; None where they are its last bytes.
        packed: whether they are a gzip or zlib stream.
        skipped: bytes of the unpacked stream before the voxels.
        exact: whether not even spare bytes may follow.
    """

    files: tuple[Path, ...]
    kind: np.dtype[np.generic]
    sizes: tuple[int, ...]
    start: int | None
    packed: bool = False
    skipped: int = 0
    exact: bool = False

    @property
    def promised_bytes(self) -> int:
        """Bytes that each file must hold."""
        return math.prod(self.sizes) * self.kind.itemsize // len(self.files)

    @property
    def spare_bytes(self) -> int:
        """Bytes that may follow in each file, 0 or more: fewer than any side that is one shorter would leave over."""
        fewest = self.promised_bytes // max(*self.sizes, 1)
        return 0 if self.exact else max(0, min(SPARE_BYTES, fewest) - 1)


def check_held(path: Path, held: int, promised: int, spare: int) -> None:
    """The rule: a file holds what its header promises, and at most spare bytes more.

    Args:
        path: the file to name.
        held: bytes of pixels that it holds.
        promised: bytes that its header promises.
        spare: bytes more that count as filling.

    Raises:
        InputError: it holds fewer or more.
    """
    if held < promised:
        raise InputError(
            f"{path} is truncated or damaged: it holds {held} bytes of the {promised} its header promises; copy or export it again."
        )
    if held > promised + spare:
        raise InputError(
            f"{path} is damaged: it holds more bytes than the {promised} its header promises, so that sizes or kind of its "
            "values are wrong; copy or export it again."
        )


def check_stored(path: Path, stored: StoredVoxels) -> None:
    """Holds files that are not packed to the rule before anything is read; packed ones show it while they are unpacked.

    Args:
        path: the file to name.
        stored: what its header says.

    Raises:
        InputError: as `check_held`.
    """
    for file in () if stored.packed else stored.files:
        size = file.stat().st_size
        promised = stored.promised_bytes
        if stored.start is None:
            check_held(path, min(size, promised), promised, 0)
        else:
            check_held(path, size - stored.start, promised, stored.spare_bytes)


def read_stored(path: Path, stored: StoredVoxels) -> Array:
    """The voxels, one after the other, in the machine's byte order.

    Args:
        path: the file to name.
        stored: what its header says, which fits into the memory.

    Raises:
        InputError: the files hold fewer or more bytes than promised, or a packed stream is damaged.
    """
    check_stored(path, stored)
    promised, spare = stored.promised_bytes, stored.spare_bytes
    room = np.empty(promised * len(stored.files) + spare + 1, np.uint8)
    for number, file in enumerate(stored.files):
        part = memoryview(room)[number * promised : (number + 1) * promised + spare + 1]
        with file.open("rb") as stream:
            if stored.start is None:
                stream.seek(-promised, os.SEEK_END)
            else:
                stream.seek(stored.start)
            held = _unpacked(path, stream, part, stored.skipped) if stored.packed else stream.readinto(part)
        if stored.start is not None:
            check_held(path, held, promised, spare)
    voxels = room[: promised * len(stored.files)].view(stored.kind)
    return voxels.astype(stored.kind.newbyteorder("="), copy=False)


def proven(stored: StoredVoxels, read: Callable[[], Array]) -> Array | None:
    """What a faster reader gives of a packed stream, where the stream's own length and checksum prove it.

    Args:
        stored: one packed file.
        read: reads it; called only where the length says that the file holds what is promised.

    Returns:
        The voxels in any shape; None where they are to be read here, which tells what is wrong.
    """
    if not stored.packed or len(stored.files) > 1 or stored.kind != stored.kind.newbyteorder("="):
        return None
    with stored.files[0].open("rb") as file:
        file.seek(stored.start or 0)
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(-8, os.SEEK_END)
        checksum, length = struct.unpack("<II", file.read(8))
    if not is_gzip or length != (stored.skipped + stored.promised_bytes) % 2**32:
        return None
    before = b""
    if stored.skipped:
        with gzip.open(stored.files[0]) as stream:
            before = stream.read(stored.skipped)
    array = read()
    if array.dtype != stored.kind or array.nbytes != stored.promised_bytes:
        return None
    return array if zlib.crc32(array.reshape(-1).view(np.uint8), zlib.crc32(before)) == checksum else None


def _unpacked(path: Path, file: BinaryIO, room: memoryview, skipped: int) -> int:
    """Bytes of voxels that a packed stream holds, written to `room`; a stream that holds more is left when that is full."""
    decoder, waiting, held = zlib.decompressobj(_EITHER_HEADER), b"", -skipped
    try:
        while held < len(room):
            if decoder.eof:  # files that are packed part by part
                waiting = (waiting or file.read(_CHUNK_BYTES)).lstrip(b"\0")
                if not waiting:
                    return held
                decoder = zlib.decompressobj(_EITHER_HEADER)
            waiting = waiting or file.read(_CHUNK_BYTES)
            if not waiting:
                raise zlib.error("the packed stream ends early")
            part = decoder.decompress(waiting, min(_CHUNK_BYTES, -held if held < 0 else len(room) - held))
            waiting = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            if held >= 0:
                room[held : held + len(part)] = part
            held += len(part)
    except zlib.error as error:
        raise InputError(f"{path} is truncated or damaged ({error}); copy or export it again.") from error
    return held
