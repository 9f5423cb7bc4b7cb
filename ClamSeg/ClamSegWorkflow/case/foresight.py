"""What a step of the review will need, found before it is taken and apart from the scene: the reader waits for nothing.

A step that finds the review otherwise than it was foreseen looks for itself: what is foreseen spares time and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from ClamSegWorkflow.case.apart import Work
from ClamSegWorkflow.case.lesion_map import KeptLesion, Smallest
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.review_memory import Moment, ReviewMemory
from ClamSegWorkflow.case.undecided_lesions import UndecidedLesions


class Foresight:
    """Gives work for any thread, None where a step needs none."""

    def __init__(self, review: ReviewMemory, undecided: UndecidedLesions, smallest: Smallest) -> None:
        self._review, self._undecided, self._smallest = review, undecided, smallest

    def undo(self) -> Work | None:
        """Of the last step taken back."""
        return self._of_moment(self._review.steps.before)

    def redo(self) -> Work | None:
        """Of the step taken back last, done again."""
        return self._of_moment(self._review.steps.after)

    def threshold(self, threshold: float) -> Work | None:
        """Of another threshold."""
        return self._work(self._review.decided.by_number.values(), threshold)

    def decision(self, number: int, decision: Decision) -> Work | None:
        """Of a decision on a lesion; one that was undecided leaves the others as they are."""
        kept = dict(self._review.decided.by_number)
        if number not in kept or decision is not Decision.UNDECIDED:
            return None
        del kept[number]
        return self._work(kept.values(), self._review.threshold)

    def _of_moment(self, moment: Moment | None) -> Work | None:
        return None if moment is None else self._work(moment.kept.values(), moment.threshold)

    def _work(self, kept: Iterable[KeptLesion], threshold: float) -> Work:
        lesions = tuple(kept)
        return lambda: self._undecided.look_ahead(lesions, threshold, self._smallest)
