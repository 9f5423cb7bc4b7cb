"""Masks as people save them: JPEG, graded, of several segments, on another grid."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from ClamSegLib.imaging.mask_files import inside_of, read_mask
from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import InputError

Y, X = np.mgrid[:96, :80]
DISC = ((Y - 50) / 30) ** 2 + ((X - 41) / 22) ** 2 < 1


def test_a_mask_saved_as_jpeg_is_the_mask_that_was_drawn(tmp_path):
    Image.fromarray(DISC.astype(np.uint8) * 255).save(tmp_path / "m.jpg", quality=75)
    picture = Volume(np.zeros((1, 96, 80)), is_picture=True)
    mask, words = read_mask(tmp_path / "m.jpg", picture, "axial")
    assert np.count_nonzero(read_volume(tmp_path / "m.jpg").array > 0) > 1.05 * DISC.sum()  # it rings
    assert np.count_nonzero(mask[0] != DISC) <= 0.002 * DISC.sum()
    assert "half" in words


@pytest.mark.parametrize(
    ("values", "inside", "word"),
    [
        (DISC.astype(np.uint8) * 255, DISC, ""),
        (DISC, DISC, ""),
        (np.where(DISC, 0.6 + 0.3 * (X % 7) / 7, 0.2 * (X % 5) / 5), DISC, "half"),
        (np.where(DISC, 255 - X % 20, X % 20).astype(np.uint8), DISC, "half"),
        (np.where(DISC, 1 + X % 3, 0).astype(np.int16), DISC, "3 values"),
        (np.where(DISC, 1 + X % 40, 0).astype(np.uint8), DISC, "40 values"),
        (np.where(DISC, 1.0, np.nan), DISC, ""),
        (~DISC, ~DISC, "inverted"),
        (np.ones_like(DISC), np.ones_like(DISC), ""),
        (np.zeros_like(DISC, np.int16) - 1, np.zeros_like(DISC), ""),
    ],
    ids=["two", "bool", "probability", "soft", "segments", "atlas", "nan", "inverted", "all", "empty"],
)
def test_inside_is_what_was_drawn_as_inside(values, inside, word):
    mask, words = inside_of(values, Path("m.png"))
    assert np.array_equal(mask, inside)
    assert word in words if word else words == ""


def scan(folder: Path, name: str, array: np.ndarray, **frame: tuple[float, ...]) -> Path:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(frame.get("spacing", (1.0, 1.0, 4.0)))
    image.SetOrigin(frame.get("origin", (0.0, 0.0, 0.0)))
    image.SetDirection(frame.get("direction", (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    sitk.WriteImage(image, str(folder / name))
    return folder / name


def test_a_mask_in_another_place_than_its_image_is_refused_with_both_places(tmp_path):
    array = np.zeros((5, 30, 24), np.uint8)
    array[1:3, 8:12, 5:9] = 1
    image = read_volume(scan(tmp_path, "image.nii.gz", array))
    mask, _ = read_mask(scan(tmp_path, "right.nii.gz", array), image, "axial")
    assert np.array_equal(mask, array > 0)
    for name, frame, word in (
        ("identity", {"direction": (-1, 0, 0, 0, -1, 0, 0, 0, 1)}, "origin"),
        ("shifted", {"origin": (30.0, 0.0, 0.0)}, "origin"),
        ("spacing", {"spacing": (2.0, 2.0, 2.0)}, "spacing"),
    ):
        with pytest.raises(InputError, match=word):
            read_mask(scan(tmp_path, f"{name}.nii.gz", array, **frame), image, "axial")


def test_a_mask_stored_in_another_order_of_its_axes_fits(tmp_path):
    array = np.zeros((5, 30, 24), np.uint8)
    array[1:3, 8:12, 5:9] = 1
    image = read_volume(scan(tmp_path, "image.nii.gz", array))
    flipped = {"origin": (0.0, 29.0, 0.0), "direction": (1, 0, 0, 0, -1, 0, 0, 0, 1)}
    mask, _ = read_mask(scan(tmp_path, "m.nii.gz", array[:, ::-1].copy(), **flipped), image, "axial")
    assert np.array_equal(mask, array > 0)
