"""What the reader has done to a list of lesions, and the way back: threshold, decisions, numbers, labels of slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ClamSegWorkflow.case.decided_lesions import DecidedLesions, Peak
from ClamSegWorkflow.case.lesion_map import KeptLesion, LesionMap
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.review_steps import ReviewSteps


@dataclass(frozen=True)
class Moment:
    """What undo or redo brings back."""

    threshold: float
    kept: dict[int, KeptLesion]
    numbers: dict[Peak, int]
    marks: dict[int, str]


class ReviewMemory:
    """The state of a review, with undo and redo.

    Args:
        lesion_map: the map under review.
        threshold: of the undecided lesions.

    Attributes:
        threshold: of the undecided lesions now.
        decided: the decided lesions.
        numbers: strongest voxel -> number of the lesion that was ever known by it.
        marks: canonical slice -> the reader's label.
        steps: names of what can be taken back and done again.
    """

    def __init__(self, lesion_map: LesionMap, threshold: float) -> None:
        self.threshold = threshold
        self.decided = DecidedLesions(lesion_map)
        self.numbers: dict[Peak, int] = {}
        self.marks: dict[int, str] = {}
        self.steps: ReviewSteps[Moment] = ReviewSteps()

    def remember(self, words: str) -> None:
        """A step of this name begins: what stands now is what undo brings back."""
        self.steps.add(words, self._now())

    def undo(self) -> bool:
        """Takes the last step back; False where there is none."""
        return self._bring_back(self.steps.undo(self._now()))

    def redo(self) -> bool:
        """Does the step that was taken back last again; False where there is none."""
        return self._bring_back(self.steps.redo(self._now()))

    def number_of(self, peak: Peak) -> int:
        """The number of an undecided lesion, by its strongest voxel; a new one where it was never in the list."""
        return self.numbers.setdefault(peak, self.highest_number() + 1)

    def highest_number(self) -> int:
        """The highest number that a lesion has had, 0 where there was none."""
        return max([0, *self.numbers.values(), *self.decided.by_number])

    def restore(
        self,
        frozen: dict[int, tuple[int, Decision, np.ndarray, float, Peak]],
        numbers: dict[Peak, int],
        rejected: dict[int, tuple[int, float, Peak]],
        marks: dict[int, str],
    ) -> None:
        """Brings a saved review back; arguments as for `LesionList.restore`."""
        self.numbers, self.marks = dict(numbers), dict(marks)
        self.decided.restore(frozen, rejected)
        self.steps.clear()

    def saved(self) -> dict[str, Any]:
        """What a saved scene needs besides the segments, as JSON values."""
        return {
            "threshold": self.threshold,
            "marks": {str(index): word for index, word in self.marks.items()},
            "numbers": [[*peak, number] for peak, number in self.numbers.items()],
            "decided": self.decided.memory(),
        }

    def _now(self) -> Moment:
        return Moment(self.threshold, dict(self.decided.by_number), dict(self.numbers), dict(self.marks))

    def _bring_back(self, moment: Moment | None) -> bool:
        if moment is None:
            return False
        self.threshold, self.decided.by_number = moment.threshold, dict(moment.kept)
        self.numbers, self.marks = dict(moment.numbers), dict(moment.marks)
        return True
