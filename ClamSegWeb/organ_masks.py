"""Masks of the reader's own: an open file may outline the organ of another scan on the same grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from vtk.util import numpy_support

# A mask has few values, the first of them 0 for what lies outside.
_MOST_VALUES = 20
_LOOKED_AT = 200_000


def may_be_mask(volume: Any, of: Any) -> bool:
    """Whether a volume has the voxels of another, and values as a mask of its organ has.

    Whether it lies in the same place is judged, and told, by what reads it for the run.
    """
    image, other = volume.GetImageData(), of.GetImageData()
    if image is None or other is None or image.GetDimensions() != other.GetDimensions():
        return False
    values = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    lowest, highest = image.GetScalarRange()
    if values.ndim != 1 or lowest != 0 or highest <= 0:
        return False
    return len(np.unique(values[:: max(1, values.size // _LOOKED_AT)])) <= _MOST_VALUES
