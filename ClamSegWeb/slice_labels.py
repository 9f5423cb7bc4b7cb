"""The slice in view: its number, and the reader's label of it."""

from __future__ import annotations

from typing import Any

import vtk

from ClamSegWeb.user_action import user_action
from ClamSegWorkflow.case.result_views import plane_view, slice_in_view
from ClamSegWorkflow.words import tr as _


class SliceLabels:
    """Follows the view that shows the slices of the model's plane, and labels the one that stands there.

    Args:
        page: the Page.
        review: the ReviewSection, whose result it is.
    """

    def __init__(self, page: Any, review: Any) -> None:
        self._page, self._state, self._review = page, page.state, review
        self._observed: list[tuple[Any, int]] = []
        self._state.update({"slice_words": "", "slice_mark": "", "marked_slices": 0})

    def follow(self) -> None:
        """A result with lesions is shown: its slices are told from now on."""
        result = self._review.result
        if result.lesions is None:
            return
        node = self._page.views.scene.GetNodeByID(f"vtkMRMLSliceNode{plane_view(result)}")
        if node is not None:
            self._observed.append((node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self.tell())))

    def let_go(self) -> None:
        """Another result comes, or none."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed.clear()

    def tell(self) -> None:
        """Number and label of the slice in view, and how many have one."""
        result = self._review.result
        index = slice_in_view(result)
        if index is None:
            self._state.slice_words, self._state.slice_mark = "", ""
            return
        self._state.slice_words = self._words(index)
        self._state.slice_mark = result.marks.get(index, "")
        self._state.marked_slices = len(result.marks)

    def _words(self, index: int) -> str:
        return str(_("Slice {n} of {all}").format(n=index + 1, all=self._review.result.lesions.n_slices))

    @user_action(_("The slice could not be labelled."))
    def mark(self, word: str, seen: str, clicks: int = 0) -> None:
        """Marks the slice in view.

        Args:
            word: normal, diseased or unsure; '' takes the mark away.
            seen: the words on the slice that stood before the reader; while the wheel turns, another one may be here already.
            clicks: that the browser counts as one, 0 for a key; the second of a double click changes nothing.
        """
        if clicks and clicks % 2 == 0:
            return
        result = self._review.result
        index = slice_in_view(result)
        if index is None:
            self._page.failed(_("The view shows no slice of this scan."))
            return
        if seen != self._words(index):
            self._page.failed(_("The view has moved on, and no slice was labelled; label it again."))
            return
        self._review.decisions.turns.take(lambda: self._mark(result, index, word))

    @user_action(_("The slice could not be labelled."))
    def _mark(self, result: Any, index: int, word: str) -> None:
        result.mark(index, word)
        self.tell()
        self._review.tell_steps()
