"""Figures of the lesions under review, undecided and decided, as the library measures them; and their line of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ClamSegWorkflow.case.lesion_map import Box, KeptLesion, LesionMap
from ClamSegWorkflow.case.lesion_row import Decision, LesionRow


def measure_undecided(lesions: LesionMap, conditions: Sequence[str]) -> list[Any]:
    """ClamSegLib lesions of the components that the map holds now, in the order of their places."""
    from ClamSegLib.segmentation.lesions import measure_lesions

    strong = lesions.values[None] if len(conditions) == 1 else lesions.stacked(lesions.values)
    volume = lesions.box_volume(lesions.box)
    return measure_lesions(lesions.labels, lesions.components, strong, volume, conditions)


def measure_kept(lesions: LesionMap, kept: KeptLesion, conditions: Sequence[str]) -> Any:
    """The ClamSegLib lesion of a decided one: its own voxels, the values of the whole map under them."""
    from ClamSegLib.segmentation.lesions import measure_lesions

    probability = np.array(lesions.grid.array[kept.box])[None]
    labels = kept.mask.astype(np.uint8) * kept.condition
    stack = np.repeat(probability, len(conditions), axis=0)
    (lesion,) = measure_lesions(
        labels, kept.mask.astype(np.int32), stack, lesions.box_volume(kept.box), conditions,
    )  # fmt: skip
    return lesion


def row_of(
    lesions: LesionMap, lesion: Any, number: int, decision: Decision, peak: tuple[int, int, int], box: Box
) -> LesionRow:
    """The line of a lesion measured in `box` of the scan: slices counted in the whole scan, the centre in the volume's own frame."""
    centre = [value + s.start for value, s in zip(lesion.centre_index, box, strict=True)]
    return LesionRow(
        number, lesion.condition, decision, lesion.first_slice + box[0].start, lesion.last_slice + box[0].start,
        lesion.n_slices, lesion.volume_ml, lesion.area_px, lesion.longest_diameter_mm, lesion.mean_probability,
        lesion.mean_doubt, lesions.own_position(centre), peak, lesion.perpendicular_diameter_mm,
        None if lesion.diameter_slice is None else lesion.diameter_slice + box[0].start,
    )  # fmt: skip
