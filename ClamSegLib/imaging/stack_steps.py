"""Where the slices of a stack lie along its normal: on an even grid, on one with slices missing, or on none.

A slice that is missing keeps its place on the grid, so that every other one stays where it was in the patient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Parts of the usual slice distance by which a step may differ before it counts as uneven.
_UNEVEN_SHARE = 0.05
# Slices of an even stack that may lie off their place, as a part of the slice distance, before the mean distance is taken.
_DRIFT_SHARE = 1e-3


@dataclass(frozen=True)
class StackSteps:
    """A grid for the slices of a stack.

    Attributes:
        distance_mm: of neighbours on the grid.
        places: number on the grid of each slice, from 0, rising.
        farthest_mm: by which a slice lies off its place, where the steps fit no grid; else 0.
    """

    distance_mm: float
    places: tuple[int, ...]
    farthest_mm: float = 0.0

    @property
    def missing(self) -> tuple[int, ...]:
        """Places on the grid that have no slice."""
        return tuple(sorted(set(range(self.places[-1] + 1)) - set(self.places)))


def steps_of(along: Floats) -> StackSteps:
    """The grid on which slices lie.

    Steps that are multiples of the usual one are those of missing slices, as long as fewer are missing than there are.

    Args:
        along: (N,) positions along the normal in mm, rising, at least two.
    """
    steps = np.diff(along)
    # The lower of the middle two: of two steps the larger one may span the gap.
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])
    counts = np.clip(np.rint(steps / usual), 1, len(along))
    fit = (np.abs(steps - counts * usual) <= _UNEVEN_SHARE * usual).all()
    if not fit or counts.sum() >= 2 * len(along) - 1:
        mean = float(along[-1] - along[0]) / (len(along) - 1)
        grid = along[0] + mean * np.arange(len(along))
        return StackSteps(mean, tuple(range(len(along))), float(np.abs(along - grid).max()))
    places = tuple(int(place) for place in np.concatenate([[0], np.cumsum(counts)]))
    mean = float(along[-1] - along[0]) / places[-1]
    drifts = abs(mean - usual) * places[-1] > _DRIFT_SHARE * usual
    return StackSteps(mean if drifts else usual, places)
