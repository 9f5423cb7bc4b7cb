"""From the probability map to lesions: threshold, 3-D components, the smallest dropped, and the lesion table."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ClamSegLib.volume import Volume

_FULL = np.ones((3, 3, 3), dtype=bool)  # 26-connected


@dataclass(frozen=True)
class Lesion:
    """One row of lesions.csv.

    Attributes:
        number: from 1, largest first.
        slices: first and last slice (canonical, from 0) and how many show it.
        volume_ml: None where spacing is unknown; then `area_px` counts pixels.
        longest_diameter_mm: largest distance of two of its pixel centres plus one pixel in any slice; None likewise.
        mean_probability: over its pixels.
        mean_disagreement: over its pixels.
        centre_lps_mm: patient coordinates of its centre of mass; None for pictures.
        centre_index: (slice, row, column), canonical.
    """

    number: int
    condition: str
    first_slice: int
    last_slice: int
    n_slices: int
    volume_ml: float | None
    area_px: int
    longest_diameter_mm: float | None
    mean_probability: float
    peak_probability: float
    mean_disagreement: float
    centre_lps_mm: tuple[float, float, float] | None
    centre_index: tuple[float, float, float]


def above_threshold(probability: NDArray[np.uint8], threshold: float) -> NDArray[np.bool_]:
    """Stored value / 255 above the threshold: the one rule every front uses."""
    # For whole numbers, v > t * 255 is the same as v > floor(t * 255); this needs no wider copy of the map.
    above: NDArray[np.bool_] = probability > np.uint8(min(255, math.floor(threshold * 255)))
    return above


def lesion_mask(
    probability: NDArray[np.uint8], threshold: float, volume: Volume, minimum_volume_ml: float
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Condition of each voxel after clean-up, and lesion numbers (largest lesion is 1).

    Args:
        probability: (K, slice, row, column) uint8.
        threshold: of P_L.
        volume: canonical; gives the voxel's volume.
        minimum_volume_ml: smaller lesions are dropped where spacing is known.

    Returns:
        labels (slice, row, column) uint8, 0 none; components (slice, row, column) int32, 0 none.
    """
    highest = probability[0] if len(probability) == 1 else probability.max(axis=0)
    above = above_threshold(highest, threshold)
    labels = above.view(np.uint8)
    if len(probability) > 1:
        labels = np.where(above, probability.argmax(axis=0).astype(np.uint8) + 1, 0).astype(np.uint8)
    found: list[tuple[tuple[slice, slice, slice], NDArray[np.bool_]]] = []
    for condition in range(1, len(probability) + 1):
        parts, _ = ndimage.label(labels == condition if len(probability) > 1 else above, _FULL)
        found += [(place, parts[place] == number) for number, place in enumerate(ndimage.find_objects(parts), 1)]
    sizes = [int(np.count_nonzero(part)) for _, part in found]
    smallest = minimum_volume_ml / volume.voxel_ml if volume.spacing_known else 0.0
    # Box by box, because a pass over the whole volume costs more than all lesions together.
    components = np.zeros(labels.shape, np.int32)
    number = 0
    for index in np.argsort(sizes, kind="stable")[::-1]:
        place, part = found[index]
        if sizes[index] >= max(1.0, smallest):
            number += 1
            components[place][part] = number
        else:
            labels[place][part] = 0
    return labels, components


def _longest_diameter_mm(part: NDArray[np.bool_], pixel_mm: tuple[float, float]) -> float:
    """Largest extent in any slice (slice, row, column), from the corners of the outermost pixels of each row."""
    from scipy.spatial.distance import pdist

    longest = 0.0
    for plane in part:
        rows = np.flatnonzero(plane.any(axis=1))
        if len(rows) == 0:
            continue
        first = plane[rows].argmax(axis=1)
        beyond = plane.shape[1] - plane[rows, ::-1].argmax(axis=1)
        # Two points of a lesion that are farthest apart are always a left end of one row and a right end of another,
        # or both of the same kind: the ends of the rows are enough.
        ends = [np.stack([rows + a, columns], 1) for a in (0, 1) for columns in (first, beyond)]
        longest = max(longest, float(pdist(np.concatenate(ends) * np.asarray(pixel_mm)).max()))
    return longest


def measure_lesions(
    labels: NDArray[np.uint8],
    components: NDArray[np.int32],
    probability: NDArray[np.uint8],
    disagreement: NDArray[np.uint8],
    volume: Volume,
    conditions: Sequence[str],
) -> list[Lesion]:
    """The table of the lesions in `components`, canonical arrays as from `lesion_mask`."""
    lesions = []
    for number, place in enumerate(ndimage.find_objects(components), 1):
        part = components[place] == number
        condition = int(labels[place][part][0])
        values = probability[condition - 1][place][part]
        index = np.argwhere(part) + np.asarray([s.start for s in place])
        centre = index.mean(axis=0)
        slices = np.unique(index[:, 0])
        known = volume.spacing_known
        lps = volume.to_lps(centre)
        lesions.append(
            Lesion(
                number=number,
                condition=conditions[condition - 1],
                first_slice=int(slices[0]),
                last_slice=int(slices[-1]),
                n_slices=len(slices),
                volume_ml=len(index) * volume.voxel_ml if known and not volume.is_picture else None,
                area_px=len(index),
                longest_diameter_mm=_longest_diameter_mm(part, volume.pixel_mm) if known else None,
                mean_probability=float(values.mean()) / 255,
                peak_probability=float(values.max()) / 255,
                mean_disagreement=float(disagreement[condition - 1][place][part].mean()) / 255,
                centre_lps_mm=None if volume.is_picture else (float(lps[0]), float(lps[1]), float(lps[2])),
                centre_index=(float(centre[0]), float(centre[1]), float(centre[2])),
            )
        )
    return lesions


COLUMNS = (
    "id", "condition", "first_slice", "last_slice", "n_slices", "volume_ml", "area_px", "longest_diameter_mm",
    "mean_probability", "peak_probability", "mean_disagreement", "centre_l_mm", "centre_p_mm", "centre_s_mm",
    "centre_slice", "centre_row", "centre_column",
)  # fmt: skip


def write_lesions(path: Path, lesions: Sequence[Lesion]) -> None:
    """Writes lesions.csv: empty cells where a figure is not known; slices and indices count from 0, canonical."""

    def text(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for lesion in lesions:
            lps = lesion.centre_lps_mm or (None, None, None)
            writer.writerow(
                [
                    lesion.number, lesion.condition, lesion.first_slice, lesion.last_slice, lesion.n_slices,
                    text(lesion.volume_ml, 3), lesion.area_px, text(lesion.longest_diameter_mm, 1),
                    text(lesion.mean_probability, 3), text(lesion.peak_probability, 3), text(lesion.mean_disagreement, 3),
                    *(text(v, 2) for v in lps), *(text(v, 1) for v in lesion.centre_index),
                ]
            )  # fmt: skip
