"""qMRMLSegmentationShow3DButton on a real segmentation node."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6.QtCore import Property
from PySide6.QtWidgets import QPushButton


class qMRMLSegmentationShow3DButton(QPushButton):
    """Makes the closed surface and shows it, or takes it away."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._node: Any = None
        self._locked = False
        self.setCheckable(True)
        self.setEnabled(False)
        self.toggled.connect(self._show)

    def setSegmentationNode(self, node: Any) -> None:
        self._node = node
        self.setEnabled(node is not None)
        self.blockSignals(True)
        name = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
        self.setChecked(node is not None and node.GetSegmentation().ContainsRepresentation(name))
        self.blockSignals(False)

    def segmentationNode(self) -> Any:
        return self._node

    def _show(self, shown: bool) -> None:
        if self._node is None:
            return
        if shown:
            self._node.CreateClosedSurfaceRepresentation()
        else:
            self._node.RemoveClosedSurfaceRepresentation()

    def setLocked(self, locked: bool) -> None:
        self._locked = locked

    locked = Property(bool, lambda self: self._locked, setLocked)
