"""Slices that a series lacks: the network gets their nearest neighbours, and nothing of what it says there stands.

Left empty, they would darken what is averaged over neighbouring slices, and cut organs in two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ClamSegLib.imaging.volume import Array, Volume, canonical, canonical_orientation
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.words import bounded


def with_lacking(volume: Volume, told: Mapping[str, Any]) -> Volume:
    """The volume with what a front knows of it that its file does not tell.

    Args:
        told: 'missing_slices' and 'stack_doubt' as in Volume; what is not there, or null, changes nothing.

    Raises:
        InputError: something else than numbers of slices and a sentence.
    """
    missing, doubt = told.get("missing_slices") or (), told.get("stack_doubt") or ""
    n = volume.array.shape[0]
    if (
        not isinstance(missing, list | tuple)
        or not all(type(k) is int and 0 <= k < n for k in missing)
        or len(set(missing)) >= n
    ):
        raise InputError(f"'missing_slices' must be a list of some of the numbers 0 to {n - 1}.")
    if not isinstance(doubt, str):
        raise InputError("'stack_doubt' must be a sentence.")
    if not missing and not doubt:
        return volume
    return replace(volume, missing_slices=tuple(sorted(set(missing))), stack_doubt=bounded(doubt, 200))


def bridged(volume: Volume, plane: str) -> Volume:
    """The canonical volume with the nearest slice that is there in place of each that is missing."""
    if not volume.missing_slices:
        return canonical(volume, plane)[0]
    n = volume.array.shape[0]
    there = np.array([k for k in range(n) if k not in volume.missing_slices])
    nearest = there[np.abs(np.arange(n)[:, None] - there).argmin(axis=1)]
    return canonical(replace(volume, array=volume.array[nearest]), plane)[0]


def emptied(array: Array, volume: Volume, plane: str) -> Array:
    """A canonical (..., slice, row, column) array with 0 where the series has no slice; a new one where there are such."""
    if not volume.missing_slices:
        return array
    axis, places = _canonical_places(volume, plane)
    kept = array.copy()
    np.moveaxis(kept, axis - 3, 0)[places] = 0
    return kept


def lacking_words(volume: Volume, plane: str) -> tuple[int, str]:
    """How many canonical slices are missing as a whole, and what is to be said of it, '' where nothing is."""
    if not volume.missing_slices:
        return 0, ""
    axis, places = _canonical_places(volume, plane)
    count = len(places)
    if axis > 0:
        return 0, f"{count} slice{'s' if count > 1 else ''} of the series missing, which is a line in each of these"
    numbers = ", ".join(str(k + 1) for k in places[:4]) + (f" and {count - 4} more" if count > 4 else "")
    return (
        count,
        f"slices {numbers} are missing from the series" if count > 1 else f"slice {numbers} is missing from the series",
    )


def _canonical_places(volume: Volume, plane: str) -> tuple[int, list[int]]:
    """The canonical axis that the file's slices lie along, and the numbers of the missing ones on it."""
    orientation = canonical_orientation(volume, plane)
    axis = orientation.permutation.index(0)
    last = volume.array.shape[0] - 1
    return axis, sorted(last - k if orientation.flips[axis] else k for k in volume.missing_slices)
