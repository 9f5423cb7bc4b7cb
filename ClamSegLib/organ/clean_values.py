"""Values that are no numbers, or a constant around a scan, made dark before anything looks at it."""

from __future__ import annotations

import numpy as np

from ClamSegLib.imaging.volume import Array, Volume, constant_around, lies_around, looks_like_hu
from ClamSegLib.system.errors import InputError

SMALLEST_SIDE_PX = 16
# Organ and a few lesions; the darkest scan has more values.
_MOST_OF_MASKS = 6


def clean_values(volume: Volume) -> tuple[Volume, list[str]]:
    """Makes what lies outside dark: values that are not finite, and a constant all around that lies among the others.

    Brains without skull come with any constant around them, NaN and the mean of z-scores among them; each gives what zeros
    give.

    Returns:
        The volume (the same one when nothing was wrong) and warnings.

    Raises:
        InputError: no finite value, one value everywhere, or smaller than 16 pixels in plane.
    """
    array = volume.array
    if min(array.shape[1:]) < SMALLEST_SIDE_PX:
        raise InputError(
            f"The slices are {array.shape[1]} x {array.shape[2]} pixels; at least {SMALLEST_SIDE_PX} in each direction are needed."
        )
    array, notes = _dark_outside(array, volume.is_picture)
    if notes:
        volume = volume.with_array(array)
    if array.min() == array.max():
        raise InputError(f"The image has the same value ({array.flat[0]:g}) everywhere; there is nothing to segment.")
    # A part of a scan has many values already; only where it has not, all are counted.
    if len(np.unique(array[:, ::7, ::7])) <= _MOST_OF_MASKS and (count := len(np.unique(array))) <= _MOST_OF_MASKS:
        notes.append(f"The image has only {count} different values, as a mask has; name the scan itself.")
    return volume, notes


def _dark_outside(array: Array, is_picture: bool) -> tuple[Array, list[str]]:
    """The values with those that are no numbers, or a constant around the scan that lies among the others, made dark."""
    missing = ~np.isfinite(array) if array.dtype.kind == "f" else None
    if missing is not None and missing.any():
        if missing.all():
            raise InputError("The image holds no number at all (all values are NaN); export it again.")
        inside = array[~missing]
        dark = _dark_value(inside) if lies_around(missing) else float(inside.min())
        count = f"{np.count_nonzero(missing)} of {array.size} voxels are not numbers"
        return np.where(missing, array.dtype.type(dark), array), [f"{count}; they count as background ({dark:g})."]
    constant = None if is_picture else constant_around(array)
    if constant is None or constant == array.min():
        return array, []
    outside = array == constant
    dark = _dark_value(array[~outside])
    kind = (
        np.result_type(array.dtype, np.min_scalar_type(int(np.floor(dark))))
        if array.dtype.kind in "iu"
        else array.dtype
    )
    words = f"The constant {constant:g} all around the scan counts as background ({dark:g})."
    return np.where(outside, kind.type(np.floor(dark) if kind.kind in "iu" else dark), array).astype(kind), [words]


def _dark_value(inside: Array) -> float:
    """What is darker than an organ: air of a CT, zero of a scan without negative values, else below the lowest."""
    lowest, highest = float(inside.min()), float(inside.max())
    if looks_like_hu(lowest, highest):
        return lowest
    return 0.0 if lowest >= 0 else lowest - 0.1 * (highest - lowest)
