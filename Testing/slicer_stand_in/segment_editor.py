"""The Segment Editor module, as far as another module opens it: what is chosen in it, with the real parameter node."""

from __future__ import annotations

from typing import Any

import slicer

from slicer_stand_in import python_qt
from slicer_stand_in.mrml_widgets import qMRMLWidget
from slicer_stand_in.qt_module import qt


class qMRMLSegmentEditorWidget(qMRMLWidget):
    """Keeps what is chosen in a vtkMRMLSegmentEditorNode of the scene; draws nothing."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._effect = ""

    def mrmlSegmentEditorNode(self) -> Any:
        node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentEditorNode")
        return node if node is not None else slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")

    def setSegmentationNode(self, node: Any) -> None:
        self.mrmlSegmentEditorNode().SetAndObserveSegmentationNode(node)

    def segmentationNode(self) -> Any:
        return self.mrmlSegmentEditorNode().GetSegmentationNode()

    def setSourceVolumeNode(self, node: Any) -> None:
        self.mrmlSegmentEditorNode().SetAndObserveSourceVolumeNode(node)

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self.mrmlSegmentEditorNode().SetSelectedSegmentID(segment_id)

    def currentSegmentID(self) -> str:
        return str(self.mrmlSegmentEditorNode().GetSelectedSegmentID() or "")

    def setActiveEffectByName(self, name: str) -> None:
        self._effect = name


class SegmentEditorWidget:
    """The Python widget of the Segment Editor module: others use its `editor` and its `layout`."""

    def __init__(self) -> None:
        self.parent, self.layout = qt.QWidget(), qt.QVBoxLayout()
        self.parent.setLayout(self.layout)
        self.editor = python_qt.wrap(qMRMLSegmentEditorWidget())
        self.layout.addWidget(self.editor)
