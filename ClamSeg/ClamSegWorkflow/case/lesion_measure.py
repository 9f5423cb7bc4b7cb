"""Figures of the lesions under review, undecided and decided, as the library measures them; and their line of the table."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from ClamSegWorkflow.case.lesion_map import LesionMap
from ClamSegWorkflow.case.lesion_row import Decision, LesionRow
from ClamSegWorkflow.case.map_parts import Box


class Figures:
    """Lesions measured once: the figures stay as long as the mask of voxels does."""

    def __init__(self) -> None:
        # id of a mask -> the mask, the box it is counted in, and the ClamSegLib lesion.
        self._known: dict[int, tuple[weakref.ref[np.ndarray], Box, Any]] = {}

    def know(self, mask: np.ndarray, box: Box, lesion: Any) -> None:
        """Takes over what was measured, counted in `box` of the scan."""
        known, key = self._known, id(mask)
        known[key] = (weakref.ref(mask, lambda _gone: known.pop(key, None)), box, lesion)

    def of(self, lesions: LesionMap, voxels: tuple[Box, np.ndarray, int], conditions: Sequence[str]) -> tuple[Box, Any]:
        """A lesion, and the box of the scan that its slices and its centre are counted in.

        Args:
            voxels: canonical box, mask over it, and condition from 1.
        """
        box, mask, condition = voxels
        if id(mask) not in self._known:
            self.know(mask, box, measure(lesions, box, mask, condition, conditions))
        return self._known[id(mask)][1:]


def measure(lesions: LesionMap, box: Box, mask: np.ndarray, condition: int, conditions: Sequence[str]) -> Any:
    """The ClamSegLib lesion of voxels over a canonical box, with the values of the whole map under them."""
    from ClamSegLib.segmentation.lesions import measure_lesions

    probability = np.array(lesions.grid.array[box])[None]
    stack = np.repeat(probability, len(conditions), axis=0)
    labels = mask.astype(np.uint8) * np.uint8(condition)
    (lesion,) = measure_lesions(labels, mask.astype(np.int32), stack, lesions.box_volume(box), conditions)
    return lesion


def row_of(
    lesions: LesionMap, lesion: Any, number: int, decision: Decision, peak: tuple[int, int, int], box: Box
) -> LesionRow:
    """The line of a lesion measured in `box` of the scan: slices counted in the whole scan, the centre in the volume's own frame."""
    # A mean of whole numbers: whatever box it was measured in, the centre is the same to the bit.
    sums = [round(value * lesion.area_px) for value in lesion.centre_index]
    centre = [(n + lesion.area_px * s.start) / lesion.area_px for n, s in zip(sums, box, strict=True)]
    return LesionRow(
        number, lesion.condition, decision, lesion.first_slice + box[0].start, lesion.last_slice + box[0].start,
        lesion.n_slices, lesion.volume_ml, lesion.area_px, lesion.longest_diameter_mm, lesion.mean_probability,
        lesion.mean_doubt, lesions.own_position(centre), peak, lesion.perpendicular_diameter_mm,
        None if lesion.diameter_slice is None else lesion.diameter_slice + box[0].start,
    )  # fmt: skip
