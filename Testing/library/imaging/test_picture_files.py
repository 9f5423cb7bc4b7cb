"""Pictures come as every viewer shows them: all their bits, white bright, upright."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.system.errors import InputError

DEEP = (np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 7) % 4096


def tiff(path: Path, pixels: np.ndarray, *, white_is_zero: bool = False, tile: int = 0, samples: int = 1) -> Path:
    """Little-endian TIFF in one strip or in square tiles."""
    height, width = pixels.shape[:2]
    kind = pixels.astype("<u2" if pixels.dtype.itemsize == 2 else "u1")
    starts = [(r, c) for r in range(0, height, tile) for c in range(0, width, tile)] if tile else [(0, 0)]
    parts = [(kind[r : r + tile, c : c + tile] if tile else kind).tobytes() for r, c in starts]
    offsets = [8 + sum(map(len, parts[:k])) for k in range(len(parts))]
    counts = [len(part) for part in parts]
    photometric = 2 if samples == 3 else 0 if white_is_zero else 1
    bits = [8 * pixels.dtype.itemsize] * samples
    tags = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, bits),
        (259, 3, [1]),
        (262, 3, [photometric]),
        (277, 3, [samples]),
    ]
    tags += [(322, 4, [tile]), (323, 4, [tile]), (324, 4, offsets), (325, 4, counts)] if tile else []
    tags += [] if tile else [(273, 4, offsets), (278, 4, [height]), (279, 4, counts)]
    tags.sort()
    start = 8 + sum(counts)
    beyond = start + 2 + 12 * len(tags) + 4
    table, extra = struct.pack("<H", len(tags)), b""
    for tag, form, values in tags:
        packed = struct.pack(f"<{len(values)}{'HI'[form == 4]}", *values)
        place = packed.ljust(4, b"\0")
        if len(packed) > 4:
            place = struct.pack("<I", beyond + len(extra))
            extra += packed
        table += struct.pack("<HHI", tag, form, len(values)) + place
    path.write_bytes(b"II*\0" + struct.pack("<I", start) + b"".join(parts) + table + b"\0\0\0\0" + extra)
    return path


def test_a_tiled_tiff_keeps_all_its_bits(tmp_path):
    volume = read_volume(tiff(tmp_path / "x.tif", DEEP, tile=16))
    assert volume.array.dtype == np.uint16
    assert np.array_equal(volume.array[0], DEEP)
    assert not volume.already_windowed


def test_colour_tiles_of_sixteen_bits_are_refused_rather_than_cut(tmp_path):
    with pytest.raises(InputError, match="loses bits"):
        read_volume(tiff(tmp_path / "x.tif", np.repeat(DEEP[..., None], 3, -1), tile=16, samples=3))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("tile", [0, 16])
def test_white_is_zero_and_black_is_zero_are_the_same_picture(tmp_path, bits, tile):
    shown = DEEP if bits == 16 else (DEEP >> 4).astype(np.uint8)
    negative = read_volume(tiff(tmp_path / "n.tif", shown.max() - shown, white_is_zero=True, tile=tile)).array[0]
    positive = read_volume(tiff(tmp_path / "p.tif", shown, tile=tile)).array[0]
    # What the brightest value is called may differ; the steps between the values do not.
    assert np.array_equal(np.diff(negative.astype(int)), np.diff(positive.astype(int)))
    assert negative.dtype == positive.dtype


@pytest.mark.parametrize(
    "values",
    [
        DEEP,
        DEEP.astype(np.int32) - 2000,
        DEEP.astype(np.float32) / 7,
        (DEEP.astype(np.int16) - 2000),
        (DEEP % 100).astype(np.int8),
    ],
    ids=lambda values: str(values.dtype),
)
def test_every_kind_of_grey_tiff_keeps_its_values(tmp_path, values):
    import SimpleITK as sitk

    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "x.tif"))
    assert np.array_equal(read_volume(tmp_path / "x.tif").array[0], values)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(2, lambda a: a[:, ::-1]), (3, lambda a: a[::-1, ::-1]), (4, lambda a: a[::-1]), (5, lambda a: a.T),
     (6, lambda a: np.rot90(a, -1)), (7, lambda a: a[::-1, ::-1].T), (8, np.rot90)],
)  # fmt: skip
def test_a_picture_that_lies_on_its_side_is_put_upright(tmp_path, ending, compressed, orientation, turned):
    picture = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40, np.ones((16, 16), np.uint8))
    image = Image.fromarray(picture)
    tags = image.getexif()
    tags[274] = orientation
    options = {"compression": "tiff_deflate"} if compressed and ending == "tif" else {}
    image.save(tmp_path / f"x.{ending}", exif=tags, **options)
    # Blocks of a JPEG's own size: it keeps them but for rounding.
    read = read_volume(tmp_path / f"x.{ending}").array[0].astype(int)
    assert read.shape == turned(picture).shape
    assert np.abs(read - turned(picture)).max() <= 3


def test_a_sound_tiff_of_a_kind_that_is_not_read_is_not_called_damaged_only(tmp_path):
    path = tiff(tmp_path / "x.tif", DEEP)
    path.write_bytes(
        path.read_bytes().replace(struct.pack("<HHII", 259, 3, 1, 1), struct.pack("<HHII", 259, 3, 1, 34712))
    )
    with pytest.raises(InputError, match="kind that is not read"):
        read_volume(path)


def test_a_tiff_with_its_large_end_first_has_the_machines_own_numbers(tmp_path):
    Image.fromarray(DEEP.astype(">u2")).save(tmp_path / "x.tif")
    volume = read_volume(tmp_path / "x.tif")
    assert volume.array.dtype.isnative
    assert np.array_equal(volume.array[0], DEEP)


def test_a_tiff_that_holds_less_than_its_header_says_is_refused(tmp_path):
    path = tiff(tmp_path / "x.tif", DEEP)
    cut = tmp_path / "cut.tif"
    Image.fromarray(DEEP).save(cut)
    cut.write_bytes(cut.read_bytes()[:-2000])
    taller = path.read_bytes().replace(struct.pack("<HHII", 257, 4, 1, 48), struct.pack("<HHII", 257, 4, 1, 480))
    path.write_bytes(taller)
    with pytest.raises(InputError, match="lacks strips"):
        read_volume(path)
    with pytest.raises(InputError, match="cannot be read as a picture"):
        read_volume(cut)
