"""What is computed in a box, or only where something is, equals the plain definition over the whole volume."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import pdist
from torch.nn.functional import interpolate

from ClamSegLib.imaging.volume import Volume, box_of
from ClamSegLib.organ.morphology import WorkingGrid, close, dilate, erode, fill_holes, upsampled
from ClamSegLib.segmentation.lesions import above_threshold, lesion_mask, measure_lesions

SPACING_MM = (2.4, 1.1, 0.9)


def blobs(shape: tuple[int, ...], seed: int, share: float = 0.3) -> NDArray[np.bool_]:
    """Smooth random parts, some of which touch the borders."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.0)
    return np.asarray(noise > np.quantile(noise, 1 - share))


def closed_in_whole(mask: NDArray[np.bool_], radius_mm: float, spacing_mm: tuple[float, ...]) -> NDArray[np.bool_]:
    """Closing with the whole volume and a wide margin around it; end slices go on behind the scan."""
    pad = [int(np.ceil(3 * radius_mm / s)) + 2 for s in spacing_mm]
    padded = np.pad(mask, [(pad[0], pad[0]), (0, 0), (0, 0)], mode="edge")
    padded = np.pad(padded, [(0, 0), (pad[1], pad[1]), (pad[2], pad[2])])
    closed = erode(dilate(padded, radius_mm, spacing_mm), radius_mm, spacing_mm)
    inner = tuple(slice(p, p + n) for p, n in zip(pad, mask.shape, strict=True))
    return np.asarray(closed[inner] | mask)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("radius_mm", [1.0, 4.0, 9.0])
def test_closing_in_the_box_of_a_mask_equals_closing_in_the_whole_volume(seed: int, radius_mm: float) -> None:
    mask = blobs((14, 40, 44), seed, share=0.08)
    expected = closed_in_whole(mask, radius_mm, SPACING_MM)

    assert np.array_equal(close(mask, radius_mm, SPACING_MM), expected)
    assert radius_mm < 4 or (expected & ~mask).any()  # there was something to close


def test_closing_a_slice_equals_closing_a_stack_that_repeats_it() -> None:
    plane = blobs((50, 60), 7, share=0.2)
    expected = closed_in_whole(plane[None], 6.0, (1e3, 1.1, 0.9))[0]

    assert np.array_equal(close(plane, 6.0, (1.1, 0.9)), expected)


def test_an_empty_mask_stays_empty() -> None:
    nothing = np.zeros((3, 5, 6), bool)

    assert box_of(nothing) is None
    assert not close(nothing, 5.0, SPACING_MM).any()
    assert not fill_holes(nothing).any()


@pytest.mark.parametrize("seed", range(3))
def test_holes_are_filled_slice_by_slice_as_scipy_fills_them(seed: int) -> None:
    stack = blobs((6, 40, 50), seed, share=0.55)
    expected = np.stack([ndimage.binary_fill_holes(plane) for plane in stack])

    assert np.array_equal(fill_holes(stack), expected)
    assert (expected & ~stack).any()


@pytest.mark.parametrize("at_the_border", [True, False])
@pytest.mark.parametrize("steps", [(1, 1, 1), (2, 3, 4), (3, 2, 2)])
def test_an_enlarged_mask_is_what_interpolating_every_whole_slice_gives(
    steps: tuple[int, int, int], at_the_border: bool
) -> None:
    whole = blobs((13, 37, 45), 3, share=0.2)
    if not at_the_border:
        inner = np.zeros_like(whole)
        inner[:, 4:-5, 4:-5] = whole[:, 4:-5, 4:-5]
        whole = inner
    grid = WorkingGrid(steps, (1.0, 1.0, 1.0))
    small = grid.subsample(whole)
    expected = np.zeros(whole.shape, bool)
    size = (small.shape[1] * steps[1], small.shape[2] * steps[2])
    for k, plane in enumerate(torch.from_numpy(small.astype(np.float32))):
        share = interpolate(plane[None, None], size=size, mode="bilinear", align_corners=False)[0, 0].numpy()
        share = np.roll(share, (-((steps[1] - 1) // 2), -((steps[2] - 1) // 2)), axis=(0, 1))
        expected[k * steps[0] : (k + 1) * steps[0]] = share[: whole.shape[1], : whole.shape[2]] >= 0.5

    assert np.array_equal(upsampled(small, grid, whole.shape), expected)
    assert expected.any()


def plainly_measured(
    probability: NDArray[np.uint8], threshold: float, volume: Volume, minimum_ml: float
) -> list[tuple[float, ...]]:
    """Condition, voxels, longest diameter and centre of every lesion kept, component by component."""
    highest, strongest = probability.max(axis=0), probability.argmax(axis=0) + 1
    found = []
    for condition in range(1, len(probability) + 1):
        own = above_threshold(highest, threshold) & (strongest == condition)
        parts, count = ndimage.label(own, np.ones((3, 3, 3)))
        for number in range(1, count + 1):
            index = np.argwhere(parts == number)
            if len(index) * volume.voxel_ml < minimum_ml:
                continue
            longest = 0.0
            for k in np.unique(index[:, 0]):
                pixels = index[index[:, 0] == k, 1:]
                corners = np.concatenate([pixels + offset for offset in ((0, 0), (0, 1), (1, 0), (1, 1))])
                longest = max(longest, float(pdist(corners * np.asarray(volume.pixel_mm)).max()))
            centre = (round(float(c), 9) for c in index.mean(axis=0))
            found.append((condition, len(index), round(longest, 9), *centre))
    return sorted(found)


@pytest.mark.parametrize("conditions", [1, 3])
@pytest.mark.parametrize("minimum_ml", [0.0, 0.02])
def test_lesions_are_those_of_the_plain_definition(conditions: int, minimum_ml: float) -> None:
    generator = np.random.default_rng(conditions)
    maps = np.stack([ndimage.gaussian_filter(generator.normal(size=(8, 30, 34)), 1.2) for _ in range(conditions)])
    probability = np.clip((maps / maps.std() + 1) * 80, 0, 255).astype(np.uint8)
    volume = Volume(probability[0], (0.8, 1.3, 2.0))

    labels, components = lesion_mask(probability, 0.6, volume, minimum_ml)
    names = [str(n) for n in range(1, conditions + 1)]
    measured = measure_lesions(labels, components, probability, volume, names)

    expected = plainly_measured(probability, 0.6, volume, minimum_ml)
    assert len(expected) > 3
    found = sorted(
        (int(x.condition), x.area_px, round(x.longest_diameter_mm or 0.0, 9), *(round(c, 9) for c in x.centre_index))
        for x in measured
    )
    assert found == expected
    assert [x.area_px for x in measured] == sorted((x.area_px for x in measured), reverse=True)
    assert np.array_equal(labels > 0, components > 0)


def test_a_map_below_the_threshold_has_no_lesion() -> None:
    probability = np.full((2, 4, 20, 20), 100, np.uint8)
    volume = Volume(probability[0], (1.0, 1.0, 1.0))

    labels, components = lesion_mask(probability, 0.5, volume, 0.0)

    assert not labels.any()
    assert not components.any()
    assert measure_lesions(labels, components, probability, volume, ["a", "b"]) == []
