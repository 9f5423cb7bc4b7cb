"""Whether the strips or tiles of a TIFF hold the picture that its tags promise.

libtiff unpacks as much of a part as the tags ask for and leaves the rest without a word: a width that is one too small gives
a sheared picture. So each part is asked for a little more than it should hold.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
from pathlib import Path
from typing import Any, BinaryIO

from ClamSegLib.imaging.stored_voxels import SPARE_BYTES, check_held
from ClamSegLib.system.errors import InputError

UNPACKED, LZW, DEFLATE, OLD_DEFLATE, PACKBITS = 1, 5, 8, 32946, 32773
# Compressions whose decoders say an error where a part holds too little; others only warn.
STRICT = (UNPACKED, LZW, DEFLATE, OLD_DEFLATE)
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _SAMPLES, _ROWS, _PLANES, _FILL_ORDER = 256, 257, 258, 259, 277, 278, 284, 266
_STRIPS, _TILE_WIDTH, _TILE_LENGTH, _TILES = (273, 279), 322, 323, (324, 325)
_JPEG, _JPEG_HEAD_BYTES, _MARK = 7, 1 << 16, 0xFF


def compression_of(tags: Any) -> int:
    """The number of the compression."""
    return int(tags.get(_COMPRESSION, UNPACKED))


def check_parts(path: Path, file: BinaryIO, tags: Any) -> None:
    """Holds every strip or tile to what the tags promise.

    Args:
        path: the file to name.
        file: it, open; where it stands afterwards is left open.
        tags: of its picture, by number.

    Raises:
        InputError: parts are missing, or hold fewer or more bytes than promised.
    """
    sizes = _part_sizes(tags)
    places, lengths = (
        tuple(int(v) for v in _all(tags.get(number, ()))) for number in (_TILES if _TILE_WIDTH in tags else _STRIPS)
    )
    if len(places) != len(sizes) or len(lengths) != len(sizes):
        raise InputError(f"{path} lacks strips or tiles of its picture; copy or export it again.")
    compression = compression_of(tags)
    if compression == UNPACKED:
        spare = min(SPARE_BYTES, sum(sizes) // max(int(tags[_WIDTH]), int(tags[_LENGTH]))) - 1
        check_held(path, sum(lengths), sum(sizes), max(0, spare))
    if compression == _JPEG and len(places) == 1 and _TILE_WIDTH not in tags:
        file.seek(places[0])
        rows = _jpeg_rows(file.read(min(lengths[0], _JPEG_HEAD_BYTES)))
        check_held(path, rows * int(tags[_WIDTH]), int(tags[_LENGTH]) * int(tags[_WIDTH]), 0)
    if compression not in (LZW, DEFLATE, OLD_DEFLATE, PACKBITS):
        return
    for place, length, size in zip(places, lengths, sizes, strict=True):
        file.seek(place)
        if _holds(file.read(length), size + SPARE_BYTES, compression, int(tags.get(_FILL_ORDER, 1))):
            check_held(path, size + SPARE_BYTES, size, 0)


def _jpeg_rows(stream: bytes) -> int:
    """Rows that the frame header of a JPEG stream states, 0 where it has none."""
    place = 2
    while place + 9 <= len(stream) and stream[place] == _MARK:
        kind, length = stream[place + 1], int.from_bytes(stream[place + 2 : place + 4], "big")
        if 0xC0 <= kind <= 0xC3:
            return int.from_bytes(stream[place + 5 : place + 7], "big")
        place += 2 + length
    return 0


def _all(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _part_sizes(tags: Any) -> list[int]:
    """Bytes of every strip or tile once it is unpacked."""
    width, length = int(tags[_WIDTH]), int(tags[_LENGTH])
    samples, bits = int(tags.get(_SAMPLES, 1)), int(_all(tags.get(_BITS, 1))[0])
    planes = samples if int(tags.get(_PLANES, 1)) == 2 else 1
    bits_a_pixel = bits * samples // planes
    if _TILE_WIDTH in tags:
        across, down = int(tags[_TILE_WIDTH]), int(tags[_TILE_LENGTH])
        count = math.ceil(width / across) * math.ceil(length / down)
        return [math.ceil(across * bits_a_pixel / 8) * down] * count * planes
    rows = min(int(tags.get(_ROWS, length)) or length, length)
    row_bytes = math.ceil(width * bits_a_pixel / 8)
    return [row_bytes * min(rows, length - first) for first in range(0, length, rows)] * planes


def _holds(packed: bytes, count: int, compression: int, fill_order: int) -> bool:
    """Whether a packed part unpacks to this many bytes: asked of libtiff, in Pillow, as a picture of one row."""
    from PIL import Image

    numbers = {
        _WIDTH: count, _LENGTH: 1, _BITS: 8, _COMPRESSION: compression, 262: 1, _FILL_ORDER: fill_order, _STRIPS[0]: 0,
        _SAMPLES: 1, _ROWS: 1, _STRIPS[1]: len(packed),
    }  # fmt: skip
    numbers[_STRIPS[0]] = 8 + 2 + 12 * len(numbers) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(numbers.items()))
    head = b"II*\0" + struct.pack("<IH", 8, len(numbers)) + entries + bytes(4)
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(head + packed), formats=["TIFF"]) as image:
            warnings.simplefilter("ignore")
            image.load()
    except Exception:  # it holds less, as it should
        return False
    return True
