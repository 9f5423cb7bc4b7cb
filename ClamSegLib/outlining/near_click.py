"""What a further click changes: the limit of heights near it, so that the border moves there and stays elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ClamSegLib.imaging.volume import Array
from ClamSegLib.outlining.growth import Bools, Limits, filled_in_slices
from ClamSegLib.outlining.tissue import LOWEST_HEIGHT, Index

# Chosen on training patients of lgg_flair (docs/research/clicks.md).
_WIDTH = 1.2  # one sigma of the change, in ways from the click to the border
_LEAST_WIDTH_PX = 2.0  # of the finest voxel
_STEP = 2.0  # so many times is the limit moved to the click's height: the click means the middle of what is wrong
_LEAST_STEP = 0.02  # of the height of the first click
_FARTHEST = 2.5  # sigmas: beyond, nothing changes


def moved_near(
    limits: Limits, mask: Bools, click: Index, wanted: Sequence[Index], unwanted: Sequence[Index], *, adds: bool
) -> Bools | None:
    """The region with its border moved near a click; `limits` keeps the change for the clicks that follow.

    Args:
        mask: the region so far.
        click: outside of it where it adds, inside where it takes away.
        wanted: all clicks that add, the first one first, this one among them where it adds.
        unwanted: those that take away, likewise.

    Returns:
        None where the click adds and what is near it does not hang together with the region, or where nothing is left
        of the region; `limits` is then as before.
    """
    away = distance_mm(click, mask.shape, limits.spacing_mm)
    way = _way_mm(away, mask if adds else ~mask)
    # Clicks of the other kind keep what is beside them.
    way = min([way, *(float(away[other]) / 2 for other in (unwanted if adds else wanted))])
    sigma = max(_WIDTH * way, _LEAST_WIDTH_PX * min(limits.spacing_mm))
    near = away <= _FARTHEST * sigma
    step = _STEP * (float(limits.heights[click]) - float(limits.limit[click]))
    least = _LEAST_STEP * limits.usual
    step = min(step, -least) if adds else max(step, least)
    limit = limits.limit.copy()
    limit[near] += np.float32(step) * np.exp(-0.5 * (away[near] / np.float32(sigma)) ** 2)
    if adds:  # normal tissue between stays out: what is as low as that joins by a region of its own
        limit[near] = np.maximum(limit[near], np.minimum(limits.limit[near], np.float32(LOWEST_HEIGHT)))
    moved = mask.copy()
    above = (limits.heights[near] > limit[near]) & (limits.heights[near] > limits.outside)
    moved[near] = moved[near] | above if adds else moved[near] & above
    for other in wanted:
        moved[other] = moved[other] or mask[other] or other == click
    for other in unwanted:
        moved[other] = False
    parts, _ = ndimage.label(moved)
    held = [parts[other] for other in wanted if moved[other]]
    if adds and not (mask & (parts == parts[click])).any():
        return None
    whole = filled_but(np.isin(parts, held), unwanted)
    if not whole.any():
        return None
    limits.limit = limit
    return whole


def filled_but(mask: Bools, open_at: Sequence[Index]) -> Bools:
    """Holes closed slice by slice, but for those that a click has made."""
    filled = filled_in_slices(mask)
    for place in open_at:
        if filled[place] and not mask[place]:
            holes, _ = ndimage.label(filled & ~mask)
            filled &= holes != holes[place]
    return filled


def distance_mm(at: Sequence[int], shape: Sequence[int], spacing_mm: Sequence[float]) -> Array:
    """Distance of every voxel of a box from one of them."""
    axes = [
        ((np.arange(size, dtype=np.float32) - place) * np.float32(mm)) ** 2
        for place, size, mm in zip(at, shape, spacing_mm, strict=True)
    ]
    distance: Array = np.sqrt(axes[0][:, None, None] + axes[1][:, None] + axes[2])
    return distance


def _way_mm(away: Array, there: Bools) -> float:
    """From the click to the nearest place of a mask."""
    return float(away[there].min()) if there.any() else float(away.max())
