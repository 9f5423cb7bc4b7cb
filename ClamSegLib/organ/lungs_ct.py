"""Lungs in CT by density: air inside the body, without trachea, closed so that consolidations stay inside.

Found on a grid of about 2.5 mm, where distances of 12 mm are cheap, and refined at full resolution.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ClamSegLib.imaging.volume import Array, Volume
from ClamSegLib.organ.airways_ct import find_airways
from ClamSegLib.organ.morphology import WorkingGrid, close, fill_holes, largest_component, smooth_upsample, working_grid
from ClamSegLib.system.sparse_memory import zeros_on_demand

NAME = "lungs_ct"
_LOW_HU, _HIGH_HU = -1024, 600
_BODY_HU, _AIR_HU = -400, -320
_CLOSING_MM = 12.0
_LARGEST_HOLE_CM2 = 40.0  # a large consolidation; the heart is larger
_LARGEST_OPEN_SHARE = 0.5  # of a hole's largest cross-section
_SMALLEST_L, _LARGEST_L = 1.0, 9.0
_LOWEST_MEAN_HU, _HIGHEST_MEAN_HU = -920.0, -550.0


def find_lungs(volume: Volume, window_hu: tuple[float, float] | None) -> tuple[Array, float, str]:
    """The lungs of a canonical CT.

    Args:
        volume: HU, or an 8-bit picture stack cut by `window_hu`.
        window_hu: the window of an 8-bit picture.

    Returns:
        mask (slice, row, column) bool, quality 0..1 (share of the plausibility checks that hold), and what is
        wrong in words ('' when nothing is).
    """
    grid = working_grid(volume, 2.5)
    small = grid.subsample(volume.array).astype(np.float32)
    if volume.already_windowed and window_hu is not None:
        small = np.float32(window_hu[0]) + small * np.float32((window_hu[1] - window_hu[0]) / 255)
    small = np.clip(small, _LOW_HU, _HIGH_HU).astype(np.float32)
    lungs = _coarse(small, grid.spacing_mm)
    if not lungs.any():
        return np.zeros(volume.array.shape, bool), 0.0, "no lungs were found in this CT"
    mask = _refined(volume, window_hu, lungs, grid)
    quality, problem = _plausible(lungs, small, grid.spacing_mm, volume)
    return mask, quality, problem


def _coarse(hu: NDArray[np.float32], spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    body = fill_holes(largest_component(hu > _BODY_HU))
    air = (hu < _AIR_HU) & body
    # Before the lungs are told apart: through the trachea both are one, and its half would be closed to a lung.
    air &= ~find_airways(hu, air, body, spacing_mm)
    # Air that reaches the picture's border lies outside a body cut by the field of view.
    labels, count = ndimage.label(air)
    if count == 0:
        return air
    border = np.unique(
        np.concatenate([labels[:, 0].ravel(), labels[:, -1].ravel(), labels[..., 0].ravel(), labels[..., -1].ravel()])
    )
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    sizes[border] = 0
    order = np.argsort(sizes)[::-1]
    kept = [int(order[0])]
    # A second lung of its own; where both are joined the next component is something small.
    if count > 1 and sizes[order[1]] > 0.1 * sizes[order[0]]:
        kept.append(int(order[1]))
    if sizes[order[0]] * np.prod(spacing_mm) < 20_000:  # 20 ml: bowel gas or noise
        return np.zeros_like(air)
    closed = np.zeros_like(air)
    # Each lung by itself: closing both together would bridge the gap between them and enclose the heart.
    for lung, middle_is_right in zip(_sides(labels, kept), (True, False), strict=True):
        closed |= _closed(lung, spacing_mm, middle_is_right)
    return np.asarray(closed & body)


def _sides(labels: NDArray[np.int32], kept: list[int]) -> list[NDArray[np.bool_]]:
    """The lungs left and right in the picture; where they form one part, its halves beside its middle column."""
    if len(kept) == 2:
        sides = [labels == number for number in kept]
        return sorted(sides, key=lambda side: float(side.sum(axis=(0, 1)) @ np.arange(side.shape[2]) / side.sum()))
    both = labels == kept[0]
    columns = np.flatnonzero(both.any(axis=(0, 1)))
    middle = int(columns[0] + columns[-1] + 1) // 2
    left, right = both.copy(), both.copy()
    left[..., middle:] = False
    right[..., :middle] = False
    return [left, right]


def _closed(
    lung: NDArray[np.bool_], spacing_mm: tuple[float, float, float], middle_is_right: bool
) -> NDArray[np.bool_]:
    """Closed so that vessels and consolidations lie inside, small holes of each slice filled.

    Towards the middle of the body a lung is hollow by nature; closed there, vessels and mediastinum would count as lung.
    """
    closed = close(lung, _CLOSING_MM, spacing_mm)
    closed &= lung | _beside_own_lung(lung, middle_is_right)
    enclosed = fill_holes(closed) & ~closed
    largest_px = _LARGEST_HOLE_CM2 * 100 / (spacing_mm[1] * spacing_mm[2])
    holes, count = ndimage.label(enclosed)
    if count:
        largest = np.zeros(count + 1, np.int64)
        for plane in holes[enclosed.any(axis=(1, 2))]:
            largest = np.maximum(largest, np.bincount(plane.ravel(), minlength=count + 1))
        # A dome of liver or spleen is enclosed in some slices only: it goes on into tissue that is not.
        leaves = _open_ends(holes, count, closed | enclosed) > _LARGEST_OPEN_SHARE * largest
        kept = (largest <= largest_px) & ~leaves
        kept[0] = False
        closed |= kept[holes]
    return closed


def _beside_own_lung(lung: NDArray[np.bool_], middle_is_right: bool) -> NDArray[np.bool_]:
    """Where lung of the same side lies nearer to the middle of the body in the same row (slice, row, column)."""
    if middle_is_right:
        return np.asarray(np.logical_or.accumulate(lung[..., ::-1], axis=2)[..., ::-1])
    return np.asarray(np.logical_or.accumulate(lung, axis=2))


def _open_ends(holes: NDArray[np.int32], count: int, filled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pixels (count + 1,) of each hole above or below which lies tissue outside lung and holes."""
    found = np.zeros(count + 1, np.int64)
    for here, beside in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        ends = holes[here][~filled[beside]]
        found = np.maximum(found, np.bincount(ends.ravel(), minlength=count + 1))
    return found


def _refined(
    volume: Volume, window_hu: tuple[float, float] | None, lungs: NDArray[np.bool_], grid: WorkingGrid
) -> NDArray[np.bool_]:
    """Sharp edges: near the coarse border the full-resolution air decides."""
    limit = float(_AIR_HU)
    if volume.already_windowed and window_hu is not None:
        limit = (limit - window_hu[0]) / (window_hu[1] - window_hu[0]) * 255
    if volume.array.dtype.kind in "iu":
        limit = math.ceil(limit)  # the same voxels lie below it, and whole numbers are compared faster
    mask = zeros_on_demand(volume.array.shape, np.bool_)
    for slices, box, share in smooth_upsample(lungs, grid, volume.array.shape):
        inside, near = share >= 0.75, share > 0.25
        for k in range(slices.start, slices.stop):
            mask[k][box] = inside | (near & (volume.array[k][box] < limit))
    return mask


def _plausible(
    lungs: NDArray[np.bool_], hu: NDArray[np.float32], spacing_mm: tuple[float, float, float], volume: Volume
) -> tuple[float, str]:
    litres = float(lungs.sum() * np.prod(spacing_mm)) / 1e6
    mean_hu = float(hu[lungs].mean())
    problems = []
    # A few slices, or pictures without spacing, hold only a part of the lungs.
    whole = volume.spacing_known and volume.array.shape[0] * volume.spacing_mm[2] > 150
    if whole and not _SMALLEST_L <= litres <= _LARGEST_L:
        problems.append(f"their volume is {litres:.1f} l ({_SMALLEST_L:.0f} to {_LARGEST_L:.0f} expected)")
    if not _LOWEST_MEAN_HU <= mean_hu <= _HIGHEST_MEAN_HU:
        problems.append(f"their mean is {mean_hu:.0f} HU ({_LOWEST_MEAN_HU:.0f} to {_HIGHEST_MEAN_HU:.0f} expected)")
    quality = 1.0 - len(problems) / 2
    return quality, "the lungs found are doubtful: " + " and ".join(problems) if problems else ""
