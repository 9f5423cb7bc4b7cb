"""Lesions under review are found only where the map holds any, and are those that the library finds in the whole map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from ClamSegLib.imaging.volume import Volume
from ClamSegLib.segmentation.lesions import lesion_mask, measure_lesions
from ClamSegWorkflow.case.lesion_list import LesionList
from ClamSegWorkflow.case.lesion_map import LesionMap, Smallest
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.map_parts import MapParts

SHAPE = (21, 37, 45)
CONDITIONS = ["a", "b"]


def blobs(seed: int) -> np.ndarray:
    """Bright places of all sizes over a haze: many of equal size, some of them long enough to lie around others."""
    random = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(random.normal(size=SHAPE), 1.2)
    values = np.clip(120 + 420 * noise, 0, 255).astype(np.uint8)
    values[random.random(SHAPE) < 0.002] = 230
    return values


def which_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed + 100).integers(1, 3, SHAPE, np.uint8)


def in_whole_map(values: np.ndarray, which: np.ndarray | None, threshold: float, least: int = 0) -> np.ndarray:
    maps = values[None] if which is None else np.stack([np.where(which == n, values, 0) for n in (1, 2)])
    grid = Volume(values, spacing_known=False)
    return lesion_mask(maps, threshold, grid, 0.0, least)[1]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("threshold", [0.55, 0.75, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_at_any_threshold_lesions_their_voxels_and_their_order_are_the_same(
    seed: int, threshold: float, several: bool
) -> None:
    values, which = blobs(seed), which_of(seed) if several else None
    expected = in_whole_map(values, which, threshold)
    parts = MapParts(values, which).at(threshold)
    assert len(parts) == expected.max() > 1
    found = np.zeros(SHAPE, np.int32)
    for number, part in enumerate(parts, 1):
        found[part.box][part.mask] = number
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_rows_after_decisions_and_on_the_way_back_are_those_of_lesions_looked_for_anew(
    seed: int, several: bool
) -> None:
    values, which = blobs(seed), which_of(seed) if several else None
    grid = Volume(values, (0.7, 0.9, 2.5))

    def fresh(threshold: float) -> LesionList:
        names = CONDITIONS[: 1 + several]
        return LesionList(values, which, grid, names, plane="axial", threshold=threshold, minimum_volume_ml=0.006)

    lesions = fresh(0.6)
    first = lesions.rows()
    assert [row.area_px for row in first] == sorted((row.area_px for row in first), reverse=True)
    lesions.decide(first[0].number, Decision.ACCEPTED)
    lesions.decide(first[1].number, Decision.REJECTED)
    lesions.set_threshold(0.7)
    lesions.set_threshold(0.5)
    assert lesions.row(first[0].number).area_px == first[0].area_px
    for _ in range(4):
        assert lesions.undo()
    assert lesions.rows() == first == fresh(0.6).rows()


def test_what_decided_lesions_leave_is_what_the_library_finds_without_their_voxels() -> None:
    values = blobs(4)
    lesions = LesionMap(values, None, replace(Volume(values), spacing_known=False), "axial")
    strict = LesionList(values, None, Volume(values), ["a"], plane="axial", threshold=0.8)
    for row in strict.rows()[:5]:
        strict.decide(row.number, Decision.ACCEPTED)
    kept = [strict.kept(number) for number in strict.decisions()]
    rest = values.copy()
    for lesion in kept:
        rest[lesion.box][lesion.mask] = 0
    lesions.find_lesions(kept, 0.5, Smallest(px=5))
    expected = in_whole_map(rest, None, 0.5, 5)
    assert len(lesions.undecided) <= expected.max()
    numbers = [set(np.unique(expected[part.box][part.mask])) for part in lesions.undecided]
    assert all(len(each) == 1 and each != {0} for each in numbers)
    there = [next(iter(each)) for each in numbers]
    assert there == sorted(there), "in the same order"
    decided = np.zeros(SHAPE, bool)
    for lesion in kept:
        decided[lesion.box] |= lesion.mask
    for gone in set(range(1, expected.max() + 1)) - set(there):
        beside = ndimage.binary_dilation(expected == gone, np.ones((3, 3, 3), bool)) & decided
        assert beside.any(), "only rims of decided lesions are left out"
        assert values[expected == gone].max() <= values[decided].max()


def test_figures_are_those_of_the_library_to_the_bit() -> None:
    values = blobs(5)
    grid = Volume(values, (0.7, 0.9, 2.5))
    labels, components = lesion_mask(values[None], 0.6, grid, 0.0)
    whole = measure_lesions(labels, components, values[None], grid, ["a"])
    rows = LesionList(values, None, grid, ["a"], plane="axial", threshold=0.6).rows()
    for row, lesion in zip(rows, whole, strict=True):
        assert row.centre_ijk == lesion.centre_index[::-1]
        assert (row.first_slice, row.last_slice, row.n_slices) == (
            lesion.first_slice,
            lesion.last_slice,
            lesion.n_slices,
        )
        assert (row.volume_ml, row.mean_probability, row.mean_doubt) == (
            lesion.volume_ml, lesion.mean_probability, lesion.mean_doubt,
        )  # fmt: skip
        assert (row.longest_diameter_mm, row.perpendicular_diameter_mm, row.diameter_slice) == (
            lesion.longest_diameter_mm, lesion.perpendicular_diameter_mm, lesion.diameter_slice,
        )  # fmt: skip
