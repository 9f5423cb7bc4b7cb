"""A scan as clicks see it: heights over normal tissue, where the organ lies, and how high the model's lesions stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.volume import Array
from ClamSegLib.model.normative_map import centre_and_spread

Index = tuple[int, int, int]  # slice, row, column
_MOST_VALUES = 1_000_000  # so many settle a median to far below the spread
_MOST_LOOKED_AT = 16_000_000
_LIKELY = 128  # of 255: what the model takes for lesion
_FEWEST_LIKELY = 50
_MOST_APART = 1.25  # quartiles of what the model marks, over its median height: farther apart, no height is usual
LOWEST_HEIGHT = 0.5  # in spreads: less tells no lesion from the noise of normal tissue


@dataclass(frozen=True)
class Tissue:
    """What an outline is grown in. Arrays are (slice, row, column) in one frame, whichever.

    Attributes:
        array: values of the scan.
        spacing_mm: distance between slices, rows, columns; (1, 1, 1) where it is unknown.
        organ: bool; None where nothing is known of it: the whole scan.
        centre: median of the organ.
        spread: its spread, in which heights are counted.
        lesion_height: median height of what the model takes for lesion; None where it marks too little, or of too many heights.
        kept: what was seen around the last clicks (`growth.surroundings_of`).
    """

    array: Array
    spacing_mm: tuple[float, float, float]
    organ: NDArray[np.bool_] | None
    centre: float
    spread: float
    lesion_height: float | None = None
    kept: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def is_inside(self, point: Index) -> bool:
        """Whether a voxel lies in the scan and in the organ."""
        inside = all(0 <= place < size for place, size in zip(point, self.array.shape, strict=True))
        return inside and (self.organ is None or bool(self.organ[point]))


def tissue_of(
    array: Array,
    spacing_mm: tuple[float, float, float] | None,
    organ: NDArray[np.bool_] | None,
    probability: NDArray[np.uint8] | None,
) -> Tissue:
    """Measures what outlines need once per scan.

    Args:
        array: (slice, row, column).
        spacing_mm: between slices, rows, columns; None where it is unknown.
        organ: likewise bool; None or empty: the whole scan.
        probability: likewise, steps of 1/255; None without a model.
    """
    if organ is not None and not organ.any():
        organ = None
    # In large scans only every so many-th voxel of a row is looked at: medians do not move by it.
    thin = (..., slice(None, None, max(1, array.size // _MOST_LOOKED_AT)))
    few = array[thin]
    values = few.ravel() if organ is None or not organ[thin].any() else few[organ[thin]]
    centre, spread = centre_and_spread(values[:: max(1, values.size // _MOST_VALUES)].astype(np.float32))
    height = None
    if probability is not None:
        likely = few[probability[thin] >= _LIKELY]
        if likely.size >= _FEWEST_LIKELY:
            heights = (likely[:: max(1, likely.size // _MOST_VALUES)].astype(np.float32) - centre) / spread
            low, middle, high = (float(value) for value in np.quantile(heights, (0.25, 0.5, 0.75)))
            height = middle if high - low <= _MOST_APART * abs(middle) else None
    return Tissue(array, spacing_mm or (1.0, 1.0, 1.0), organ, centre, spread, height)
