"""Decisions on lesions, the threshold of the undecided ones, and the way back: one step after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ClamSegWeb.turns import Turns
from ClamSegWeb.user_action import user_action
from ClamSegWorkflow.case.apart import Work
from ClamSegWorkflow.case.foresight import Foresight
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.scene.overlays import PROBABILITY
from ClamSegWorkflow.words import tr as _

_SMALLEST_STEP = 1e-3  # of the threshold: what the browser shows is rounded


class Decisions:
    """The steps of the result under review.

    Args:
        page: the Page.
        review: the ReviewSection, whose result it is.

    Attributes:
        turns: steps that wait until what they need is found.
    """

    def __init__(self, page: Any, review: Any) -> None:
        self._page, self._state, self._review = page, page.state, review
        self.turns = Turns(page.beside)
        self._asked = 0.5
        self._state.update({"threshold": 0.5, "threshold_moving": None, "undo_words": "", "redo_words": ""})
        self._state.change("threshold_moving")(self._threshold_moves)

    def _lesions(self) -> Any:
        """The list under review, None where there is nothing to review."""
        return None if self._review.result is None else self._review.result.lesions

    def _foreseen(self, look: Callable[[Foresight], Work | None]) -> Callable[[], Work | None]:
        """What a step will need, of the list that is under review when its turn comes."""

        def foresee() -> Work | None:
            lesions = self._lesions()
            return None if lesions is None else look(lesions.foresight)

        return foresee

    # Threshold

    def _threshold_moves(self, **_state: Any) -> None:
        """While dragging only the map moves; it is shown, because otherwise there is nothing to see."""
        moving = self._state.threshold_moving
        if moving is None or self._lesions() is None:
            return
        if not self._review.shows_map:
            self._review.show_map(PROBABILITY)
        self._review.result.preview_threshold(float(moving))

    def set_threshold(self, threshold: float) -> None:
        """On release: undecided lesions follow."""
        value = self._asked = float(threshold)
        self.turns.take(lambda: self._set_threshold(value), self._foreseen(lambda ahead: ahead.threshold(value)))

    def key_let_go(self, threshold: float, moving: float | None) -> None:
        """The same where a key moved it; other keys pass by.

        What the step before took back of `moving` may reach the browser after the key: then the threshold itself tells.
        """
        lesions = self._lesions()
        if lesions is None:
            return
        last = lesions.threshold if self.turns.is_idle else self._asked
        if moving is not None or abs(float(threshold) - last) > _SMALLEST_STEP:
            self.set_threshold(threshold)

    @user_action(_("The threshold could not be changed."))
    def _set_threshold(self, threshold: float) -> None:
        if self._state.threshold_moving in (None, threshold):  # else the reader moves it further
            self._state.threshold_moving = None
        lesions, review = self._lesions(), self._review
        if lesions is None:
            return
        review.end_drawing()
        if abs(lesions.threshold - threshold) > 1e-9:
            review.result.set_threshold(threshold)
        else:  # dragged back: the marks, mere outlines meanwhile, are filled again
            review.result.preview_threshold(lesions.threshold)
        review.refresh()

    # Decisions

    def decide(self, word: str, seen: int, clicks: int = 0) -> None:
        """Accepts, rejects or frees the chosen lesion, and goes on to the next undecided one.

        Args:
            word: the decision.
            seen: number of the lesion that stood before the reader.
            clicks: that the browser counts as one, 0 for a key; the second of a double click decides nothing.
        """
        if clicks and clicks % 2 == 0:
            return
        decision, number = Decision(word), int(seen or 0)
        self.turns.take(
            lambda: self._decide(decision, number), self._foreseen(lambda ahead: ahead.decision(number, decision))
        )

    @user_action(_("The decision could not be saved."))
    def _decide(self, decision: Decision, seen: int) -> None:
        review = self._review
        number = review.chosen(seen)
        if number is None:
            return
        review.end_drawing()
        before = review.table.shown()
        review.result.decide(number, decision)
        review.refresh()
        following = review.table.next_undecided(before, number)
        if decision is not Decision.UNDECIDED and following is not None:
            review.show_lesion(following)

    def reject_small(self) -> None:
        """All undecided lesions below the size in the field, as one step."""
        size = self._review.table.smallest_shown()  # as it is now: the field may change before the turn comes
        self.turns.take(lambda: self._reject_small(size))

    @user_action(_("The lesions could not be rejected."))
    def _reject_small(self, size: float) -> None:
        if self._lesions() is None:
            return
        self._review.end_drawing()
        if not self._review.result.reject_below(size):
            self._page.tell(_("No undecided lesion is smaller."))
        self._review.refresh()

    # The way back

    def undo(self) -> None:
        """Takes the last step of the review back."""
        self.turns.take(self._undo, self._foreseen(Foresight.undo))

    @user_action(_("The last step could not be undone."))
    def _undo(self) -> None:
        if self._lesions() is None:
            return
        self._review.end_drawing()
        if not self._review.result.undo():
            self._page.tell(_("There is nothing to undo."))
        self._review.refresh()

    def redo(self) -> None:
        """Does the step again that was taken back last."""
        self.turns.take(self._redo, self._foreseen(Foresight.redo))

    @user_action(_("The step could not be done again."))
    def _redo(self) -> None:
        if self._lesions() is None:
            return
        self._review.end_drawing()
        if not self._review.result.redo():
            self._page.tell(_("There is nothing to do again."))
        self._review.refresh()
