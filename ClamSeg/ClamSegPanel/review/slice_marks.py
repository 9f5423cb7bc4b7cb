"""Marks of single slices: normal, diseased or unsure, for the slice that the reader sees."""

from __future__ import annotations

from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from ClamSegPanel.user_action import user_action
from ClamSegWorkflow.case.result_views import plane_view, slice_in_view

_PAUSE_MS = 150


class SliceMarks:
    """The three buttons and the line beside them; they follow the view that shows the model's plane."""

    def __init__(self, panel: Any, review: Any) -> None:
        self._panel, self._ui, self._review = panel, panel.ui, review
        self._observed: tuple[Any, int] | None = None
        self._buttons = {
            "normal": self._ui.markNormalButton,
            "diseased": self._ui.markDiseasedButton,
            "unsure": self._ui.markUnsureButton,
        }
        for word, button in self._buttons.items():
            button.connect("clicked(bool)", self._marker(word))
        # A view tells every mouse move; the line is written again when it rests.
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.connect("timeout()", self.show)

    def follow(self, result: Any) -> None:
        """Follows the view that shows this result's slices."""
        self.close()
        if result.lesions is None:
            return
        node = slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNode{plane_view(result)}")
        if node is not None:
            self._observed = (node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._moved))

    def close(self) -> None:
        """Follows no view any more."""
        self._timer.stop()
        if self._observed is not None:
            node, tag = self._observed
            node.RemoveObserver(tag)
            self._observed = None

    def enable(self, possible: bool) -> None:
        """Greys the buttons where there is nothing to mark."""
        for button in self._buttons.values():
            button.enabled = possible

    def show(self) -> None:
        """Number of the slice in view, and its mark."""
        result = self._review.result
        index = slice_in_view(result)
        if result is None or index is None:
            self._ui.sliceMarkLabel.text = _("Slice:")
            for button in self._buttons.values():
                button.checked = False
            return
        marked = len(result.marks)
        words = _("Slice {n} of {all}:").format(n=index + 1, all=result.lesions.n_slices)
        self._ui.sliceMarkLabel.text = words
        self._ui.sliceMarkLabel.toolTip = _("{n} slices are labelled.").format(n=marked)
        for word, button in self._buttons.items():
            button.checked = result.marks.get(index) == word

    def _moved(self, caller: Any, event: Any) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _marker(self, word: str) -> Any:
        def mark(_checked: bool = False) -> None:
            self._mark(word)

        return mark

    @user_action(_("The slice could not be labelled."))
    def _mark(self, word: str) -> None:
        result = self._review.result
        index = slice_in_view(result)
        if result is None or index is None:
            self._panel.failed(_("The view shows no slice of this scan."))
            self.show()
            return
        result.mark(index, "" if result.marks.get(index) == word else word)
        self.show()
