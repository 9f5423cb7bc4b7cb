"""Trachea and main bronchi in CT: nearly empty, walled off from the lungs, one way from slice to slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ClamSegLib.organ.morphology import IN_PLANE

_EMPTY_HU = -900  # lung holds a tenth of tissue or more; with its wall a trachea is as dense as lung
_SMALLEST_CM2, _LARGEST_CM2 = 0.25, 6.0  # of a slice of the lumen
_CENTRAL = (0.33, 0.67)  # of the columns of the body
# Share of tissue just outside the lumen: all around it at the neck, on one side where a lung touches the trachea. In
# a fold of the lung before heart or spine it is as large at times, but nowhere along it the whole.
_WALLED, _PARTLY_WALLED = 0.85, 0.5
_FEWEST_SLICES = 3  # that are walled all around
_CROSS, _SQUARE = ndimage.generate_binary_structure(2, 1), np.ones((3, 3), bool)


def find_airways(
    hu: NDArray[np.float32], air: NDArray[np.bool_], body: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Trachea and main bronchi with the blurred rim of their wall, as far as they lie outside the lungs.

    Args:
        hu: (slice, row, column) on a grid of about 2.5 mm, at which the wall still parts a lumen from a lung beside it.
        air: what is lung or airway.
        body: the body with what it encloses.
        spacing_mm: of slices, rows and columns.

    Returns:
        (slice, row, column) bool, a part of `air`. Gas of the bowel and of the gullet may be among it: no lung either.
    """
    lumens, count = ndimage.label((hu < _EMPTY_HU) & body, IN_PLANE)
    walled = np.zeros(count + 1, np.float32)
    area_cm2 = np.bincount(lumens.ravel(), minlength=count + 1) * (spacing_mm[1] * spacing_mm[2] / 100)
    limits = _central_columns(body)
    places = ndimage.find_objects(lumens)
    for number, place in enumerate(places, 1):
        low, high = limits[place[0].start]
        central = low < (place[2].start + place[2].stop - 1) / 2 < high
        if central and _SMALLEST_CM2 < area_cm2[number] < _LARGEST_CM2:
            walled[number] = _share_of_tissue(lumens, number, place, air)
    is_airway = _on_airways(lumens, places, walled)[lumens]
    with_rim = ndimage.binary_dilation(is_airway, _SQUARE[None])
    return np.asarray(with_rim & air)


def _on_airways(
    lumens: NDArray[np.int32], places: list[tuple[slice, ...]], walled: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Which lumens (number,) lie on a way through the slices that is walled all around in some of them."""
    partly = walled >= _PARTLY_WALLED
    ways, count = ndimage.label(partly[lumens], np.ones((3, 3, 3), bool))
    way_of = np.zeros(len(walled), np.int64)
    for number in np.flatnonzero(partly):
        place = places[number - 1]
        way_of[number] = ways[place][lumens[place] == number][0]
    walled_slices = {(way_of[number], places[number - 1][0].start) for number in np.flatnonzero(walled >= _WALLED)}
    in_slices = np.bincount([int(way) for way, _ in walled_slices], minlength=count + 1)
    return np.asarray(partly & (in_slices >= min(_FEWEST_SLICES, len(lumens)))[way_of])


def _central_columns(body: NDArray[np.bool_]) -> NDArray[np.float64]:
    """First and last (slice, 2) of the columns in the middle third of the body; none where there is no body."""
    limits = np.full((len(body), 2), np.inf)
    for k in np.flatnonzero(body.any(axis=(1, 2))):
        limits[k] = np.quantile(np.flatnonzero(body[k].any(axis=0)), _CENTRAL)
    return limits


def _share_of_tissue(lumens: NDArray[np.int32], number: int, place: tuple[slice, ...], air: NDArray[np.bool_]) -> float:
    """Share of tissue among the pixels behind the next ones, which are blurred."""
    around = (place[0].start, *(slice(max(side.start - 2, 0), side.stop + 2) for side in place[1:]))
    tissue = ~air[around]
    if tissue.sum() < max(
        side.stop - side.start for side in place[1:]
    ):  # less than half of any ring: as most, deep in a lung
        return 0.0
    wall = ndimage.binary_dilation(lumens[around] == number, _CROSS)
    return float(tissue[ndimage.binary_dilation(wall, _SQUARE) & ~wall].mean())
