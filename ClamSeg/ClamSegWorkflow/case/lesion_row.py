"""A line of the lesion table and what a reader may decide on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Decision(Enum):
    """What the reader decided on a lesion."""

    UNDECIDED = "undecided"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EDITED = "edited"
    ADDED = "added"


FROZEN = (Decision.ACCEPTED, Decision.EDITED, Decision.ADDED)


@dataclass(frozen=True)
class LesionRow:
    """A line of the table.

    Attributes:
        number: stable over thresholds.
        first_slice, last_slice: canonical, from 0.
        volume_ml: None where spacing is unknown; then `area_px` is shown.
        centre_ijk: voxel position in the volume's own frame.
        peak_index: canonical (slice, row, column) of the strongest voxel.
        perpendicular_diameter_mm, diameter_slice: across the longest diameter, and the slice of both (canonical, from 0).
    """

    number: int
    condition: str
    decision: Decision
    first_slice: int
    last_slice: int
    n_slices: int
    volume_ml: float | None
    area_px: int
    longest_diameter_mm: float | None
    mean_probability: float
    mean_doubt: float
    centre_ijk: tuple[float, float, float]
    peak_index: tuple[int, int, int]
    perpendicular_diameter_mm: float | None = None
    diameter_slice: int | None = None
