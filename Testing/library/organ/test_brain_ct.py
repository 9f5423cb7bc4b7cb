"""The inside of the skull in CT: without bone, alike in HU and in pictures of the brain window, however open the skull."""

import numpy as np
import pytest

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
