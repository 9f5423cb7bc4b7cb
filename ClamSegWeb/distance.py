"""Distances: two clicks in a slice view, one line with its length in mm."""

from __future__ import annotations

from typing import Any

import slicer

from ClamSegWorkflow.scene.scan_facts import reading_of
from ClamSegWorkflow.words import tr as _

_POINTS = 2


class Distances:
    """Lines that a reader drew; they belong to the scan that is shown and to no result."""

    def __init__(self, page: Any) -> None:
        self._page, self._state = page, page.state
        self._logic = page.views.app.markups_logic
        self._interaction = page.views.app.app_logic.GetInteractionNode()
        self._lines: list[Any] = []
        self._state.update({"measuring": False, "distances": 0})

    def toggle(self) -> None:
        """Begins a line, or gives up the one that was begun."""
        if self._state.measuring:
            self._stop()
            return
        case = self._page.input.current
        if case is None:
            return
        self._page.review.stop_drawing()
        self._page.review.clicks.stop()
        self._page.review.clicks.stop()
        line = self._page.views.scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Distance")
        line.CreateDefaultDisplayNodes()
        self._dress(line, reading_of(case.scan.volume).spacing_known)
        line.AddObserver(slicer.vtkMRMLMarkupsNode.PointPositionDefinedEvent, lambda *_given: self._placed(line))
        self._lines.append(line)
        self._logic.place_node(line)
        self._state.measuring = True

    def clear(self) -> None:
        """Takes all lines away: another scan is shown, or the reader asked for it."""
        self._stop()
        for line in self._lines:
            self._page.views.scene.RemoveNode(line)
        self._lines.clear()
        self._state.distances = 0

    def _placed(self, line: Any) -> None:
        if line.GetNumberOfDefinedControlPoints() >= _POINTS:
            self._page.later(self._stop)

    def _stop(self) -> None:
        """Back to the window tool; a line of one point goes."""
        self._interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.AdjustWindowLevel)
        for line in [each for each in self._lines if each.GetNumberOfDefinedControlPoints() < _POINTS]:
            self._lines.remove(line)
            self._page.views.scene.RemoveNode(line)
        self._state.measuring, self._state.distances = False, len(self._lines)

    def _dress(self, line: Any, in_mm: bool) -> None:
        display = line.GetDisplayNode()
        display.SetSelectedColor(1.0, 0.92, 0.3)
        display.SetTextScale(3.2)
        display.SetGlyphScale(1.6)
        display.SetPropertiesLabelVisibility(True)
        length = line.GetMeasurement("length")
        # Without a spacing the picture's own pixels are the only measure there is.
        length.SetUnits("mm" if in_mm else "px")
        length.SetPrintFormat("%-#4.1f %s" if in_mm else "%.0f %s")
        line.SetName(_("Distance"))
