"""Words over the views: which slice each one shows, and what lies under the cursor."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

from ClamSegWeb.scene_views import ORIENTATIONS
from ClamSegWeb.user_action import user_action
from ClamSegWorkflow.case.view_facts import slice_number, words_at
from ClamSegWorkflow.scene.views import jump_to
from ClamSegWorkflow.scene.volume_facts import facts_of
from ClamSegWorkflow.words import tr as _


class ViewWords:
    """Follows the slice views, the window and the mouse."""

    def __init__(self, page: Any) -> None:
        self._page, self._state = page, page.state
        self._scene = page.views.scene
        self._is_hu = False
        self._display: tuple[Any, int] | None = None
        self._waits = False
        self._state.update({"slice_of": dict.fromkeys(ORIENTATIONS, ""), "cursor_words": "", "window_words": ""})
        page.server.trigger("cross_here")(self.cross_here)
        for name in ORIENTATIONS:
            self._scene.GetNodeByID(f"vtkMRMLSliceNode{name}").AddObserver(
                vtk.vtkCommand.ModifiedEvent, lambda *_given: self._soon()
            )
        self._cross = self._scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        self._cross.AddObserver(
            slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent, lambda *_given: self._tell_cursor()
        )

    @user_action(_("The views could not be moved."))
    def cross_here(self) -> None:
        """A click in a view: the others go to the point under the mouse, and the cross marks it."""
        ras = [0.0, 0.0, 0.0]
        if self._page.input.current is not None and self._cross.GetCursorPositionRAS(ras):
            jump_to(self._scene, ras)
            self._page.views.show_cross(True)

    def follow(self, case: Any) -> None:
        """Another scan is shown, or none."""
        if self._display is not None:
            node, tag = self._display
            node.RemoveObserver(tag)
            self._display = None
        self._state.cursor_words = ""
        if case is not None:
            volume = case.scan.volume
            self._is_hu = facts_of(self._scene, volume).is_hu
            node = volume.GetDisplayNode()
            tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_given: self._soon())
            self._display = (node, tag)
        self._soon()

    def _soon(self) -> None:
        """Once for the many events of one movement."""
        if not self._waits:
            self._waits = True
            self._page.later(self._tell)

    def _tell(self) -> None:
        self._waits = False
        case = self._page.input.current
        if case is None:
            self._state.slice_of, self._state.window_words = dict.fromkeys(ORIENTATIONS, ""), ""
            return
        volume = case.scan.volume
        told = {}
        for name, plane in ORIENTATIONS.items():
            found = slice_number(self._scene, volume, name, plane.lower())
            told[name] = "" if found is None else f"{found[0]} / {found[1]}"
        self._state.slice_of = told
        display = volume.GetDisplayNode()
        self._state.window_words = window_words(display.GetWindow(), display.GetLevel())

    def _tell_cursor(self) -> None:
        case, ras = self._page.input.current, [0.0, 0.0, 0.0]
        words = ""
        if case is not None and self._cross.GetCursorPositionRAS(ras):
            words = words_at(case.scan.volume, ras, case.result, is_hu=self._is_hu)
        if words != self._state.cursor_words:
            self._state.cursor_words = words


def window_words(width: float, centre: float) -> str:
    """Width and centre as read on any other workstation: whole numbers, more digits only where grey values are small.

    Adding 0 takes the sign from a zero.
    """
    digits = 0 if abs(width) >= 20 else 3
    return " ".join(f"{letter} {round(value, digits) + 0.0:.10g}" for letter, value in (("W", width), ("L", centre)))
