"""From the probability map to lesions: threshold, 3-D components, the smallest dropped, and the lesion table."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.volume import Volume, box_of_slices
from ClamSegLib.model.config_json import from_json
from ClamSegLib.segmentation.diameters import diameters_of
from ClamSegLib.segmentation.parts import part_of_runs, runs_of
from ClamSegLib.system.sparse_memory import zeros_on_demand
from ClamSegLib.system.words import in_cell


@dataclass(frozen=True)
class Lesion:
    """One row of lesions.csv.

    Attributes:
        number: from 1, largest first.
        slices: first and last slice (canonical, from 0) and how many show it.
        volume_ml: None where spacing is unknown; then `area_px` counts pixels.
        longest_diameter_mm: largest distance of two corners of its pixels in any slice; None likewise.
        mean_probability: over its pixels.
        mean_doubt: over its pixels, of `doubt_of`.
        centre_lps_mm: patient coordinates of its centre of mass; None for pictures and where spacing is unknown.
        centre_index: (slice, row, column), canonical.
        perpendicular_diameter_mm: longest distance at right angles to the longest diameter, in its slice; None likewise.
        diameter_slice: the slice of both diameters (canonical, from 0); None likewise.
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
    mean_doubt: float
    centre_lps_mm: tuple[float, float, float] | None
    centre_index: tuple[float, float, float]
    perpendicular_diameter_mm: float | None = None
    diameter_slice: int | None = None


def above_threshold(probability: NDArray[np.uint8], threshold: float) -> NDArray[np.bool_]:
    """Stored value / 255 above the threshold: the one rule every front uses."""
    # For whole numbers, v > t * 255 is the same as v > floor(t * 255); this needs no wider copy of the map.
    above: NDArray[np.bool_] = probability > np.uint8(min(255, math.floor(threshold * 255)))
    return above


def has_ml(volume: Volume) -> bool:
    """Whether sizes are ml: a picture has no thickness."""
    return volume.spacing_known and not volume.is_picture


def doubt_of(probability: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 - |2 P_L - 1| in steps of 1/255, any shape: 0 where P_L is 0 or 1, highest at one half."""
    doubt: NDArray[np.uint8] = 2 * np.minimum(probability, 255 - probability)
    return doubt


def lesion_mask(
    probability: NDArray[np.uint8], threshold: float, volume: Volume, minimum_volume_ml: float, minimum_px: float = 0.0
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Condition of each voxel after clean-up, and lesion numbers (largest lesion is 1).

    Args:
        probability: (K, slice, row, column) uint8.
        threshold: of P_L.
        volume: canonical; gives the voxel's volume.
        minimum_volume_ml: smaller lesions are dropped where ml are known.
        minimum_px: lesions of fewer pixels are dropped where they are not.

    Returns:
        labels (slice, row, column) uint8, 0 none; components (slice, row, column) int32, 0 none.
    """
    labels = zeros_on_demand(probability.shape[1:], np.uint8)
    components = zeros_on_demand(probability.shape[1:], np.int32)
    runs = runs_of(_conditions(probability, threshold), probability.shape[2:])
    if not len(runs.row):
        return labels, components
    part = part_of_runs(runs)
    sizes = np.bincount(part, runs.length).astype(np.int64)
    smallest = minimum_volume_ml / volume.voxel_ml if has_ml(volume) else minimum_px
    order = np.argsort(sizes, kind="stable")[::-1]
    kept = order[sizes[order] >= max(1.0, smallest)]
    number_of = np.zeros(len(sizes), np.int32)
    number_of[kept] = np.arange(1, len(kept) + 1)
    number = number_of[part]
    for k, condition in enumerate(_conditions(probability, threshold)):
        own = slice(runs.of_slice[k], runs.of_slice[k + 1])
        if number[own].any():
            above = condition > 0
            lesion = np.repeat(number[own], runs.length[own])
            components[k][above] = lesion
            labels[k][above] = np.where(lesion > 0, condition[above], 0)
    return labels, components


def _conditions(probability: NDArray[np.uint8], threshold: float) -> Iterator[NDArray[np.uint8]]:
    """The number from 1 of the likeliest condition (row, column) where it lies above the threshold, else 0, slice by slice."""
    for k in range(probability.shape[1]):
        of_slice = probability[:, k]
        found = above_threshold(of_slice.max(axis=0), threshold).astype(np.uint8)
        if len(of_slice) > 1 and found.any():
            above = found > 0
            found[above] += of_slice[:, above].argmax(axis=0).astype(np.uint8)
        yield found


def measure_lesions(
    labels: NDArray[np.uint8],
    components: NDArray[np.int32],
    probability: NDArray[np.uint8],
    volume: Volume,
    conditions: Sequence[str],
) -> list[Lesion]:
    """The table of the lesions in `components`, canonical arrays as from `lesion_mask`."""
    from scipy import ndimage  # the tables of an archive are written without it

    lesions: list[Lesion] = []
    box = box_of_slices(own != 0 for own in components)
    if box is None:
        return lesions
    for number, inside in enumerate(ndimage.find_objects(components[box]), 1):
        place = tuple(slice(s.start + b.start, s.stop + b.start) for s, b in zip(inside, box, strict=True))
        part = components[place] == number
        condition = int(labels[place][part][0])
        values = probability[condition - 1][place][part]
        pixels = len(values)
        # Voxels of each slice, row and column: whole numbers, so that the centre is exact.
        along = [np.count_nonzero(part, axis=others) for others in ((1, 2), (0, 2), (0, 1))]
        centre = np.asarray(
            [
                (int(count @ np.arange(len(count))) + pixels * s.start) / pixels
                for count, s in zip(along, place, strict=True)
            ]
        )
        slices = np.flatnonzero(along[0]) + place[0].start
        known = volume.spacing_known
        lps = volume.to_lps(centre)
        diameters = diameters_of(part, volume.pixel_mm) if known else None
        lesions.append(
            Lesion(
                number=number,
                condition=conditions[condition - 1],
                first_slice=int(slices[0]),
                last_slice=int(slices[-1]),
                n_slices=len(slices),
                volume_ml=pixels * volume.voxel_ml if has_ml(volume) else None,
                area_px=pixels,
                longest_diameter_mm=None if diameters is None else diameters.longest_mm,
                mean_probability=float(values.mean()) / 255,
                peak_probability=float(values.max()) / 255,
                mean_doubt=float(doubt_of(values).mean()) / 255,
                centre_lps_mm=(float(lps[0]), float(lps[1]), float(lps[2]))
                if known and not volume.is_picture
                else None,
                centre_index=(float(centre[0]), float(centre[1]), float(centre[2])),
                perpendicular_diameter_mm=None if diameters is None else diameters.perpendicular_mm,
                diameter_slice=None if diameters is None else diameters.slice_index + place[0].start,
            )
        )
    return lesions


COLUMNS = (
    "id", "condition", "first_index", "last_index", "first_slice", "last_slice", "n_slices", "volume_ml", "area_px", "longest_diameter_mm",
    "perpendicular_diameter_mm", "diameter_slice",
    "mean_probability", "peak_probability", "mean_doubt", "centre_l_mm", "centre_p_mm", "centre_s_mm",
    "centre_slice", "centre_row", "centre_column",
)  # fmt: skip


def slice_columns(first: int, last: int) -> dict[str, int]:
    """First and last slice of a lesion as every file of lesions has them.

    Args:
        first: canonical voxel index, from 0.
        last: likewise.

    Returns:
        `first_index`, `last_index`: voxel indices, from 0; `first_slice`, `last_slice`: as a person counts, from 1.
    """
    return {"first_index": first, "last_index": last, "first_slice": first + 1, "last_slice": last + 1}


def lesions_of_report(entries: Sequence[dict[str, Any]]) -> list[Lesion]:
    """The lesions of report.json.

    Raises:
        InputError: a key or value that is none of a lesion's.
    """
    kept = [{k: v for k, v in entry.items() if k not in ("first_index", "last_index")} for entry in entries]
    indices = [{"first_slice": entry["first_index"], "last_slice": entry["last_index"]} for entry in entries]
    return [from_json(Lesion, own | index, "lesion") for own, index in zip(kept, indices, strict=True)]


def lesion_cells(lesion: Lesion) -> list[str | int]:
    """A row of lesions.csv, in the order of `COLUMNS`: '' where a figure is not known; indices are canonical voxel indices."""

    def text(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    lps = lesion.centre_lps_mm or (None, None, None)
    return [
        lesion.number, in_cell(lesion.condition), *slice_columns(lesion.first_slice, lesion.last_slice).values(), lesion.n_slices,
        text(lesion.volume_ml, 3), lesion.area_px, text(lesion.longest_diameter_mm, 1),
        text(lesion.perpendicular_diameter_mm, 1), "" if lesion.diameter_slice is None else lesion.diameter_slice + 1,
        text(lesion.mean_probability, 3), text(lesion.peak_probability, 3), text(lesion.mean_doubt, 3),
        *(text(v, 2) for v in lps), *(text(v, 1) for v in lesion.centre_index),
    ]  # fmt: skip


def write_lesions(path: Path, lesions: Sequence[Lesion]) -> None:
    """Writes lesions.csv."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(map(lesion_cells, lesions))
