"""The brain of an MR head whose skull is still there, by thresholds and distances; where they do not part the two, it says so.

Brain is the largest bright part that stays in one piece when a few millimetres are taken off it all around: scalp is
thinner, and bone, which is dark in MR, lies between. What lies near the surface of the head is never brain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ClamSegLib.imaging.volume import Array, Volume
from ClamSegLib.organ.brain_mr import LARGEST_L, SMALLEST_L, tissue_threshold
from ClamSegLib.organ.morphology import close, dilate, fill_holes, largest_component, upsampled, working_grid

NAME = "strip_skull"
_AIR = 0.05  # of what 99.5 % of the volume lie below
_SCALP_MM = 4.0  # scalp and bone are at least this thick
_CORE_MM, _GROWTH_MM, _CLOSING_MM = 4.0, 5.5, 8.0
# Of the brain this share at most lies just below the scalp; where it is more, bone did not keep the two apart.
_RIM_MM, _MOST_RIM = 2.0, 0.06
# A head is larger than its brain by at least this factor; else there is no skull to strip.
_HEAD_TO_BRAIN = 1.2


def strip_skull(volume: Volume) -> tuple[Array, float, str]:
    """The brain of a canonical MR head; a volume without skull is kept whole.

    Returns:
        mask (slice, row, column) bool, quality 0..1 (1 plausible, 0 where brain and skull cannot be told apart), and what
        is wrong.
    """
    grid = working_grid(volume, 1.5, "MR")
    values = grid.subsample(volume.array).astype(np.float32)
    spacing = grid.spacing_mm
    head = _head(values)
    deep = _distance_inside(head, spacing)
    bright = (values > tissue_threshold(values)) & (deep > _SCALP_MM)
    core = largest_component(_distance_inside(bright, spacing) > _CORE_MM)
    if not core.any():
        return np.zeros(volume.array.shape, bool), 0.0, "no brain was found in this MR; give a mask of the brain"
    brain = largest_component(dilate(core, _GROWTH_MM, spacing) & bright)
    rim = np.count_nonzero(brain & (deep <= _SCALP_MM + _RIM_MM)) / np.count_nonzero(brain)
    brain = fill_holes(close(brain, _CLOSING_MM, spacing)) & (deep > _SCALP_MM)
    voxel_l = float(np.prod(spacing)) / 1e6
    if np.count_nonzero(head) < _HEAD_TO_BRAIN * np.count_nonzero(brain) and voxel_l * head.sum() <= LARGEST_L:
        return upsampled(head, grid, volume.array.shape), 1.0, ""  # only brain is there
    litres = voxel_l * float(brain.sum())
    whole = volume.spacing_known and len(values) * spacing[0] > 100
    if rim > _MOST_RIM:
        problem = "brain and scalp could not be told apart: give a mask of the brain"
    elif whole and not SMALLEST_L <= litres <= LARGEST_L:
        problem = f"what is left without the skull has {litres:.2f} l ({SMALLEST_L} to {LARGEST_L} expected): give a mask of the brain"
    else:
        return upsampled(brain, grid, volume.array.shape), 1.0, ""
    return upsampled(brain, grid, volume.array.shape), 0.0, problem


def _head(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """What is no air, filled slice by slice."""
    tissue = ndimage.binary_opening(values > _AIR * float(np.percentile(values, 99.5)))
    return fill_holes(largest_component(tissue))


def _distance_inside(mask: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """Distance in mm to what is outside; a head that the first or last slice cuts goes on behind it."""
    padded = np.pad(mask, ((1, 1), (0, 0), (0, 0)), mode="edge")
    padded = np.pad(padded, ((0, 0), (1, 1), (1, 1)))
    distance = ndimage.distance_transform_edt(padded, sampling=spacing_mm)
    return np.asarray(distance[1:-1, 1:-1, 1:-1])
