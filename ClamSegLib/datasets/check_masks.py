"""What a training or evaluation would refuse of an image and its masks, found by the very functions that those use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ClamSegLib.datasets.rows import Row
from ClamSegLib.imaging.mask_files import read_mask, read_mask_plane
from ClamSegLib.imaging.read_write import PICTURE_ENDINGS, ending_of
from ClamSegLib.imaging.volume import Volume, canonical, check_complete
from ClamSegLib.organ.clean_values import clean_values
from ClamSegLib.system.errors import InputError


@dataclass
class MaskNotes:
    """What was found, a sentence each.

    Attributes:
        refused: errors of masks, and of images that nothing can be made of.
        doubtful: masks whose values leave open what is inside, or that are empty although their row is diseased.
    """

    images: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)

    def add(self, other: MaskNotes) -> None:
        """Adds what was found of another image."""
        self.images += other.images
        self.refused += other.refused
        self.doubtful += other.doubtful


def check_image(rows: Sequence[Row], volume: Volume, found: MaskNotes) -> None:
    """Looks at an image and at the masks of its rows.

    Args:
        rows: all of this image.
        volume: as read.
        found: is added to.
    """
    name = rows[0].image_path.name
    turned = canonical(volume)[0]
    is_picture = ending_of(rows[0].image_path) in PICTURE_ENDINGS
    try:
        check_complete(volume, rows[0].image_path)
        for row in rows:
            if row.slice_index is not None and not is_picture and row.slice_index >= len(turned.array):
                raise InputError(
                    f"{row.image_path} has {len(turned.array)} slices, but slice_index {row.slice_index} is asked for."
                )
        if not is_picture or rows[0].slice_index is None:  # a picture of a stack is cleaned together with the others
            clean_values(turned)
    except InputError as error:
        found.images.append(f"{name}: {error}")
    for path, row in _masks(rows).items():
        try:
            read = (
                read_mask_plane(path, turned.array.shape[1:], row.image_path)
                if is_picture
                else read_mask(path, turned, "axial")
            )
        except InputError as error:
            found.refused.append(f"{path.name}: {error}")
            continue
        inside, words = read
        if words:
            found.doubtful.append(words)
        elif not inside.any() and row.label > 0:
            found.doubtful.append(f"{path.name} is empty although its image {name} is called {row.class_name}.")


def _masks(rows: Sequence[Row]) -> dict[Path, Row]:
    """Each mask file of the rows once, with the first row that names it."""
    found: dict[Path, Row] = {}
    for row in rows:
        for path in (row.organ_mask_path, row.lesion_mask_path):
            if path is not None:
                found.setdefault(path, row)
    return found
