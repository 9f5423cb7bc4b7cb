"""A case whose slices leave the network at the level that has decided their outline (early_exit.py).

Slices that go on keep what was computed of them, and wait until a batch of them is full, so that every step has as
many at once as it can have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ClamSegLib.early_exit import doubt
from ClamSegLib.level_steps import Halfway, LevelSteps
from ClamSegLib.segmentation.maps import CaseMaps


def run_by_need(maps: CaseMaps, steps: LevelSteps, limits: Sequence[float], batch_size: int) -> dict[int, int]:
    """Takes every slice of a case as deep as it needs.

    Args:
        maps: take what was found of each slice.
        limits: of each level but the last: slices of whose outline at most this share is undecided leave there.

    Returns:
        How many slices each level gave the maps of.
    """
    way = _Way(maps, steps, limits, batch_size)
    for indices in maps.batches(batch_size):
        way.reached(0, steps.begin(indices, maps.preparation.network_input(indices)))
    way.finish()
    return way.left


class _Way:
    """The slices of a case on their way through levels; arguments as for `run_by_need`."""

    def __init__(self, maps: CaseMaps, steps: LevelSteps, limits: Sequence[float], batch_size: int) -> None:
        self._maps, self._steps, self._limits, self._size = maps, steps, limits, batch_size
        self._waiting: list[list[Halfway]] = [[] for _ in steps.levels]
        self.left = dict.fromkeys(steps.levels, 0)

    def reached(self, step: int, halfway: Halfway) -> None:
        """Lets slices leave at a level, or wait for the next."""
        preparation, indices, image = self._maps.preparation, halfway.slices, halfway.image
        found, differs = self._steps.maps(halfway)
        leave = np.ones(len(indices), bool)
        if step < len(self._limits):
            organ = preparation.organ_input(indices)
            leave = doubt(found, image, organ, preparation.config) <= self._limits[step]
        if leave.any():
            self._maps.take(indices[leave], image[leave], found[leave], differs[leave])
            self.left[self._steps.levels[step]] += int(leave.sum())
        if not leave.all():
            self._waiting[step + 1].append(halfway.of(np.flatnonzero(~leave)))
            self._go_on(step + 1, fewest=self._size)

    def finish(self) -> None:
        """Takes those that still wait to where they leave."""
        for step in range(1, len(self._waiting)):
            self._go_on(step, fewest=1)

    def _go_on(self, step: int, fewest: int) -> None:
        while sum(len(part.slices) for part in self._waiting[step]) >= fewest:
            together = Halfway.together(self._waiting[step])
            rows = np.arange(len(together.slices))
            rest = rows[self._size :]
            self._waiting[step] = [together.of(rest)] if len(rest) else []
            self.reached(step, self._steps.go_on(step, together.of(rows[: self._size])))
