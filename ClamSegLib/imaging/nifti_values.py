"""The values of a NIfTI file as the format means them, where ITK gives others.

ITK puts zeros where a file says that there is no number, and adds the intercept of a scaling that the file switches off.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ClamSegLib.imaging.nifti_header import Header
from ClamSegLib.imaging.volume import Array
from ClamSegLib.system.errors import InputError

# Voxels that are scaled at once: their double numbers need no second scan's room.
_AT_ONCE = 1 << 20


def is_scaled(header: Header) -> bool:
    """Whether the stored values are not the true ones."""
    return math.isfinite(header.slope) and header.slope != 0 and (header.slope, header.intercept) != (1.0, 0.0)


def true_values(stored: Array, header: Header, path: Path) -> Array:
    """Stored voxels scaled as the header says (a slope of 0 means: not at all, nifti1.h), what is no number as NaN.

    Args:
        stored: one after the other, changed in place where they are real numbers.

    Returns:
        The file's own kind where nothing is scaled, else float32, or float64 where the file holds that.

    Raises:
        InputError: a scaling that leaves the range of numbers.
    """
    if stored.dtype.kind == "f":
        for start in range(0, stored.size, _AT_ONCE):
            part = stored[start : start + _AT_ONCE]
            if not np.isfinite(part).all():
                part[~np.isfinite(part)] = np.nan
    slope, intercept = header.slope, header.intercept
    if not is_scaled(header):
        return stored
    values = np.empty(stored.shape, np.float64 if stored.dtype == np.float64 else np.float32)
    limit = float(np.finfo(values.dtype).max)
    for start in range(0, stored.size, _AT_ONCE):
        scaled = stored[start : start + _AT_ONCE].astype(np.float64) * slope + intercept
        if not math.isfinite(intercept) or (np.abs(scaled) > limit).any():
            raise InputError(
                f"{path} states a scaling of its values (slope {slope:.6g}, intercept {intercept:.6g}) that leads out of the range "
                "of numbers; copy or export it again."
            )
        values[start : start + _AT_ONCE] = scaled
    return values
