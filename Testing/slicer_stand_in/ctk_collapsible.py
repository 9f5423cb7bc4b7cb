"""ctkCollapsibleButton and ctkCollapsibleGroupBox: a header with a triangle, contents that go away.

Behaviour read in commontk/CTK Libs/Widgets/ctkCollapsibleButton.cpp and ctkCollapsibleGroupBox.cpp.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, QEvent, QRect, QSize, Qt, Signal
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QGroupBox,
    QSizePolicy,
    QStyle,
    QStyleOption,
    QStyleOptionButton,
    QStylePainter,
    QWidget,
)

HIDDEN_BY_PROGRAM = "hiddenByProgram"


class _Contents:
    """Hides the child widgets while collapsed, and remembers which of them were hidden anyway."""

    def __init__(self, owner: QWidget) -> None:
        self._owner = owner
        self._collapsing = False

    def children(self) -> list[QWidget]:
        return [child for child in self._owner.children() if isinstance(child, QWidget)]

    def show(self, visible: bool) -> None:
        self._collapsing = True
        for child in self.children():
            child.setVisible(visible and not child.property(HIDDEN_BY_PROGRAM))
        self._collapsing = False

    def watch(self, child: Any, event: QEvent, collapsed: bool) -> None:
        """A child that is shown or hidden by the program stays so after the next opening."""
        if self._collapsing or not isinstance(child, QWidget):
            return
        if event.type() == QEvent.Type.HideToParent:
            child.setProperty(HIDDEN_BY_PROGRAM, True)
        elif event.type() == QEvent.Type.ShowToParent:
            child.setProperty(HIDDEN_BY_PROGRAM, False)
            if collapsed:
                self._collapsing = True
                child.setVisible(False)
                self._collapsing = False


class ctkCollapsibleButton(QAbstractButton):
    contentsCollapsed = Signal(bool)

    def __init__(self, *arguments: Any) -> None:
        parent = arguments[-1] if arguments and isinstance(arguments[-1], QWidget) else None
        super().__init__(parent)
        self._contents = _Contents(self)
        self._collapsed, self._collapsed_height, self._flat = False, 14, False
        self._full_height = self.maximumHeight()
        self.setCheckable(True)
        self.setChecked(True)
        if arguments and isinstance(arguments[0], str):
            self.setText(arguments[0])
        self.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, self._header_size().height(), 0, 0)
        self.setBackgroundRole(self.palette().ColorRole.Window)
        self.toggled.connect(self._toggled)

    def _header_size(self) -> QSize:
        option = QStyleOptionButton()
        option.initFrom(self)
        text = self.fontMetrics().size(Qt.TextFlag.TextShowMnemonic, self.text() or "Xg")
        icon = self.style().pixelMetric(QStyle.PixelMetric.PM_IndicatorHeight)
        size = QSize(text.width() + icon + 12, max(text.height(), icon))
        return self.style().sizeFromContents(QStyle.ContentsType.CT_PushButton, option, size, self)

    def _toggled(self, checked: bool) -> None:
        collapsed = not checked
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        if collapsed:
            self._full_height = self.maximumHeight()
            self.setMaximumHeight(self._header_size().height())
        else:
            self.setMaximumHeight(self._full_height)
        self._contents.show(not collapsed)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    def childEvent(self, event: Any) -> None:
        child = event.child()
        if event.type() == QEvent.Type.ChildAdded and isinstance(child, QWidget):
            child.installEventFilter(self)
        super().childEvent(event)

    def eventFilter(self, watched: Any, event: QEvent) -> bool:
        self._contents.watch(watched, event, self._collapsed)
        return False

    def sizeHint(self) -> QSize:
        header = self._header_size()
        return header if self._collapsed else QWidget.sizeHint(self).expandedTo(header)

    def minimumSizeHint(self) -> QSize:
        header = self._header_size()
        return header if self._collapsed else QWidget.minimumSizeHint(self).expandedTo(header)

    def hitButton(self, position: Any) -> bool:
        return bool(position.y() < self._header_size().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, height = QStylePainter(self), self._header_size().height()
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect = QRect(0, 0, self.width(), height)
        option.state |= QStyle.StateFlag.State_Sunken if self.isDown() else QStyle.StateFlag.State_Raised
        painter.drawControl(QStyle.ControlElement.CE_PushButtonBevel, option)
        arrow = QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QRect(6, (height - 9) // 2, 9, 9)
        kind = QStyle.PrimitiveElement.PE_IndicatorArrowRight
        if not self._collapsed:
            kind = QStyle.PrimitiveElement.PE_IndicatorArrowDown
        painter.drawPrimitive(kind, arrow)
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextShowMnemonic
        painter.drawText(QRect(22, 0, self.width() - 26, height), int(flags), self.text())

    def _set_collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    def _set_height(self, height: int) -> None:
        self._collapsed_height = height

    def _set_flat(self, flat: bool) -> None:
        self._flat = flat

    collapsed = Property(bool, lambda self: self._collapsed, _set_collapsed)
    collapsedHeight = Property(int, lambda self: self._collapsed_height, _set_height)
    flat = Property(bool, lambda self: self._flat, _set_flat)


class ctkCollapsibleGroupBox(QGroupBox):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._contents = _Contents(self)
        self._collapsed_height = 14
        self.setCheckable(True)
        self.setChecked(True)
        self._full_height = self.maximumHeight()
        self.toggled.connect(self._toggled)

    def _toggled(self, checked: bool) -> None:
        if checked:
            self.setMaximumHeight(self._full_height)
        else:
            self._full_height = self.maximumHeight()
            self.setMaximumHeight(self.fontMetrics().height() + 6)
        self._contents.show(checked)
        self.updateGeometry()

    def childEvent(self, event: Any) -> None:
        child = event.child()
        if event.type() == QEvent.Type.ChildAdded and isinstance(child, QWidget):
            child.installEventFilter(self)
        super().childEvent(event)

    def eventFilter(self, watched: Any, event: QEvent) -> bool:
        self._contents.watch(watched, event, not self.isChecked())
        return False

    def minimumSizeHint(self) -> QSize:
        if not self.isChecked():
            return QSize(0, self.fontMetrics().height() + 6)
        return super().minimumSizeHint()

    def sizeHint(self) -> QSize:
        if not self.isChecked():
            return QSize(super().sizeHint().width(), self.fontMetrics().height() + 6)
        return super().sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, height = QStylePainter(self), self.fontMetrics().height() + 4
        if self.isChecked():
            frame = QStyleOption()
            frame.initFrom(self)
            painter.setPen(self.palette().mid().color())
            painter.drawRect(QRect(0, height // 2, self.width() - 1, self.height() - height // 2 - 1))
        painter.fillRect(
            QRect(6, 0, self.fontMetrics().horizontalAdvance(self.title()) + 26, height), self.palette().window()
        )
        arrow = QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QRect(8, (height - 9) // 2, 9, 9)
        down = QStyle.PrimitiveElement.PE_IndicatorArrowDown
        painter.drawPrimitive(down if self.isChecked() else QStyle.PrimitiveElement.PE_IndicatorArrowRight, arrow)
        painter.setPen(self.palette().windowText().color())
        painter.drawText(QRect(22, 0, self.width() - 26, height), int(Qt.AlignmentFlag.AlignVCenter), self.title())

    def _set_collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    def _set_height(self, height: int) -> None:
        self._collapsed_height = height

    collapsed = Property(bool, lambda self: not self.isChecked(), _set_collapsed)
    collapsedHeight = Property(int, lambda self: self._collapsed_height, _set_height)
