"""Slicer's own Segment Editor, opened on one segment of a result, with a way back to the review."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _


class SegmentEditor:
    """Opens the editor; while a lesion is drawn there, a button above it leads back."""

    def __init__(self) -> None:
        self._button: Any = None

    def open(self, segmentation: Any, volume: Any, segment_id: str) -> None:
        """Shows the editor with the segment chosen, painting over no other segment.

        Args:
            segmentation: our result.
            volume: the scan it was drawn on.
            segment_id: of the lesion.
        """
        slicer.util.selectModule("SegmentEditor")
        module = slicer.util.getModuleWidget("SegmentEditor")
        self._offer_way_back(module)
        editor = module.editor
        editor.setSegmentationNode(segmentation)
        editor.setSourceVolumeNode(volume)
        editor.setCurrentSegmentID(segment_id)
        settings = editor.mrmlSegmentEditorNode()
        if settings is not None:
            settings.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteNone)
        editor.setActiveEffectByName("Paint")

    def left(self) -> None:
        """The reader is back, or the window goes: the editor is as Slicer made it."""
        button, self._button = self._button, None
        if button is None:
            return
        try:
            button.hide()
            button.deleteLater()
        except ValueError:
            pass  # the Segment Editor was reloaded, and took the button with it

    def _offer_way_back(self, module: Any) -> None:
        self.left()
        button = qt.QPushButton(_("Back to review"))
        button.objectName = "ClamSegBackToReview"
        button.toolTip = _("Takes over what was drawn and goes on in ClamSeg")
        button.setAccessibleName(button.text)
        module.layout.insertWidget(0, button)
        button.connect("clicked(bool)", self._go_back)
        self._button = button

    def _go_back(self, checked: bool = False) -> None:
        slicer.util.selectModule("ClamSeg")
