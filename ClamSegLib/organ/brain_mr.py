"""Brain in MR: what a stripped image kept, or the large bright part at the centre of the head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ClamSegLib.imaging.volume import Array, Volume, box_of, constant_around
from ClamSegLib.organ.morphology import (
    close,
    dilate,
    erode,
    fill_holes,
    largest_component,
    upsampled,
    working_grid,
)

NAME = "brain_mr"
_OPENING_MM, _CLOSING_MM, _GROWTH_MM = 6.0, 14.0, 4.0
# A brain and what surrounds it inside the skull.
SMALLEST_L, LARGEST_L = 0.6, 2.4
_DARKEST_TISSUE = 0.08  # of what 99.5 % of the volume lie below
_MOST_DARK_TISSUE = 0.1  # of a stripped brain's voxels


def find_brain(volume: Volume) -> tuple[Array, float, str]:
    """The brain of a canonical MR volume.

    Returns:
        mask (slice, row, column) bool, quality 0..1 (1 plausible, 0.5 doubtful, 0 nothing), and what is wrong.
    """
    outside = constant_around(volume.array)
    if outside is not None:  # the skull was removed
        mask = _filled(largest_parts(_not_background(volume.array, float(outside))))
    else:
        grid = working_grid(volume, 2.0, "MR")
        small = grid.subsample(volume.array).astype(np.float32)
        mask = upsampled(_coarse(small, grid.spacing_mm), grid, volume.array.shape)
    if not mask.any():
        return mask, 0.0, "no brain was found in this MR"
    litres = float(mask.sum()) * volume.voxel_ml / 1000
    whole = volume.spacing_known and volume.array.shape[0] * volume.spacing_mm[2] > 100
    if whole and not SMALLEST_L <= litres <= LARGEST_L:
        problem = f"the brain found is doubtful: its volume is {litres:.2f} l ({SMALLEST_L} to {LARGEST_L} expected)"
        if litres > LARGEST_L:
            problem += (
                ", perhaps the skull is still there: choose the organ step that strips it, or give a mask of the brain"
            )
        return mask, 0.5, problem
    return mask, 1.0, ""


def _not_background(array: Array, outside: float) -> NDArray[np.bool_]:
    """What a stripped volume kept: all but the constant around it, and but the noise that some tools leave there.

    Hardly a voxel of a brain is nearly as dark as its background; where many are, they are noise.
    """
    kept: NDArray[np.bool_] = np.asarray(array != outside)
    height = np.abs(array.astype(np.float32) - np.float32(outside))
    brighter = height > _DARKEST_TISSUE * float(np.percentile(height, 99.5))
    dark = np.count_nonzero(kept & ~brighter)
    return brighter if dark > _MOST_DARK_TISSUE * np.count_nonzero(kept) else kept


def largest_parts(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest part and others of at least a tenth of it."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(np.isin(labels, np.flatnonzero(sizes >= 0.1 * sizes.max())))


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Small gaps of every slice closed, and what it encloses."""
    box = box_of(mask)
    if box is None:
        return mask
    # Two pixels of growth and one of background around the mask are all that closing looks at.
    rows, columns = (slice(max(0, s.start - 3), s.stop + 3) for s in box[1:])
    for k in range(box[0].start, box[0].stop):
        part = mask[k, rows, columns]
        part |= ndimage.binary_closing(part, iterations=2)
    mask[box[0], rows, columns] = fill_holes(mask[box[0], rows, columns])
    return mask


def otsu_threshold(values: NDArray[np.float32]) -> float:
    """The value that splits the histogram into two classes with the largest variance between them."""
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    if not np.isfinite(between).any():
        return float(values.max())  # one value only
    return float(centres[int(np.nanargmax(between))])


def tissue_threshold(values: NDArray[np.float32]) -> float:
    """Splits brain and other soft tissue from air and bone.

    Scalp fat is so bright that Otsu's threshold on all values would split it from the brain: values are
    clipped a little above the median of what is not air, which in a head is brain.
    """
    not_air = values[values > 0.1 * float(np.percentile(values, 99.5))]
    if not_air.size == 0:
        return otsu_threshold(values.ravel())
    return otsu_threshold(np.minimum(values, 1.3 * float(np.median(not_air))).ravel())


def _coarse(values: NDArray[np.float32], spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    head = values > tissue_threshold(values)
    in_plane = spacing_mm[1:]
    opened, enclosing = np.zeros_like(head), fill_holes(head)
    for k in range(len(head)):
        # In plane only: slices of clinical MR lie too far apart for a ball.
        core = erode(head[k], _OPENING_MM, in_plane)
        opened[k] = dilate(core, _OPENING_MM, in_plane) & enclosing[k] if core.any() else False
    if not opened.any():
        opened = largest_component(head)
    brain = _followed(opened, head, in_plane)
    for shown in np.flatnonzero(brain.any(axis=(1, 2))):
        brain[shown] = close(brain[shown], _CLOSING_MM, in_plane)
    return fill_holes(brain)


def _followed(opened: NDArray[np.bool_], head: NDArray[np.bool_], in_plane_mm: tuple[float, ...]) -> NDArray[np.bool_]:
    """From the slice where the central part is largest, up and down: a brain grows little from slice to slice.

    Face and scalp touch the brain in some slices; following keeps them out.
    """
    n = len(opened)
    middle = range(n // 3, max(n // 3 + 1, n - n // 3))
    parts = {k: _central_part(opened[k], head[k]) for k in middle}
    start = max(parts, key=lambda k: int(parts[k].sum()))
    brain = np.zeros_like(opened)
    brain[start] = parts[start]
    for step in (1, -1):
        for k in range(start + step, n if step > 0 else -1, step):
            allowed = dilate(brain[k - step], _GROWTH_MM, in_plane_mm)
            labels, count = ndimage.label(opened[k] & allowed)
            if count == 0:
                break
            sizes = np.bincount(labels.ravel())
            sizes[0] = 0
            brain[k] = np.isin(labels, np.flatnonzero(sizes >= 0.1 * sizes.max()))
    return brain


def _central_part(opened: NDArray[np.bool_], head: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of the large parts of a slice, the one whose centre is nearest the centre of mass of the head."""
    labels, count = ndimage.label(opened)
    if count <= 1:
        return opened
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    large = np.flatnonzero(sizes >= 0.2 * sizes.max())
    centre = np.asarray(ndimage.center_of_mass(head))
    centres = np.asarray(ndimage.center_of_mass(opened, labels, large))
    return np.asarray(labels == large[int(np.argmin(np.linalg.norm(centres - centre, axis=1)))])
