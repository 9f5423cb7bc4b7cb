"""The undecided lesions of a review: found on the map at a threshold, known by their strongest voxel, measured once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ClamSegWorkflow.case.drawn_lesions import FoundLesion
from ClamSegWorkflow.case.lesion_map import KeptLesion, LesionMap, Smallest, WorkerLesions
from ClamSegWorkflow.case.lesion_measure import Figures, row_of
from ClamSegWorkflow.case.lesion_row import Decision, LesionRow
from ClamSegWorkflow.case.map_parts import Box, MapPart
from ClamSegWorkflow.words import tr as _

_WHOLE = (slice(0, None),) * 3


@dataclass(frozen=True)
class _Ahead:
    """What was found for decided lesions and a threshold that may come."""

    kept: tuple[KeptLesion, ...]
    threshold: float
    parts: list[MapPart]
    undecided: list[MapPart]

    def is_of(self, kept: tuple[KeptLesion, ...], threshold: float) -> bool:
        """Whether just this has come."""
        same = len(kept) == len(self.kept) and all(a is b for a, b in zip(kept, self.kept, strict=True))
        return same and threshold == self.threshold


class UndecidedLesions:
    """Lesions that follow the threshold.

    Args:
        lesion_map: the map that they are found on; it holds their voxels.
        conditions: their names.
        figures: of lesions that were measured before.
    """

    def __init__(self, lesion_map: LesionMap, conditions: Sequence[str], figures: Figures) -> None:
        self._map, self._conditions, self._figures = lesion_map, tuple(conditions), figures
        self._ahead: _Ahead | None = None
        self._part: dict[int, MapPart] = {}  # by the number of the lesion

    def take(self, found: WorkerLesions, threshold: float) -> None:
        """Takes them as the worker found and measured them.

        Raises:
            ValueError: what was found does not lie in the map.
        """
        conditions = [self._conditions.index(lesion.condition) + 1 for lesion in found.lesions]
        if not self._map.take_lesions(found.components, conditions, threshold):
            raise ValueError(_("the lesions do not fit the map"))
        for part, lesion in zip(self._map.undecided, found.lesions, strict=True):
            self._figures.know(part.mask, _WHOLE, lesion)

    def find(self, kept_lesions: Iterable[KeptLesion], threshold: float, smallest: Smallest) -> None:
        """Looks for them on the map, without the voxels of decided lesions; what was seen ahead of just this is taken."""
        kept, ahead = tuple(kept_lesions), self._ahead
        if ahead is not None and ahead.is_of(kept, threshold):
            self._map.take_found(threshold, ahead.parts, ahead.undecided)
        else:
            self._map.find_lesions(kept, threshold, smallest)
        self._ahead = None

    def look_ahead(self, kept_lesions: Iterable[KeptLesion], threshold: float, smallest: Smallest) -> None:
        """Finds and measures what `find` will ask for, in any thread; nothing else is changed, whatever the list does meanwhile."""
        kept = tuple(kept_lesions)
        parts, undecided = self._map.look(kept, threshold, smallest)
        for part in undecided:
            self._map.peak_of(part)
            self._figures.of(self._map, (self._map.whole_box(part), part.mask, part.condition), self._conditions)
        for each in kept:
            self._figures.of(self._map, (each.box, each.mask, each.condition), self._conditions)
        self._ahead = _Ahead(kept, threshold, parts, undecided)

    def measured(self, number_of: Callable[[tuple[int, int, int]], int]) -> list[LesionRow]:
        """Their rows, the largest first.

        Args:
            number_of: gives the number of a lesion from its strongest voxel, canonical.
        """
        self._part, rows = {}, []
        for part in self._map.undecided:
            peak = self._map.peak_of(part)
            number = number_of(peak)
            self._part[number] = part
            voxels = (self._map.whole_box(part), part.mask, part.condition)
            box, lesion = self._figures.of(self._map, voxels, self._conditions)
            rows.append(row_of(self._map, lesion, number, Decision.UNDECIDED, peak, box))
        return rows

    def take_out(self, number: int) -> None:
        """A lesion was decided as a whole, so nothing of it is left to be found again."""
        self._map.undecided.remove(self._part[number])

    def voxels(self, number: int) -> tuple[Box, np.ndarray]:
        """Canonical box and voxels of a lesion.

        Raises:
            KeyError: no undecided lesion has this number.
        """
        part = self._part[number]
        return self._map.whole_box(part), part.mask

    def found(self, number: int) -> FoundLesion | None:
        """A lesion as the map gives it; None where no such is undecided."""
        part = self._part.get(number)
        return None if part is None else FoundLesion(number, *self.voxels(number), self._map.peak_of(part))

    def labelled(self, condition: int, apart: int | None = None) -> tuple[Box, np.ndarray]:
        """Voxels of the lesions of a condition (from 1) as a mask over a canonical box of the whole volume.

        Args:
            apart: number of a lesion that is left out.
        """
        without = None if apart is None else self._part[apart]
        return self._map.labelled(p for p in self._map.undecided if p.condition == condition and p is not without)
