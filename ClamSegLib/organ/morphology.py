"""Distances in mm on a coarse grid: the few shape operations the classical organ steps share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ClamSegLib.imaging.volume import Array, Volume, box_of
from ClamSegLib.system.sparse_memory import zeros_on_demand

# Where a picture does not say its spacing: the width a chest or head picture usually shows.
_ASSUMED_WIDTH_MM = {"CT": 350.0, "MR": 240.0, "XR": 350.0}
_ASSUMED_SLICE_MM = 5.0
# Neighbours above, below, left and right, none in other slices.
IN_PLANE = np.stack([np.zeros((3, 3), bool), ndimage.generate_binary_structure(2, 1), np.zeros((3, 3), bool)])


@dataclass(frozen=True)
class WorkingGrid:
    """Every step-th voxel per axis (slice, row, column), and the spacing of what remains in mm."""

    steps: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    def subsample(self, array: Array) -> Array:
        """The voxels of the grid, a view."""
        return array[:: self.steps[0], :: self.steps[1], :: self.steps[2]]


def working_grid(volume: Volume, target_mm: float, assumed: str = "CT") -> WorkingGrid:
    """A grid of about `target_mm`; where spacing is unknown the usual width of such a picture is assumed."""
    x, y, z = volume.spacing_mm
    if not volume.spacing_known:
        x = y = _ASSUMED_WIDTH_MM[assumed] / volume.array.shape[2]
        z = _ASSUMED_SLICE_MM
    steps = tuple(max(1, round(target_mm / s)) for s in (z, y, x))
    spacing = tuple(step * s for step, s in zip(steps, (z, y, x), strict=True))
    return WorkingGrid((steps[0], steps[1], steps[2]), (spacing[0], spacing[1], spacing[2]))


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest 6-connected part; the mask itself when empty."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask.copy()
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == int(np.argmax(sizes)))


def dilate(mask: NDArray[np.bool_], radius_mm: float, spacing_mm: tuple[float, ...]) -> NDArray[np.bool_]:
    """All voxels within `radius_mm` of the mask."""
    if not mask.any():
        return mask.copy()
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=spacing_mm) <= radius_mm)


def erode(mask: NDArray[np.bool_], radius_mm: float, spacing_mm: tuple[float, ...]) -> NDArray[np.bool_]:
    """Voxels of the mask farther than `radius_mm` from its outside; the picture's border is no outside."""
    if mask.all() or not mask.any():
        return mask.copy()
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing_mm) > radius_mm)


def close(mask: NDArray[np.bool_], radius_mm: float, spacing_mm: tuple[float, ...]) -> NDArray[np.bool_]:
    """Dilation and erosion of a slice or a stack; gaps narrower than twice the radius are filled, nothing is lost."""
    closed = mask.copy()
    box = box_of(mask)
    if box is None:
        return closed
    pad = [int(np.ceil(radius_mm / s)) + 1 for s in spacing_mm]
    # What closing adds lies inside the box of the mask, so nothing farther from it than the radius is looked at.
    around = [(p, p) for p in pad]
    repeated = [(0, 0) for _ in pad]
    if mask.ndim == 3:
        # Edge slices are repeated in the stack direction: an organ cut by the scan goes on behind its end.
        repeated[0] = (pad[0] * (box[0].start == 0), pad[0] * (box[0].stop == len(mask)))
        around[0] = (pad[0] - repeated[0][0], pad[0] - repeated[0][1])
    padded = np.pad(np.pad(mask[box], repeated, mode="edge"), around)
    found = erode(dilate(padded, radius_mm, spacing_mm), radius_mm, spacing_mm)
    inner = tuple(slice(p, p + side.stop - side.start) for p, side in zip(pad, box, strict=True))
    closed[box] |= found[inner]
    return closed


def fill_holes(stack: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Every slice of (slice, row, column) with what it encloses: background that reaches no side of the picture."""
    labels, count = ndimage.label(~stack, IN_PLANE)
    sides = (labels[:, 0], labels[:, -1], labels[..., 0], labels[..., -1])
    inside = np.ones(count + 1, bool)
    inside[np.unique(np.concatenate([side.ravel() for side in sides]))] = False
    inside[0] = True
    return np.asarray(inside[labels])


def smooth_upsample(
    mask: NDArray[np.bool_], grid: WorkingGrid, shape: tuple[int, ...]
) -> Iterator[tuple[slice, tuple[slice, ...], NDArray[np.float16]]]:
    """The coarse mask on the full grid as a share 0..1 with soft edges in plane; slices are repeated.

    Yields:
        Slices of the full grid, the box (rows, columns) that holds all of their share above 1/4, and the share there.
    """
    whole = [slice(0, n) for n in mask.shape[1:]]
    for k in np.flatnonzero(mask.any(axis=(1, 2))):
        # Only what holds the mask, with a sample around it, is enlarged where it lies inside the plane: all else is 0.
        part = [slice(s.start - 1, s.stop + 1) for s in box_of(mask[k]) or ()]
        lies_inside = all(s.start >= 0 and s.stop <= n for s, n in zip(part, mask.shape[1:], strict=True))
        part = part if lies_inside else whole
        full = _enlarged(mask[k][tuple(part)].astype(np.float32), (grid.steps[1], grid.steps[2]))
        # Sample n stands for the pixels around n * step: the shift puts the coarse grid back in its place.
        shift = [(step - 1) // 2 for step in grid.steps[1:]]
        first = [s.start * step - by for s, step, by in zip(part, grid.steps[1:], shift, strict=True)]
        if not lies_inside:
            full, first = np.roll(full, [-by for by in shift], axis=(0, 1)), [0, 0]
        full = full[: shape[1] - first[0], : shape[2] - first[1]]
        box = box_of(full > 0.25)
        if box is not None:
            stands_for = slice(int(k) * grid.steps[0], min((int(k) + 1) * grid.steps[0], shape[0]))
            place = tuple(slice(s.start + at, s.stop + at) for s, at in zip(box, first, strict=True))
            yield stands_for, place, full[box].astype(np.float16)


def _enlarged(coarse: NDArray[np.float32], steps: tuple[int, int]) -> NDArray[np.float32]:
    """A picture (row, column) with `steps` pixels for each of its own, bilinear between their centres.

    Not by torch, which does the same up to the last bits: its threads, once they have worked for another thread than the one
    that runs the network, wait for each other asleep from then on, and the network takes a quarter longer.
    """
    return np.asarray(ndimage.zoom(coarse, steps, order=1, mode="nearest", grid_mode=True))


def upsampled(mask: NDArray[np.bool_], grid: WorkingGrid, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The coarse mask on the full grid: what is at least half covered."""
    full = zeros_on_demand(shape, np.bool_)
    for stands_for, box, share in smooth_upsample(mask, grid, shape):
        full[(stands_for, *box)] = share >= 0.5
    return full
