"""The flat frame that archives put round pictures of another shape: no part of the X-ray."""

from __future__ import annotations

import numpy as np

from ClamSegLib.imaging.volume import Array, Volume
from ClamSegLib.organ.clean_values import SMALLEST_SIDE_PX

# Values of a row or column that differ by no more than this share of the picture's range are flat: JPEG leaves as much.
_FLAT_SHARE = 0.03


def within_frame(volume: Volume) -> Array:
    """Everything, but of a picture not the flat frame that an archive has put round it, (slice, row, column).

    Where the frame is larger than the X-ray, its grey would else set the scale of all values.
    """
    mask = np.ones(volume.array.shape, bool)
    if not volume.is_picture:
        return mask
    for plane, kept in zip(volume.array, mask, strict=True):
        flat = _FLAT_SHARE * float(np.ptp(plane))
        sides = [np.flatnonzero(np.ptp(plane, axis=axis) > flat) for axis in (1, 0)]
        if all(len(side) >= SMALLEST_SIDE_PX for side in sides):
            kept[:] = False
            kept[sides[0][0] : sides[0][-1] + 1, sides[1][0] : sides[1][-1] + 1] = True
    return mask
