"""Whether a PNG holds the rows that its header promises; libpng stops at the last one it was promised and says nothing of more."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path

from ClamSegLib.imaging.stored_voxels import check_held

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# First column, first row, steps between columns and rows of the passes of an interlaced picture.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def check_png(path: Path) -> None:
    """Holds the packed rows to the header of a PNG that a decoder has read.

    Raises:
        InputError: they are fewer or more.
    """
    data = path.read_bytes()
    if not data.startswith(_SIGNATURE):
        return  # another kind of picture under this name
    width, height, depth, colour, _, _, interlaced = struct.unpack(">2I5B", data[16:29])
    bits = depth * _CHANNELS.get(colour, 1)
    parts = _PASSES if interlaced else ((0, 0, 1, 1),)
    sizes = [(math.ceil((width - x) / across), math.ceil((height - y) / down)) for x, y, across, down in parts]
    promised = sum((math.ceil(columns * bits / 8) + 1) * rows for columns, rows in sizes if columns > 0 and rows > 0)
    check_held(path, _unpacked_bytes(data, promised + 1), promised, 0)


def _unpacked_bytes(data: bytes, most: int) -> int:
    """Bytes that the rows unpack to, counted up to `most`."""
    decoder, place, held = zlib.decompressobj(), len(_SIGNATURE), 0
    while place + 8 <= len(data) and held < most and not decoder.eof:
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        if kind == b"IDAT":
            held += len(decoder.decompress(data[place + 8 : place + 8 + length], most - held))
        place += 12 + length
    return held
