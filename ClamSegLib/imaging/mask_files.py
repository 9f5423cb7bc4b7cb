"""Masks as people save them: read on the grid of their image, inside and outside told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.frames import grid_difference
from ClamSegLib.imaging.reader_process import read_volume
from ClamSegLib.imaging.volume import Array, Volume, canonical, lies_around
from ClamSegLib.system.errors import InputError

# A drawn mask has few values: outside and some segments. More are edges softened by JPEG or scaling, or probabilities.
_MOST_SEGMENTS = 16
_LOSSY = (".jpg", ".jpeg")


def read_mask(path: Path, image: Volume, plane: str) -> tuple[NDArray[np.bool_], str]:
    """The mask of a volume or picture.

    Args:
        path: a file on the grid of the image, in any order of its axes.
        image: canonical in `plane`, or a picture.

    Returns:
        (slice, row, column) what lies inside, and a sentence on what its values leave open, '' where nothing is.

    Raises:
        InputError: unreadable, of another size, or in another place than its image.
    """
    given = read_volume(path)
    mask = given if image.is_picture or given.is_picture else canonical(given, plane)[0]
    if difference := grid_difference(mask, image):
        raise InputError(
            f"The mask {path} lies on another grid than its image: {difference}. Give a mask drawn on this image, or resample "
            "it to the image's grid (in Slicer: Resample Scalar/Vector/DWI Volume, nearest neighbour)."
        )
    return inside_of(mask.array, path)


def read_mask_plane(path: Path, shape: tuple[int, ...], image: Path) -> tuple[NDArray[np.bool_], str]:
    """The mask of a picture, (row, column), and a sentence as `read_mask` gives it.

    Args:
        shape: rows and columns of the picture.
        image: its file, for the message.

    Raises:
        InputError: unreadable, or of another size.
    """
    mask = read_volume(path).array
    if mask.shape[1:] != tuple(shape) or len(mask) != 1:
        raise InputError(
            f"{path} is {_size(mask.shape)} pixels, its image {image.name} {_size(shape)}; draw the mask on this picture."
        )
    inside, words = inside_of(mask[0], path)
    return inside, words


def _size(shape: tuple[int, ...]) -> str:
    counted = shape[1:] if len(shape) == 3 and shape[0] == 1 else shape
    return " x ".join(map(str, counted))


def inside_of(values: Array, path: Path) -> tuple[NDArray[np.bool_], str]:
    """What of a mask's values counts as inside: all above 0, or from half of the largest where values are graded.

    Args:
        values: (row, column) or (slice, row, column); what is no number lies outside.
        path: of the file, whose ending tells whether values may have been softened.

    Returns:
        bool of the same shape, and a sentence, '' for a mask of two values.
    """
    inside, words = _told_apart(values, path)
    stack = inside if inside.ndim == 3 else inside[np.newaxis]
    if not words and lies_around(stack) and not inside.all():
        words = (
            f"{path.name} marks what surrounds the image, not a part of it: it may be saved inverted, as some programs write "
            "masks of true and false to TIFF."
        )
    return inside, words


def _told_apart(values: Array, path: Path) -> tuple[NDArray[np.bool_], str]:
    if values.dtype == bool or values.size == 0:
        return values.astype(bool), ""
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    highest = values.max()
    if highest <= 0:
        return np.zeros(values.shape, bool), ""
    graded = path.suffix.lower() in _LOSSY or _is_graded(values)
    if graded:
        words = (
            f"{path.name} has many values between outside and inside, as JPEG, scaling or probabilities leave them; "
        )
        return values >= highest / 2, words + f"what reaches half of the largest ({highest / 2:g}) counts as inside."
    above = values > 0
    if (values[above] == highest).all():
        return above, ""
    count = len(np.unique(values[above]))
    return above, f"{path.name} has {count} values above 0, as several segments have; all of them count as inside."


def _is_graded(values: Array) -> bool:
    """Whether values lie between whole numbers, or are many and fill the upper half of their type as grey ones do.

    Atlases number a hundred segments and more; their numbers are no grades.
    """
    above = values[values > 0]
    if values.dtype.kind == "f":
        return bool((above != np.rint(above)).any()) and len(np.unique(above)) > 1
    if values.dtype.kind != "u" or int(above.max()) <= np.iinfo(values.dtype).max // 2:
        return False
    return len(np.unique(above)) > _MOST_SEGMENTS
