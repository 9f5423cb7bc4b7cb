"""The inside of the skull in CT: without bone, alike in HU and in pictures of the brain window, however open the skull."""

import csv

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from ClamSegLib.imaging.volume import Volume
from ClamSegLib.metrics import dice
from ClamSegLib.model.config import OrganConfig
from ClamSegLib.organ.brain_ct import WINDOW_HU, find_brain
from ClamSegLib.organ.find_organ import find_organ

BRAIN = OrganConfig("brain_ct", "brain")


def head_hu(slices: int = 3, gap: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Slices of 1 mm pixels: brain of 35 HU in a skull of 1000 HU, scalp fat of -80 HU, air; and the brain."""
    y, x = np.mgrid[:220, :190]
    radius = np.sqrt(((y - 110) / 100) ** 2 + ((x - 95) / 82) ** 2)
    rng = np.random.default_rng(0)
    plane = np.full(radius.shape, -1000.0)
    plane[radius < 1] = -80
    skull = (radius < 0.93) & (radius >= 0.85)
    plane[skull] = 1000
    if gap:
        opening = skull & (np.abs(y - 110) < 12) & (x > 95)
        plane[opening] = 30
    brain = radius < 0.85
    plane[brain] = 35
    array = np.stack([plane + rng.normal(0, 3, plane.shape) for _ in range(slices)]).astype(np.int16)
    return array, np.stack([brain] * slices)


def windowed(array: np.ndarray) -> np.ndarray:
    low, high = WINDOW_HU
    return np.rint(np.clip((array - low) / (high - low), 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize("gap", [False, True], ids=["closed skull", "skull with a gap of 24 mm"])
def test_the_brain_is_found_and_no_bone_is_left_in_it(gap):
    array, brain = head_hu(gap=gap)
    found = find_organ(Volume(array, (1.0, 1.0, 5.0), modality="CT"), BRAIN)
    assert found.method == "brain_ct"
    assert not found.fell_back
    assert dice(found.mask, brain) > 0.95
    assert array[found.mask].max() < 88


def test_a_picture_of_the_brain_window_gives_what_its_hu_give():
    array, brain = head_hu(slices=1)
    hu = find_brain(Volume(array, (1.0, 1.0, 5.0), modality="CT"))[0]
    picture = Volume(windowed(array), spacing_known=False, already_windowed=True, is_picture=True, modality="CT")
    shown = find_brain(picture)[0]
    assert dice(shown, brain) > 0.93
    assert dice(hu, shown) > 0.97


def test_slices_without_a_skull_are_no_brain_and_the_organ_step_says_so():
    array = np.full((2, 120, 120), -1000, np.int16)
    array[:, 30:90, 30:90] = 40
    mask, quality, problem = find_brain(Volume(array, (1.0, 1.0, 5.0), modality="CT"))
    assert not mask.any()
    assert quality == 0
    assert "no inside of a skull" in problem


def whole_head_hu(tilt: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A head of 2 mm pixels and slices from the base up to the air above it, its top tilted aside by `tilt`; and its brain.

    Scalp of muscle's density (45 HU), 8 mm thick, so that density alone cannot tell it from brain.
    """
    z, y, x = np.mgrid[:60, :120, :110]
    x = x - tilt * (z - 10)
    radius = np.sqrt(((z - 10) / 40) ** 2 + ((y - 60) / 48) ** 2 + ((x - 55) / 42) ** 2)
    array = np.full(radius.shape, -1000.0)
    array[radius < 1] = 45
    array[radius < 0.91] = 1000
    brain = radius < 0.83
    array[brain] = 35
    return (array + np.random.default_rng(0).normal(0, 3, array.shape)).astype(np.int16), brain


@pytest.mark.parametrize("tilt", [0.0, 0.4], ids=["upright", "tilted"])
def test_no_scalp_at_the_vertex_is_brain_and_no_slice_is_missing_in_the_middle(tilt):
    array, brain = whole_head_hu(tilt)
    mask, quality, _ = find_brain(Volume(array, (2.0, 2.0, 2.0), modality="CT"))
    shown = np.flatnonzero(mask.any(axis=(1, 2)))
    assert quality == 1
    assert not (mask & ~brain).any()
    assert shown[0] == 0
    assert (np.diff(shown) == 1).all()
    assert shown[-1] >= np.flatnonzero(brain.any(axis=(1, 2)))[-1] - 5  # the last centimetre lies too near the bone
    assert ndimage.label(mask)[1] == 1
    assert all((ndimage.binary_fill_holes(plane) == plane).all() for plane in mask[shown])


def test_real_slices_near_the_vertex_hold_nothing_outside_the_skull(real_data):
    root = real_data / "ich_ct"
    with (root / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if float(r["slice_index"]) >= 0.88 * float(r["n_slices"])]
    rows = [r for r in rows if r["patient_id"] != "ich085"]  # an infant: the gaps of the skull are too wide to judge by
    assert len(rows) > 20
    for row in rows:
        values = np.asarray(Image.open(root / row["image_path"]).convert("L"))
        volume = Volume(values[None], spacing_known=False, already_windowed=True, is_picture=True, modality="CT")
        mask = find_brain(volume)[0][0]
        labels, _ = ndimage.label(values >= 230, np.ones((3, 3)))
        skull = labels == 1 + int(np.argmax(np.bincount(labels[labels > 0])[1:]))
        # A fracture or an open suture lets a flood in through its gap: it is closed first, as far as 8 mm.
        padded = np.pad(skull, 20)
        closed = ndimage.distance_transform_edt(ndimage.distance_transform_edt(~padded) <= 8) > 8
        inside = ndimage.binary_fill_holes(closed | padded)[20:-20, 20:-20]
        assert not (mask & ~inside).any(), row["image_id"]
