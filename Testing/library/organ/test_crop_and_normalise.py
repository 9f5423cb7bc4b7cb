import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ClamSegLib.imaging.volume import Volume
from ClamSegLib.model.config import IntensityConfig, ModelConfig, NetworkConfig, OrganConfig
from ClamSegLib.organ.clean_values import clean_values
from ClamSegLib.organ.crop_and_normalise import (
    Box,
    check_intensity,
    crop_mask,
    crop_resize,
    intensity_scale,
    normalise,
    organ_box,
    paste_resized,
    prepare,
)
from ClamSegLib.system.errors import InputError

ORGAN = OrganConfig("whole", margin_mm=6.0, margin_fraction=0.1)
SMALL = NetworkConfig(features=(4, 8), kernel_sizes=(3, 3))


def ramp(shape: tuple[int, int, int]) -> np.ndarray:
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]]
    return (3.0 * y - 2.0 * x + 10 * z).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.integers(16, 60), st.integers(16, 60), st.integers(0, 12), st.integers(0, 9), st.sampled_from([32, 48]))
def test_pasting_puts_every_point_back_where_it_was(height, width, top, left, size):
    box = Box(top, top + height, left, left + width)
    image = ramp((2, top + height + 5, left + width + 7))
    pasted = paste_resized(crop_resize(image, box, size), box, image.shape[1:])
    # Away from the border, where resampling sees past the crop, a ramp must come back: no shift above an eighth of a pixel.
    edge = 2 + int(np.ceil(max(height, width) / size))
    inner = (
        slice(None),
        slice(box.row_start + edge, box.row_stop - edge),
        slice(box.column_start + edge, box.column_stop - edge),
    )
    assert np.allclose(pasted[inner], image[inner], atol=3 / 8)
    outside = np.ones(image.shape, bool)
    outside[box.slices] = False
    assert (pasted[outside] == 0).all()


@settings(max_examples=25, deadline=None)
@given(st.floats(14, 34), st.floats(14, 34), st.integers(30, 90))
def test_the_centre_of_a_spot_survives_the_way_there_and_back(row, column, size):
    y, x = np.mgrid[:48, :48]
    spot = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 18).astype(np.float32)[None]
    back = paste_resized(crop_resize(spot, Box(2, 46, 1, 47), size), Box(2, 46, 1, 47), (48, 48))
    assert np.allclose(ndimage.center_of_mass(back[0]), (row, column), atol=0.1)


def test_a_box_of_the_network_size_changes_no_value():
    image = np.random.default_rng(0).normal(size=(2, 50, 50)).astype(np.float32)
    box = Box(5, 37, 9, 41)
    assert np.array_equal(crop_resize(image, box, 32), image[box.slices])
    assert np.array_equal(paste_resized(image[box.slices], box, (50, 50))[box.slices], image[box.slices])


def test_one_box_holds_the_organ_of_all_slices_with_its_margin_in_mm():
    mask = np.zeros((3, 100, 120), bool)
    mask[0, 40:50, 30:60] = True
    mask[2, 45:70, 50:90] = True
    volume = Volume(mask.astype(np.int16), (2.0, 3.0, 5.0))
    box = organ_box(mask, volume, ORGAN)
    assert box == Box(40 - 2, 70 + 2, 30 - 3, 90 + 3)
    unknown = Volume(mask.astype(np.int16), spacing_known=False)
    assert organ_box(mask, unknown, ORGAN) == Box(40 - 3, 70 + 3, 30 - 6, 90 + 6)


def test_a_box_never_leaves_the_image_and_is_never_smaller_than_the_network_can_use():
    mask = np.zeros((1, 40, 40), bool)
    mask[0, 0, 39] = True
    box = organ_box(mask, Volume(mask.astype(np.int16), spacing_known=False), ORGAN)
    assert (box.row_start, box.column_stop) == (0, 40)
    assert (box.height, box.width) == (16, 16)
    assert organ_box(np.zeros_like(mask), Volume(mask), ORGAN) == Box(0, 40, 0, 40)


def test_a_mask_keeps_what_covers_half_of_a_new_pixel():
    mask = np.zeros((1, 32, 32), bool)
    mask[0, 8:24, 8:24] = True
    assert np.array_equal(crop_mask(mask, Box(0, 32, 0, 32), 16)[0], mask[0, ::2, ::2])


def test_a_ct_window_is_cut_into_the_256_steps_of_a_picture():
    scale = intensity_scale(
        Volume(np.zeros((1, 16, 16))), np.ones((1, 16, 16), bool), IntensityConfig("window_hu", -1000, 400)
    )
    values = normalise(np.array([-2000, -1000, -300, 400, 3000]), scale)
    assert values.tolist() == pytest.approx([0, 0, round(255 * 0.5) / 255, 1, 1])
    assert np.allclose(values * 255, np.round(values * 255))


def test_mr_values_are_measured_from_the_organ_in_units_of_its_spread():
    rng = np.random.default_rng(0)
    array = rng.normal(0, 500, (4, 40, 40))
    mask = np.zeros(array.shape, bool)
    mask[:, 10:30, 10:30] = True
    array[mask] = rng.normal(700, 30, mask.sum())
    scale = intensity_scale(Volume(array), mask, IntensityConfig("organ_robust", -4, 8))
    assert scale.centre == pytest.approx(700, abs=3)
    assert scale.spread == pytest.approx(30, rel=0.1)
    again = intensity_scale(Volume(array * 7 + 1000), mask, IntensityConfig("organ_robust", -4, 8))
    assert np.allclose(normalise(array * 7 + 1000, again), normalise(array, scale), atol=1e-3)
    assert normalise(np.array([1e6, -1e6]), scale).tolist() == [8, -4]


def test_an_organ_of_one_value_does_not_divide_by_zero():
    array = np.full((1, 20, 20), 5.0)
    array[0, 0, 0] = 9
    scale = intensity_scale(Volume(array), np.ones(array.shape, bool), IntensityConfig())
    assert np.isfinite(normalise(array, scale)).all()


def test_some_missing_voxels_become_background_with_a_warning():
    array = np.ones((2, 20, 20), np.float32)
    array[0, 3, 3], array[1, 4, 4], array[0, 0, 0] = np.nan, np.inf, -7
    cleaned, notes = clean_values(Volume(array))
    assert cleaned.array[0, 3, 3] == cleaned.array[1, 4, 4] == -7
    assert "2 of 800 voxels" in notes[0]
    assert np.isnan(array[0, 3, 3]), "the caller's array is left alone"


def test_what_surrounds_a_ct_becomes_air_and_a_dark_or_partial_surrounding_is_left_alone():
    array = np.random.default_rng(0).integers(-1000, 300, (4, 40, 40)).astype(np.int16)
    array[:, :6], array[:, -6:], array[:, :, :6], array[:, :, -6:] = 0, 0, 0, 0
    cleaned, notes = clean_values(Volume(array))
    assert cleaned.array.dtype == np.int16
    assert (cleaned.array[:, 0] == array.min()).all()
    assert np.array_equal(cleaned.array[:, 6:-6, 6:-6], np.where(array == 0, array.min(), array)[:, 6:-6, 6:-6])
    assert "constant 0 all around" in notes[0]
    dark = Volume(np.where(array == 0, -2000, array).astype(np.int16))
    assert clean_values(dark) == (dark, [])
    array[:, 0, 20:] = 100
    assert clean_values(Volume(array))[1] == []


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((1, 20, 20), np.nan, np.float32), "NaN"),
        (np.full((1, 20, 20), 7), "same value"),
        (np.eye(15)[None], "at least 16"),
    ],
)
def test_an_image_without_content_is_refused(array, words):
    with pytest.raises(InputError, match=words):
        clean_values(Volume(array))


def test_a_ct_model_refuses_values_that_are_not_hu():
    config = ModelConfig(
        "m", modality="CT", image_size=32, network=SMALL, intensity=IntensityConfig("window_hu", -1000, 400)
    )
    check_intensity(Volume(np.array([-1000, 400])), config)
    for wrong in ([0, 2000], [0, 255], [-1000, -500], [-1000, 60000]):
        with pytest.raises(InputError, match="HU"):
            check_intensity(Volume(np.array(wrong)), config)
    check_intensity(Volume(np.array([0, 255], np.uint8), already_windowed=True), config)
    with pytest.raises(InputError, match="is MR"):
        check_intensity(Volume(np.array([-1000, 400]), modality="MR"), config)


@pytest.mark.parametrize("keep", [True, False])
def test_background_is_kept_unless_the_model_says_otherwise(keep):
    rng = np.random.default_rng(0)
    array = rng.integers(100, 900, (2, 40, 40)).astype(np.int16)
    mask = np.zeros(array.shape, bool)
    mask[:, 8:32, 8:32] = True
    organ = OrganConfig("whole", margin_mm=8.0, keep_background=keep)
    config = ModelConfig("m", image_size=40, network=SMALL, organ=organ)
    image = prepare(Volume(array), mask, config).network_input(np.array([0, 1]))
    assert image.shape == (2, 1, 40, 40)
    assert (len(np.unique(image[0, 0][~mask[0]])) == 1) is not keep
