"""Segment Editor effect: a click outlines the lesion it lies on and adds it to the chosen segment; Alt+click takes it away.

Slicer makes the class from this file; what a click outlines is `ClamSegWorkflow.case.outline_in_editor`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
import vtk
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect
from slicer.i18n import tr as _

_PIXELS = 4  # a press and a release farther apart are a drag


class SegmentEditorClamSegEffect(AbstractScriptedSegmentEditorEffect):  # type: ignore[misc]
    """Add lesion, by one click."""

    def __init__(self, scriptedEffect: Any) -> None:
        scriptedEffect.name = "ClamSegLesion"
        scriptedEffect.title = _("ClamSeg lesion")
        scriptedEffect.perSegment = True
        AbstractScriptedSegmentEditorEffect.__init__(self, scriptedEffect)
        self._outlines: Any = None
        self._pressed: tuple[int, int] | None = None

    def clone(self) -> Any:
        """A copy for another Segment Editor widget."""
        copy = slicer.qSlicerSegmentEditorScriptedEffect(None)
        copy.setPythonSource(__file__.replace("\\", "/"))
        return copy

    def icon(self) -> Any:
        """The module's icon."""
        path = Path(__file__).resolve().parents[2] / "Resources" / "Icons" / "ClamSeg.png"
        return qt.QIcon(str(path)) if path.is_file() else qt.QIcon()

    def helpText(self) -> str:
        """Shown below the effect's name."""
        return _(
            "<html>Click on a lesion in a slice view: it is outlined and added to the segment.<br>"
            "<b>Alt+click</b> takes what it outlines away. Dragging is left to the view.<br>"
            "In a result of ClamSeg the model's evidence and the organ count. For research, not for diagnosis.</html>"
        )

    def setupOptionsFrame(self) -> None:
        """Wider and tighter."""
        self._width = qt.QSlider(qt.Qt.Horizontal)
        self._width.minimum, self._width.maximum, self._width.value = -8, 8, 0
        self._width.setToolTip(_("Outlines of the next clicks: tighter to the left, wider to the right"))
        self.scriptedEffect.addLabeledOptionsWidget(_("Width:"), self._width)

    def createCursor(self, widget: Any) -> Any:
        """A cross."""
        return qt.QCursor(qt.Qt.CrossCursor)

    def deactivate(self) -> None:
        """The scan is let go."""
        self._outlines = None

    def processInteractionEvents(self, callerInteractor: Any, eventId: int, viewWidget: Any) -> bool:
        """A click in a slice view; False leaves the event to the view."""
        if viewWidget.className() != "qMRMLSliceWidget":
            return False
        if eventId == vtk.vtkCommand.LeftButtonPressEvent:
            self._pressed = callerInteractor.GetEventPosition()
        elif eventId == vtk.vtkCommand.LeftButtonReleaseEvent and self._pressed is not None:
            at, self._pressed = self._pressed, None
            x, y = callerInteractor.GetEventPosition()
            if abs(x - at[0]) <= _PIXELS and abs(y - at[1]) <= _PIXELS:
                self._click(self.xyToRas((x, y), viewWidget), bool(callerInteractor.GetAltKey()))
        return False

    def _click(self, ras: list[float], takes_away: bool) -> None:
        from ClamSegLib.system.errors import ClamSegError
        from ClamSegWorkflow.case.outline_in_editor import OutlineInEditor
        from ClamSegWorkflow.scene import SceneError

        effect = self.scriptedEffect
        if not effect.confirmCurrentSegmentVisible():
            return
        node = effect.parameterSetNode()
        volume, segmentation = node.GetSourceVolumeNode(), node.GetSegmentationNode()
        try:
            if self._outlines is None or not self._outlines.is_for(volume, segmentation):
                self._outlines = OutlineInEditor(volume, segmentation)
            found = self._outlines.labelmap(ras, int(self._width.value))
        except (SceneError, ClamSegError) as error:
            slicer.util.showStatusMessage(str(error), 5000)
            return
        effect.saveStateForUndo()
        mode = effect.ModificationModeRemove if takes_away else effect.ModificationModeAdd
        effect.modifySelectedSegmentByLabelmap(found, mode)


def register() -> None:
    """Offers the effect in every Segment Editor of this application."""
    effect = slicer.qSlicerSegmentEditorScriptedEffect(None)
    effect.setPythonSource(__file__.replace("\\", "/"))
    effect.self().register()
