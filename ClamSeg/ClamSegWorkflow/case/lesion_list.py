"""The lesions of a result under review: a threshold for the undecided ones, the decided ones frozen.

The list works on the box of the volume in which the map is above 0, in canonical orientation, and gives masks in the
volume's own frame. A lesion is known by its strongest voxel, so that its number stays when the threshold moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ClamSegWorkflow.case.drawn_lesions import FoundLesion, drawn_lesions
from ClamSegWorkflow.case.foresight import Foresight
from ClamSegWorkflow.case.lesion_map import KeptLesion, LesionMap, Smallest, WorkerLesions
from ClamSegWorkflow.case.lesion_measure import Figures, row_of
from ClamSegWorkflow.case.lesion_row import Decision, LesionRow
from ClamSegWorkflow.case.review_memory import ReviewMemory
from ClamSegWorkflow.case.review_steps import ReviewSteps
from ClamSegWorkflow.case.step_words import decided_words, labelled_words, rejected_words
from ClamSegWorkflow.case.table_view import size_of
from ClamSegWorkflow.case.undecided_lesions import UndecidedLesions
from ClamSegWorkflow.words import tr as _


class LesionList:
    """Lesions of one result.

    Args:
        probability: (k, j, i) uint8, steps of 1/255, own frame.
        strongest: (k, j, i) uint8, number of the strongest condition from 1, or None for a single condition.
        geometry: ClamSegLib Volume of the scan's grid (its array is not looked at).
        conditions: their names.
        minimum_volume_ml, minimum_px: smaller lesions are left out, by ml where they are known, else by pixels.
        found: the lesions at this threshold as the worker found and measured them; None looks for them.

    Raises:
        ValueError: what was found does not lie in the map.
    """

    def __init__(
        self,
        probability: np.ndarray,
        strongest: np.ndarray | None,
        geometry: Any,
        conditions: Sequence[str],
        *,
        plane: str,
        threshold: float,
        minimum_volume_ml: float = 0.0,
        minimum_px: int = 0,
        found: WorkerLesions | None = None,
    ) -> None:
        self.conditions = tuple(conditions)
        self.plane = plane
        self.smallest = Smallest(minimum_volume_ml, minimum_px)
        self._map = LesionMap(probability, strongest, geometry, plane)
        self._review = ReviewMemory(self._map, threshold)
        self._figures = Figures()
        self._undecided = UndecidedLesions(self._map, self.conditions, self._figures)
        self.foresight = Foresight(self._review, self._undecided, self.smallest)
        self._rows: list[LesionRow] | None = None
        if found is None:
            self._find()
        else:
            self._undecided.take(found, threshold)

    # What is shown

    @property
    def threshold(self) -> float:
        """What the undecided lesions follow."""
        return self._review.threshold

    @property
    def steps(self) -> ReviewSteps[Any]:
        """Names of what can be taken back and done again."""
        return self._review.steps

    @property
    def n_slices(self) -> int:
        """Canonical slices of the volume."""
        return int(self._map.grid.array.shape[0])

    def rows(self) -> list[LesionRow]:
        """All lesions, decided ones included, by number."""
        if self._rows is None:
            self._rows = self._measured()
        return self._rows

    def row(self, number: int) -> LesionRow:
        """The row of a lesion.

        Raises:
            KeyError: no such lesion at this threshold.
        """
        for row in self.rows():
            if row.number == number:
                return row
        raise KeyError(number)

    def has(self, number: int) -> bool:
        """Whether a lesion of this number is in the list at this threshold."""
        return any(row.number == number for row in self.rows())

    def undecided_mask(self, condition: int, apart: int | None = None) -> tuple[np.ndarray, tuple[int, int, int]]:
        """Voxels of the undecided lesions of a condition (from 1): a box in the own frame and its first k, j, i.

        Args:
            apart: number of an undecided lesion that is left out.
        """
        if apart is not None:
            self.rows()
        box, mask = self._undecided.labelled(condition, apart)
        return self._map.own_box(mask, box)

    def lesion_mask(self, number: int) -> tuple[np.ndarray, tuple[int, int, int]]:
        """Voxels of one lesion: a box in the own frame and its first k, j, i.

        Raises:
            KeyError: no such lesion.
        """
        kept = self._review.decided.by_number.get(number)
        if kept is not None:
            return self._map.own_box(kept.mask, kept.box)
        self.rows()
        box, mask = self._undecided.voxels(number)
        return self._map.own_box(mask, box)

    def standing_masks(self) -> dict[str, np.ndarray]:
        """Per condition what the reader let stand (accepted, edited, added), own frame, whole volume."""
        return self._review.decided.standing_masks(self.conditions)

    def rejected_mask(self) -> np.ndarray:
        """All rejected voxels, own frame, whole volume."""
        return self._review.decided.rejected_mask()

    def marks(self) -> dict[int, str]:
        """The reader's labels of slices, by canonical slice."""
        return dict(self._review.marks)

    # What the reader does

    def mark(self, canonical_slice: int, word: str) -> None:
        """Labels a slice 'normal', 'diseased' or 'unsure'; '' takes the label away."""
        self._review.remember(labelled_words(canonical_slice, word))
        if word:
            self._review.marks[canonical_slice] = word
        else:
            self._review.marks.pop(canonical_slice, None)

    def set_threshold(self, threshold: float) -> None:
        """Undecided lesions follow the threshold; decided ones stay as they are."""
        self._review.remember(_("threshold {value}").format(value=f"{threshold:.2f}"))
        self._review.threshold = threshold
        self._find()

    def decide(self, number: int, decision: Decision) -> None:
        """Accepts, rejects or frees a lesion; accepting or rejecting freezes its voxels.

        Raises:
            KeyError: no such lesion.
        """
        row = self.row(number)
        self._review.remember(decided_words(number, decision))
        self._decide(row, decision)

    def reject_below(self, minimum: float) -> int:
        """Rejects every undecided lesion that is smaller than `minimum`, as one step; returns how many.

        Args:
            minimum: ml, or pixels where no spacing is known.
        """
        small = [row for row in self.rows() if row.decision is Decision.UNDECIDED and size_of(row) < minimum]
        if small:
            self._review.remember(rejected_words(len(small), minimum, small[0].volume_ml is not None))
        for row in small:
            self._decide(row, Decision.REJECTED)
        return len(small)

    def _decide(self, row: LesionRow, decision: Decision) -> None:
        number, kept = row.number, self._review.decided.by_number
        if decision is Decision.UNDECIDED:
            kept.pop(number, None)
        elif number in kept:
            kept[number] = replace(kept[number], decision=decision)
        else:
            condition = self.conditions.index(row.condition) + 1
            voxels = self._undecided.voxels(number)
            kept[number] = KeptLesion(number, condition, decision, *voxels, row.peak_index, self.threshold)
            self._undecided.take_out(number)
            self._rows = None
            return
        self._find()

    def set_mask(self, number: int, mask: np.ndarray, condition: int = 1) -> None:
        """What the reader drew: replaces the voxels of a lesion, or adds one (a number from `free_number`).

        Args:
            mask: (k, j, i) bool, own frame, whole volume.

        Raises:
            ValueError: the mask is empty.
        """
        words = decided_words(number, Decision.EDITED if self.has(number) else Decision.ADDED)
        self.redraw(words, {number: (mask, condition)})

    def redraw(self, words: str, drawn: Mapping[int, tuple[np.ndarray, int]], gone: Sequence[int] = ()) -> None:
        """Replaces the voxels of lesions, adds new ones and takes others away, as one step.

        Args:
            words: name of the step.
            drawn: number, of a lesion or from `free_number`, to its mask (k, j, i), own frame, whole volume, and condition
                from 1.
            gone: numbers of lesions whose voxels have gone over to others.

        Raises:
            ValueError: a mask is empty.
        """
        made = {
            number: self._review.decided.drawn(number, mask, condition, self.threshold, self._found(number))
            for number, (mask, condition) in drawn.items()
        }
        self._review.remember(words)
        self._review.decided.by_number.update(made)
        for number in gone:
            self._review.decided.by_number.pop(number, None)
        self._find()

    def free_number(self) -> int:
        """A number no lesion has had."""
        self.rows()  # gives every lesion its number
        return self._review.highest_number() + 1

    def undo(self) -> bool:
        """Takes the last step back; False where there is none."""
        return self._found_again(self._review.undo())

    def redo(self) -> bool:
        """Does the step that was taken back last again; False where there is none."""
        return self._found_again(self._review.redo())

    def adopt(self, mask: np.ndarray, condition: int) -> bool:
        """Takes over what the reader drew into the segment of the undecided lesions, so that nothing drawn is lost.

        A lesion that was changed becomes edited, one that was erased rejected, a new one added.

        Args:
            mask: (k, j, i) bool, own frame: the segment as it is now.
            condition: number of the segment's condition, from 1.

        Returns:
            Whether anything differed from the list.
        """
        turned = self._map.orientation.apply(mask)
        ours = np.zeros(turned.shape, bool)
        box, undecided = self._undecided.labelled(condition)
        ours[box] = undecided
        if np.array_equal(turned, ours):
            return False
        of_condition = (row.number for row in self.rows() if row.condition == self.conditions[condition - 1])
        found = [lesion for lesion in map(self._found, of_condition) if lesion is not None]
        self._review.remember(_("drawing"))
        for drawn in drawn_lesions(turned, found):
            before = drawn.found
            number = before.number if before is not None else self.free_number()
            settled = (before.box, before.mask) if before is not None else None
            self._review.decided.by_number[number] = KeptLesion(
                number, condition, drawn.decision, drawn.box, drawn.mask, drawn.peak_index, self.threshold, settled
            )
        self._find()
        return True

    def restore(
        self,
        frozen: dict[int, tuple[int, Decision, np.ndarray, float, tuple[int, int, int]]],
        numbers: dict[tuple[int, int, int], int],
        rejected: dict[int, tuple[int, float, tuple[int, int, int]]],
        marks: dict[int, str],
    ) -> None:
        """Brings a saved review back.

        Args:
            frozen: number -> condition, decision, own-frame mask, threshold of that moment, strongest voxel (canonical).
            numbers: strongest voxel -> number.
            rejected: number -> condition, threshold of that moment, strongest voxel.
            marks: canonical slice -> the reader's label.
        """
        self._review.restore(frozen, numbers, rejected, marks)
        self._find()

    def memory(self) -> dict[str, Any]:
        """What a saved scene needs besides the segments, as JSON values."""
        return {
            "minimum_volume_ml": self.smallest.ml,
            "minimum_px": self.smallest.px,
            "plane": self.plane,
            "conditions": list(self.conditions),
            **self._review.saved(),
        }

    @property
    def spacing_known(self) -> bool:
        """Whether sizes can be told in mm and ml."""
        return bool(self._map.grid.spacing_known)

    @property
    def is_picture(self) -> bool:
        """Whether the scan is a single projection without known spacing."""
        return bool(self._map.grid.is_picture)

    def kept(self, number: int) -> KeptLesion:
        """A decided lesion."""
        return self._review.decided.by_number[number]

    def decisions(self) -> dict[int, Decision]:
        """Decided lesions."""
        return {number: kept.decision for number, kept in self._review.decided.by_number.items()}

    def canonical_slice(self, ijk: Sequence[float]) -> int | None:
        """The canonical slice a voxel position (i, j, k) lies in, None above or below the scan."""
        return self._map.canonical_slice(ijk)

    # How it is computed

    def _found(self, number: int) -> FoundLesion | None:
        """An undecided lesion as the map gives it; None where no such is undecided."""
        self.rows()
        return self._undecided.found(number)

    def _find(self) -> None:
        self._undecided.find(self._review.decided.by_number.values(), self.threshold, self.smallest)
        self._rows = None

    def _found_again(self, stands_changed: bool) -> bool:
        if stands_changed:
            self._find()
        return stands_changed

    def _measured(self) -> list[LesionRow]:
        rows = self._undecided.measured(self._review.number_of)
        for kept in self._review.decided.by_number.values():
            voxels = (kept.box, kept.mask, kept.condition)
            box, lesion = self._figures.of(self._map, voxels, self.conditions)
            rows.append(row_of(self._map, lesion, kept.number, kept.decision, kept.peak_index, box))
        return sorted(rows, key=lambda row: row.number)
