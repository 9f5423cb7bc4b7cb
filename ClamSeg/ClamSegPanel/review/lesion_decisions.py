"""The reader decides on lesions: accepts, rejects, edits, adds, and takes a step back or does it again."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from ClamSegPanel.quick_clicks import QuickClicks
from ClamSegPanel.review.segment_editor import SegmentEditor
from ClamSegPanel.user_action import user_action
from ClamSegWorkflow.case.lesion_row import Decision


class LesionDecisions:
    """The buttons below the lesion table.

    Args:
        review: the section whose result and table they act on.
        editor: opens a lesion for drawing.

    Attributes:
        keys: key -> what it does.
    """

    def __init__(self, panel: Any, review: Any, editor: SegmentEditor) -> None:
        self._panel, self._ui, self._review, self._editor = panel, panel.ui, review, editor
        self.keys = {"A": self.accept, "R": self.reject, "E": self.edit, "U": self.undo, "Y": self.redo}
        ui = self._ui
        self._quick = QuickClicks(ui.acceptButton, ui.rejectButton)
        for button, action in (
            (ui.acceptButton, self._click_of(self.accept)), (ui.rejectButton, self._click_of(self.reject)),
            (ui.editButton, self.edit), (ui.addButton, self.add), (ui.resetButton, self.reset), (ui.undoButton, self.undo),
            (ui.redoButton, self.redo), (ui.rejectSmallButton, self.reject_small),
        ):  # fmt: skip
            button.connect("clicked(bool)", action)

    def _click_of(self, decide: Any) -> Any:
        """A decision goes on to the next lesion, which the second click of a double click must not decide on unseen."""

        def clicked(_checked: bool = False) -> None:
            if not self._quick.is_second():
                decide()
                self._quick.done()

        return clicked

    def accept(self, checked: bool = False) -> None:
        """Accepts the chosen lesion."""
        self._decide(Decision.ACCEPTED)

    def reject(self, checked: bool = False) -> None:
        """Rejects the chosen lesion."""
        self._decide(Decision.REJECTED)

    def reset(self, checked: bool = False) -> None:
        """Frees the chosen lesion."""
        self._decide(Decision.UNDECIDED)

    @user_action(_("The decision could not be saved."))
    def _decide(self, decision: Decision) -> None:
        number = self._review.chosen()
        if number is None:
            return
        before = self._review.shown_rows()
        self._review.result.decide(number, decision)
        self._review.refresh()
        following = self._review.next_undecided(before, number) if decision is not Decision.UNDECIDED else None
        if following is not None:
            self._review.show_lesion(following)

    @user_action(_("The lesion could not be opened in the Segment Editor."))
    def edit(self, checked: bool = False) -> None:
        """Opens the chosen lesion in the Segment Editor."""
        number = self._review.chosen()
        if number is None:
            return
        segment_id = self._review.result.begin_edit(number)
        self._review.refresh()
        self._editor.open(self._review.result.segmentation, self._review.result.volume, segment_id)

    @user_action(_("The lesion could not be added."))
    def add(self, checked: bool = False) -> None:
        """Opens an empty lesion in the Segment Editor."""
        if not self._has_lesions():
            return
        result = self._review.result
        condition = self._condition_to_add(result)
        if condition is None:
            return
        self._review.go_back_to(result)  # a run may have brought another one while the dialog asked
        segment_id = result.begin_lesion(condition)
        self._editor.open(result.segmentation, result.volume, segment_id)

    def _condition_to_add(self, result: Any) -> str | None:
        conditions = list(result.lesions.conditions)
        if len(conditions) == 1:
            return conditions[0]
        # QInputDialog.getItem would give the first condition when the reader cancels.
        dialog = qt.QInputDialog()
        dialog.windowTitle = _("Add lesion")
        dialog.setLabelText(_("Condition:"))
        names = result.condition_names()
        dialog.setComboBoxItems([names[condition] for condition in conditions])
        if dialog.exec_() != qt.QDialog.Accepted:
            return None
        chosen = str(dialog.textValue())
        return next((condition for condition in conditions if names[condition] == chosen), None)

    @user_action(_("The last step could not be undone."))
    def undo(self, checked: bool = False) -> None:
        """Takes the last step back."""
        if not self._has_lesions():
            return
        if not self._review.result.undo():
            self._panel.log(_("There is nothing to undo."))
        self._review.refresh()

    @user_action(_("The step could not be done again."))
    def redo(self, checked: bool = False) -> None:
        """Does the step again that was taken back last."""
        if not self._has_lesions():
            return
        if not self._review.result.redo():
            self._panel.log(_("There is nothing to do again."))
        self._review.refresh()

    def _has_lesions(self) -> bool:
        return self._review.result is not None and self._review.result.lesions is not None

    @user_action(_("The lesions could not be rejected."))
    def reject_small(self, checked: bool = False) -> None:
        """Rejects what is smaller than the box says."""
        if not self._has_lesions():
            return
        minimum = float(self._ui.minimumSizeBox.value)
        if not self._review.result.reject_below(minimum):
            self._panel.log(_("No undecided lesion is smaller."))
        self._review.refresh()
