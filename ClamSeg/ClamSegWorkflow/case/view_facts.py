"""What a reader asks of a view: which slice it shows, and what lies under the cursor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ClamSegLib.imaging.volume import canonical_orientation
from ClamSegWorkflow.case.result_import import grid_of
from ClamSegWorkflow.scene.geometry import record_geometry
from ClamSegWorkflow.scene.overlays import PROBABILITY, map_array, map_of
from ClamSegWorkflow.scene.views import voxel_at, voxel_at_view
from ClamSegWorkflow.scene.volumes import problem_of_volume
from ClamSegWorkflow.words import tr as _


def slice_number(scene: Any, volume: Any, view: str, plane: str) -> tuple[int, int] | None:
    """The slice in a view and how many there are, counted from 1 as in the lesion table; None beside the scan.

    Args:
        view: name of the slice view, e.g. 'Red'.
        plane: 'axial', 'coronal' or 'sagittal', that of the view.
    """
    position = voxel_at_view(scene, volume, view)
    if position is None or problem_of_volume(volume):
        return None
    orientation = canonical_orientation(grid_of(record_geometry(volume), volume, False), plane)
    axis = orientation.permutation[0]
    count = volume.GetImageData().GetDimensions()[2 - axis]
    index = position[2 - axis]
    if not -0.5 <= index <= count - 0.5:
        return None
    nearest = min(max(math.floor(index + 0.5), 0), count - 1)
    return (count - nearest if orientation.flips[0] else nearest + 1), count


def words_at(volume: Any, ras: Sequence[float], result: Any = None, *, is_hu: bool = False) -> str:
    """Value of the scan under a point, with the probability of a result; '' beside the scan.

    Args:
        ras: point of the world.
        is_hu: the values are Hounsfield units.
    """
    if problem_of_volume(volume):
        return ""
    image = volume.GetImageData()
    index = [math.floor(value + 0.5) for value in voxel_at(volume, ras)]
    if not all(0 <= value < size for value, size in zip(index, image.GetDimensions(), strict=True)):
        return ""
    value = image.GetScalarComponentAsDouble(*index, 0)
    words = f"{value:.0f} HU" if is_hu else _("value {value}").format(value=f"{value:.4g}")
    probability = map_of(result.segmentation, PROBABILITY) if result is not None else None
    if probability is None:
        return words
    i, j, k = index
    likely = float(np.asarray(map_array(probability)[k, j, i])) / 255
    return _("{words}, probability {probability}").format(words=words, probability=f"{likely:.2f}")
