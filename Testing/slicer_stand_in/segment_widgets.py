"""qMRMLSegmentSelectorWidget and qMRMLSegmentsTableView on real segmentation nodes."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6.QtCore import Property, QItemSelection, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from slicer_stand_in.mrml_widgets import qMRMLNodeComboBox, qMRMLWidget
from slicer_stand_in.scene_observer import SceneObserver


def segment_ids(node: Any) -> list[str]:
    """Ids of the segments of a segmentation node, none for None."""
    segmentation = node.GetSegmentation() if node is not None else None
    if segmentation is None:
        return []
    return [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]


class _Watched:
    """Calls `refresh` when the segments or the display of the node change."""

    def __init__(self, refresh: Any) -> None:
        self._refresh, self._observer = refresh, None

    def watch(self, node: Any) -> None:
        if self._observer is not None:
            self._observer.forget()
            self._observer = None
        if node is None or node.GetScene() is None:
            return
        self._observer = SceneObserver(node.GetScene(), self._refresh)
        kinds = slicer.vtkSegmentation
        for event in (kinds.SegmentAdded, kinds.SegmentRemoved, kinds.SegmentModified):
            self._observer.also(node.GetSegmentation(), event)
        if node.GetDisplayNode() is not None:
            self._observer.also(node.GetDisplayNode(), "ModifiedEvent")


class qMRMLSegmentSelectorWidget(qMRMLWidget):
    """A segmentation and one of its segments."""

    currentNodeChanged = Signal(object)
    currentNodeIsThere = Signal(bool)
    currentSegmentChanged = Signal(str)
    SIGNAL_OF = {"currentNodeChanged(bool)": "currentNodeIsThere"}

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.nodes = qMRMLNodeComboBox(self)
        self.nodes.setProperty("nodeTypes", ["vtkMRMLSegmentationNode"])
        self.nodes.setProperty("noneEnabled", True)
        self.segments = QComboBox(self)
        self._ids: list[str] = []
        self._none = False
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.nodes, 1)
        layout.addWidget(self.segments, 1)
        self._watched = _Watched(self._refresh)
        self.nodes.currentNodeChanged.connect(self._node_changed)
        self.segments.currentIndexChanged.connect(
            lambda _index: self.currentSegmentChanged.emit(self.currentSegmentID())
        )

    def scene_changed(self) -> None:
        self.nodes.setMRMLScene(self.mrmlScene())

    def _node_changed(self, node: Any) -> None:
        self._watched.watch(node)
        self._refresh()
        self.currentNodeChanged.emit(node)
        self.currentNodeIsThere.emit(node is not None)

    def _refresh(self) -> None:
        node, kept = self.currentNode(), self.currentSegmentID()
        ids = segment_ids(node)
        if ids == self._ids:
            return
        self._ids = ids
        self.segments.blockSignals(True)
        self.segments.clear()
        self.segments.addItems([node.GetSegmentation().GetSegment(each).GetName() for each in ids])
        self.segments.setCurrentIndex(ids.index(kept) if kept in ids else 0 if ids else -1)
        self.segments.blockSignals(False)
        if self.currentSegmentID() != kept:
            self.currentSegmentChanged.emit(self.currentSegmentID())

    def currentNode(self) -> Any:
        return self.nodes.currentNode()

    def currentNodeID(self) -> str:
        node = self.currentNode()
        return node.GetID() if node is not None else ""

    def setCurrentNode(self, node: Any) -> None:
        self.nodes.setCurrentNode(node)

    def setCurrentNodeID(self, node_id: str) -> None:
        self.nodes.setCurrentNodeID(node_id)

    def currentSegmentID(self) -> str:
        index = self.segments.currentIndex()
        return self._ids[index] if 0 <= index < len(self._ids) else ""

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self.segments.setCurrentIndex(self._ids.index(segment_id) if segment_id in self._ids else -1)

    def _set_none(self, enabled: bool) -> None:
        self._none = enabled

    noneEnabled = Property(bool, lambda self: self._none, _set_none)


_COLUMNS = ("visibilityColumnVisible", "colorColumnVisible", "opacityColumnVisible", "", "statusColumnVisible")


def _eye() -> QPixmap:
    """The open eye that Slicer shows beside what is visible."""
    pixels = QPixmap(16, 16)
    pixels.fill(Qt.GlobalColor.transparent)
    with QPainter(pixels) as painter:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.drawEllipse(1, 4, 14, 8)
        painter.setBrush(Qt.GlobalColor.black)
        painter.drawEllipse(6, 6, 4, 4)
    return pixels


class qMRMLSegmentsTableView(qMRMLWidget):
    """One row a segment: shown or not, colour, opacity, name, state."""

    selectionChanged = Signal(QItemSelection, QItemSelection)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._filling = False
        self._watched = _Watched(self._refresh)
        self._columns = dict.fromkeys(_COLUMNS, True)
        self._read_only = False
        self.table = QTableWidget(0, 5, self)
        self.table.setHorizontalHeaderLabels(["", "", "Opacity", "Name", ""])
        self._eye = QIcon(_eye())
        self.table.horizontalHeaderItem(0).setIcon(self._eye)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        for column, width in ((0, 28), (1, 28), (2, 60), (4, 24)):
            self.table.setColumnWidth(column, width)
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        self.table.itemChanged.connect(self._edited)
        self.table.cellClicked.connect(self._clicked)
        self.table.selectionModel().selectionChanged.connect(self.selectionChanged)

    def sizeHint(self) -> QSize:
        return QSize(200, 120)

    def setSegmentationNode(self, node: Any) -> None:
        self._node = node
        self._watched.watch(node)
        self._refresh()

    def segmentationNode(self) -> Any:
        return self._node

    def _refresh(self) -> None:
        ids = segment_ids(self._node)
        display = self._node.GetDisplayNode() if self._node is not None else None
        self._filling = True
        self.table.setRowCount(len(ids))
        for row, segment_id in enumerate(ids):
            segment = self._node.GetSegmentation().GetSegment(segment_id)
            shown = display is None or display.GetSegmentVisibility(segment_id)
            opacity = display.GetSegmentOpacity3D(segment_id) if display is not None else 1.0
            for column, text in enumerate(("", "", f"{opacity:.2f}", segment.GetName(), "")):
                self.table.setItem(row, column, QTableWidgetItem(text))
            if shown:
                self.table.item(row, 0).setIcon(self._eye)
            pixels = QPixmap(12, 12)
            pixels.fill(QColor.fromRgbF(*segment.GetColor()))
            self.table.item(row, 1).setIcon(pixels)
        self._filling = False

    def _edited(self, item: QTableWidgetItem) -> None:
        if self._filling or self._node is None or item.column() not in (2, 3):
            return
        segment_id = segment_ids(self._node)[item.row()]
        if item.column() == 3:
            self._node.GetSegmentation().GetSegment(segment_id).SetName(item.text())
        else:
            self._node.GetDisplayNode().SetSegmentOpacity3D(segment_id, float(item.text()))

    def _clicked(self, row: int, column: int) -> None:
        if column == 0 and self._node is not None and self._node.GetDisplayNode() is not None:
            display, segment_id = self._node.GetDisplayNode(), segment_ids(self._node)[row]
            display.SetSegmentVisibility(segment_id, not display.GetSegmentVisibility(segment_id))

    def clearSelection(self) -> None:
        self.table.clearSelection()

    def tableWidget(self) -> QTableWidget:
        return self.table

    def _column(name: str) -> Any:
        def write(self: Any, visible: bool) -> None:
            self._columns[name] = visible
            self.table.setColumnHidden(_COLUMNS.index(name), not visible)

        return Property(bool, lambda self: self._columns[name], write)

    def _set_mode(self, mode: int) -> None:
        self.table.setSelectionMode(QTableWidget.SelectionMode(mode))

    def _set_read_only(self, read_only: bool) -> None:
        self._read_only = read_only
        triggers = QTableWidget.EditTrigger
        self.table.setEditTriggers(triggers.NoEditTriggers if read_only else triggers.DoubleClicked)

    visibilityColumnVisible = _column("visibilityColumnVisible")
    colorColumnVisible = _column("colorColumnVisible")
    opacityColumnVisible = _column("opacityColumnVisible")
    statusColumnVisible = _column("statusColumnVisible")
    selectionMode = Property(int, lambda self: self.table.selectionMode().value, _set_mode)
    readOnly = Property(bool, lambda self: self._read_only, _set_read_only)
