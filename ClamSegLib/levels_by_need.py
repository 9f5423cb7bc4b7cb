"""A case whose slices leave the network at the level that has decided their outline (early_exit.py).

Slices that go on keep what was computed of them, and wait until a batch of them is full, so that every step has as
many at once as it can have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.case_maps import CaseMaps
from ClamSegLib.early_exit import undecided
from ClamSegLib.level_steps import Halfway, LevelSteps
from ClamSegLib.map_refinement import Guide, given_out, peaks, sharpened


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
    """The slices of a case on their way through levels.

    Args:
        maps: take those that leave.
        limits: of each level but the last.
    """

    def __init__(self, maps: CaseMaps, steps: LevelSteps, limits: Sequence[float], batch_size: int) -> None:
        self._maps, self._steps, self._limits, self._size = maps, steps, limits, batch_size
        self._waiting: list[list[Halfway]] = [[] for _ in steps.levels]
        self._guides: dict[int, Guide] = {}
        self.left = dict.fromkeys(steps.levels, 0)

    def reached(self, step: int, halfway: Halfway) -> None:
        """Lets slices leave at a level, or wait for the next."""
        config, indices = self._maps.preparation.config, halfway.slices
        found, differs = self._steps.maps(halfway)
        is_last = step == len(self._limits)
        ratio, given = found, found
        if config.refinement is not None and not (is_last and self._maps.together):
            image = self._maps.preparation.network_input(indices)
            guides = [self._guide(int(index), values) for index, values in zip(indices, image[:, 0], strict=True)]
            ratio = sharpened(found, image, config.refinement, guides)
        leave = np.ones(len(indices), bool)
        if not is_last:
            organ = self._maps.preparation.organ_input(indices)
            if config.refinement is not None:
                given = given_out(ratio, peaks(ratio, organ), config.refinement)
            leave = undecided(given, organ, config.threshold) <= self._limits[step]
        if leave.any():
            self._maps.take(indices[leave], found[leave], ratio[leave], differs[leave])
            self.left[self._steps.levels[step]] += int(leave.sum())
            for index in indices[leave]:
                self._guides.pop(int(index), None)
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

    def _guide(self, index: int, image: NDArray[np.float32]) -> Guide:
        if index not in self._guides:
            self._guides[index] = Guide(image)
        return self._guides[index]
