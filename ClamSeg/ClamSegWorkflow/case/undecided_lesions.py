"""The undecided lesions of a review: found on the map at a threshold, known by their place in it, measured once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ClamSegWorkflow.case.drawn_lesions import FoundLesion
from ClamSegWorkflow.case.lesion_map import Box, KeptLesion, LesionMap, Smallest, WorkerLesions, shifted
from ClamSegWorkflow.case.lesion_measure import measure_undecided, row_of
from ClamSegWorkflow.case.lesion_row import Decision, LesionRow
from ClamSegWorkflow.words import tr as _

_WHOLE = (slice(0, None),) * 3


class UndecidedLesions:
    """Lesions that follow the threshold.

    Args:
        lesion_map: the map that they are found on; it holds their voxels.
        conditions: their names.
    """

    def __init__(self, lesion_map: LesionMap, conditions: Sequence[str]) -> None:
        self._map, self._conditions = lesion_map, tuple(conditions)
        # Measured by the worker, in the order of their places; None once they were looked for here.
        self._given: list[Any] | None = None
        self._place: dict[int, int] = {}  # number -> place in the map, from 1

    def take(self, found: WorkerLesions) -> None:
        """Takes them as the worker found and measured them.

        Raises:
            ValueError: what was found does not lie in the map.
        """
        self._given = list(found.lesions)
        if not self._map.take_lesions(found.components, [self._conditions.index(x.condition) + 1 for x in self._given]):
            raise ValueError(_("the lesions do not fit the map"))

    def find(self, kept_lesions: Iterable[KeptLesion], threshold: float, smallest: Smallest) -> None:
        """Looks for them on the map, without the voxels of decided lesions."""
        self._given = None
        self._map.find_lesions(kept_lesions, threshold, smallest)

    def measured(self, number_of: Callable[[tuple[int, int, int]], int]) -> list[LesionRow]:
        """Their rows in the order of their places.

        Args:
            number_of: gives the number of a lesion from its strongest voxel, canonical.
        """
        self._place, rows = {}, []
        box = _WHOLE if self._given is not None else self._map.box
        lesions = measure_undecided(self._map, self._conditions) if self._given is None else self._given
        for place, lesion in enumerate(lesions, 1):
            peak = self._map.peak_of(place)
            number = number_of(peak)
            self._place[number] = place
            rows.append(row_of(self._map, lesion, number, Decision.UNDECIDED, peak, box))
        return rows

    def by_last_place(self, rows: Iterable[LesionRow]) -> list[LesionRow]:
        """Rows of undecided lesions from the last place on: those before keep theirs when one is taken out."""
        return sorted(rows, key=lambda row: self._place[row.number], reverse=True)

    def take_out(self, number: int) -> None:
        """A lesion was decided as a whole, so nothing of it is left to be found again; the others stay as measured."""
        place = self._place[number]
        self._map.remove(place)
        if self._given is not None:
            del self._given[place - 1]

    def voxels(self, number: int) -> tuple[Box, np.ndarray]:
        """Canonical box and voxels of a lesion.

        Raises:
            KeyError: no undecided lesion has this number.
        """
        place = self._place[number]
        inside = self._map.objects[place - 1]
        return shifted(inside, self._map.box), self._map.components[inside] == place

    def found(self, number: int) -> FoundLesion | None:
        """A lesion as the map gives it; None where no such is undecided."""
        place = self._place.get(number)
        return None if place is None else FoundLesion(number, *self.voxels(number), self._map.peak_of(place))

    def labelled(self, condition: int, apart: int | None = None) -> np.ndarray:
        """Voxels of the lesions of a condition (from 1) in the box of the map, canonical.

        Args:
            apart: number of a lesion that is left out.
        """
        mask: np.ndarray = self._map.labels == condition
        return mask if apart is None else mask & (self._map.components != self._place[apart])
