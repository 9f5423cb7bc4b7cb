"""qMRMLCheckableNodeComboBox, on the real MRML scene.

Behaviour read in Slicer/Slicer Libs/MRML/Widgets/qMRMLCheckableNodeComboBox.cxx.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QWidget

from slicer_stand_in.mrml_widgets import qMRMLNodeComboBox


class qMRMLCheckableNodeComboBox(qMRMLNodeComboBox):
    """Nodes with a tick each; the combo box shows the names of the ticked ones."""

    checkedNodesChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        self._checked: list[str] = []
        super().__init__(parent)
        self.combo.setModel(QStandardItemModel(self.combo))

    def list_changed(self, nodes: list[Any]) -> None:
        there = [node.GetID() for node in nodes]
        gone = [each for each in self._checked if each not in there]
        self._checked = [each for each in self._checked if each in there]
        self._show_ticks()
        if gone:
            self.checkedNodesChanged.emit()

    def _show_ticks(self) -> None:
        model = self.combo.model()
        for row, node_id in enumerate(self._ids):
            item = model.item(row) if isinstance(model, QStandardItemModel) else None
            if isinstance(item, QStandardItem) and node_id:
                item.setCheckState(Qt.CheckState.Checked if node_id in self._checked else Qt.CheckState.Unchecked)

    def setCheckState(self, node: Any, state: Any) -> None:
        node_id, checked = node.GetID(), state not in (Qt.CheckState.Unchecked, 0)
        if checked == (node_id in self._checked):
            return
        self._checked = [*self._checked, node_id] if checked else [each for each in self._checked if each != node_id]
        self._show_ticks()
        self.checkedNodesChanged.emit()

    def check(self, node: Any) -> None:
        self.setCheckState(node, Qt.CheckState.Checked)

    def uncheck(self, node: Any) -> None:
        self.setCheckState(node, Qt.CheckState.Unchecked)

    def checkedNodes(self) -> list[Any]:
        return [self._scene.GetNodeByID(each) for each in self._ids if each in self._checked]
