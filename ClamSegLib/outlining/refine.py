"""The border of a lesion that is there: tighter, wider, cut at a thin bridge, split in two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ClamSegLib.imaging.volume import box_of
from ClamSegLib.outlining.growth import Bools, inwards_mm, part_of_seeds
from ClamSegLib.outlining.tissue import Index, Tissue
from ClamSegLib.system.errors import InputError

_BRIDGE_MM = 0.25  # the least by which a bridge is thinner than the thinner of two parts, measured inwards


def wider(mask: Bools, tissue: Tissue) -> Bools:
    """A lesion (slice, row, column) grown by one finest voxel, where the image is most like the lesion.

    Raises:
        InputError: there is nowhere to grow.
    """
    near = _reached(mask, tissue.spacing_mm) & ~mask
    if tissue.organ is not None:
        near &= tissue.organ
    if not near.any():
        raise InputError("The lesion cannot grow: it fills the organ.")
    unlike = np.abs(tissue.array[near] - np.median(tissue.array[mask]))
    grown = mask.copy()
    grown[near] = unlike <= np.median(unlike)
    return grown


def tighter(mask: Bools, tissue: Tissue) -> Bools:
    """A lesion without the half of its rim that is least like it.

    Raises:
        InputError: it is only a rim; reject it instead.
    """
    rim = mask & _reached(~mask, tissue.spacing_mm)
    if not rim.any():  # it fills the scan
        return mask
    unlike = np.abs(tissue.array[rim] - np.median(tissue.array[mask]))
    left = mask.copy()
    left[rim] = unlike < np.median(unlike)
    if not left.any():
        raise InputError("The lesion is too small to become tighter; reject it instead.")
    return left


def parts_at_bridges(mask: Bools, spacing_mm: tuple[float, float, float]) -> list[Bools]:
    """The parts of a lesion that hang together by bridges thinner than themselves, the largest first.

    Args:
        spacing_mm: between slices, rows, columns.
    """
    import SimpleITK as sitk

    box = box_of(mask)
    if box is None:
        return []
    wide = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
    basins = sitk.GetArrayFromImage(
        sitk.MorphologicalWatershed(
            inwards_mm(mask[wide], spacing_mm), level=_BRIDGE_MM, markWatershedLine=False, fullyConnected=True
        )
    )
    numbers, sizes = np.unique(basins[mask[wide]], return_counts=True)
    parts = []
    for number in numbers[np.argsort(sizes, kind="stable")[::-1]]:
        part = np.zeros(mask.shape, bool)
        part[wide] = mask[wide] & (basins == number)
        parts.append(part)
    return parts


def without_bridge(mask: Bools, spacing_mm: tuple[float, float, float]) -> Bools:
    """A lesion without what hangs on its largest part by a thin bridge.

    Raises:
        InputError: nothing does.
    """
    parts = parts_at_bridges(mask, spacing_mm)
    if len(parts) < 2:
        raise InputError("Nothing hangs on this lesion by a thin bridge.")
    return parts[0]


def split_in_two(mask: Bools, spacing_mm: tuple[float, float, float]) -> tuple[Bools, Bools]:
    """A lesion parted at its thinnest place, the larger part first.

    Raises:
        InputError: it is of one piece.
    """
    parts = parts_at_bridges(mask, spacing_mm)
    if len(parts) < 2:
        raise InputError("This lesion has no thin place to be split at.")
    seeds = [_middle(part, spacing_mm) for part in parts[:2]]
    second = part_of_seeds(mask, [seeds[1]], [seeds[0]], spacing_mm)
    return mask & ~second, second


def _middle(part: Bools, spacing_mm: Sequence[float]) -> Index:
    """The voxel farthest from the border of a part."""
    deep = ndimage.distance_transform_edt(np.pad(part, 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
    k, j, i = np.unravel_index(int(deep.argmax()), deep.shape)
    return int(k), int(j), int(i)


def _reached(mask: Bools, spacing_mm: Sequence[float]) -> Bools:
    """Voxels no farther from a mask than one and a half finest voxels."""
    away = ndimage.distance_transform_edt(~mask, sampling=spacing_mm)
    near: Bools = away <= 1.5 * min(spacing_mm)
    return near
