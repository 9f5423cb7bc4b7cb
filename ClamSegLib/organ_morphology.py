"""Distances in mm on a coarse grid: the few shape operations the classical organ steps share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ClamSegLib.volume import Array, Volume

# Where a picture does not say its spacing: the width a chest or head picture usually shows.
_ASSUMED_WIDTH_MM = {"CT": 350.0, "MR": 240.0, "XR": 350.0}
_ASSUMED_SLICE_MM = 5.0


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
    """Dilation and erosion; gaps narrower than twice the radius are filled. Never smaller than the mask."""
    pad = [int(np.ceil(radius_mm / s)) + 1 for s in spacing_mm]
    # Edge slices are repeated in the stack direction: an organ cut by the scan goes on behind its end.
    padded = np.pad(mask, [(pad[0], pad[0]), (0, 0), (0, 0)], mode="edge")
    padded = np.pad(padded, [(0, 0), (pad[1], pad[1]), (pad[2], pad[2])])
    closed = erode(dilate(padded, radius_mm, spacing_mm), radius_mm, spacing_mm)
    inner = closed[pad[0] : pad[0] + mask.shape[0], pad[1] : pad[1] + mask.shape[1], pad[2] : pad[2] + mask.shape[2]]
    return np.asarray(inner | mask)


def smooth_upsample(mask: NDArray[np.bool_], grid: WorkingGrid, shape: tuple[int, ...]) -> NDArray[np.float16]:
    """The coarse mask on the full grid as a share 0..1 with soft edges in plane; slices are repeated."""
    import torch
    from torch.nn.functional import interpolate

    result = np.empty(shape, np.float16)
    rows, columns = mask.shape[1] * grid.steps[1], mask.shape[2] * grid.steps[2]
    for k in range(len(mask)):
        plane = torch.from_numpy(mask[k].astype(np.float32))[None, None]
        # Sample n stands for the pixels around n * step: the shift puts the coarse grid back in its place.
        full = interpolate(plane, size=(rows, columns), mode="bilinear", align_corners=False)[0, 0].numpy()
        full = np.roll(full, (-((grid.steps[1] - 1) // 2), -((grid.steps[2] - 1) // 2)), axis=(0, 1))
        result[k * grid.steps[0] : (k + 1) * grid.steps[0]] = full[: shape[1], : shape[2]]
    return result
