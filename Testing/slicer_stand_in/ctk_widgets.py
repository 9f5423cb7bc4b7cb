"""ctkSliderWidget and ctkPathLineEdit: near enough for tests and pictures.

Behaviour read in commontk/CTK Libs/Widgets/ctkSliderWidget.cpp and ctkPathLineEdit.cpp.
"""

from __future__ import annotations

import enum
from typing import Any

from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QSizePolicy,
    QSlider,
    QToolButton,
    QWidget,
)

_TICKS = 10_000


class ctkSliderWidget(QWidget):
    """A slider and a spin box. Without tracking the value counts when the slider is let go."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    decimalsChanged = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tracking, self._changing, self._before, self._moving = True, False, 0.0, False
        self.slider = QSlider(Qt.Orientation.Horizontal, self)
        self.slider.setRange(0, _TICKS)
        self.spin_box = QDoubleSpinBox(self)
        self.spin_box.setRange(0.0, 99.0)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.spin_box)
        self.setFocusProxy(self.slider)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.spin_box.valueChanged.connect(self._value_changed)
        self.slider.valueChanged.connect(self._slider_moved)
        self.slider.sliderPressed.connect(self._pressed)
        self.slider.sliderReleased.connect(self._released)

    def _slider_moved(self, tick: int) -> None:
        if not self._moving:
            low, high = self.spin_box.minimum(), self.spin_box.maximum()
            self.spin_box.setValue(low + (high - low) * tick / _TICKS)

    def _place_slider(self) -> None:
        low, high = self.spin_box.minimum(), self.spin_box.maximum()
        self._moving = True
        self.slider.setValue(round(_TICKS * (self.spin_box.value() - low) / (high - low)) if high > low else 0)
        self._moving = False

    def _value_changed(self, value: float) -> None:
        self._place_slider()
        if not self._tracking:
            self.valueIsChanging.emit(value)
        if not self._changing:
            self.valueChanged.emit(value)

    def _pressed(self) -> None:
        if not self._tracking:
            self._before, self._changing = self.spin_box.value(), True

    def _released(self) -> None:
        if self._tracking or not self._changing:
            return
        self._changing = False
        if self.spin_box.value() != self._before:
            self.valueChanged.emit(self.spin_box.value())

    def _get_value(self) -> float:
        return self._before if self._changing else self.spin_box.value()

    def setValue(self, value: float) -> None:
        was, self._changing = self._changing, False
        self.spin_box.setValue(value)
        self._changing = was

    def setDecimals(self, decimals: int) -> None:
        self.spin_box.setDecimals(decimals)
        self.decimalsChanged.emit(decimals)

    def reset(self) -> None:
        self.spin_box.setValue(self.spin_box.minimum())

    def _set_minimum(self, value: float) -> None:
        self.spin_box.setMinimum(value)
        self._place_slider()

    def _set_maximum(self, value: float) -> None:
        self.spin_box.setMaximum(value)
        self._place_slider()

    def _set_single_step(self, step: float) -> None:
        self.spin_box.setSingleStep(step)
        span = self.spin_box.maximum() - self.spin_box.minimum()
        self.slider.setSingleStep(max(1, round(_TICKS * step / span)) if span > 0 else 1)

    def _set_page_step(self, step: float) -> None:
        self._page_step = step
        span = self.spin_box.maximum() - self.spin_box.minimum()
        self.slider.setPageStep(max(1, round(_TICKS * step / span)) if span > 0 else 1)

    def _set_tracking(self, tracking: bool) -> None:
        self._tracking = tracking

    value = Property(float, _get_value, setValue)
    minimum = Property(float, lambda self: self.spin_box.minimum(), _set_minimum)
    maximum = Property(float, lambda self: self.spin_box.maximum(), _set_maximum)
    decimals = Property(int, lambda self: self.spin_box.decimals(), setDecimals)
    singleStep = Property(float, lambda self: self.spin_box.singleStep(), _set_single_step)
    pageStep = Property(float, lambda self: getattr(self, "_page_step", 10.0), _set_page_step)
    tracking = Property(bool, lambda self: self._tracking, _set_tracking)
    suffix = Property(str, lambda self: self.spin_box.suffix(), lambda self, text: self.spin_box.setSuffix(text))
    prefix = Property(str, lambda self: self.spin_box.prefix(), lambda self, text: self.spin_box.setPrefix(text))


class ctkPathLineEdit(QWidget):
    """An editable combo box with a history, and a button that opens a file dialog."""

    currentPathChanged = Signal(str)

    class Filter(enum.IntFlag):
        Dirs = 0x001
        Files = 0x002
        Drives = 0x004
        NoSymLinks = 0x008
        AllEntries = 0x007
        Readable = 0x010
        Writable = 0x020
        Executable = 0x040
        Hidden = 0x100
        AllDirs = 0x400
        NoDot = 0x2000
        NoDotDot = 0x4000
        NoDotAndDotDot = 0x6000

    FLAGS = Filter.__members__

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._filters = self.Filter.AllEntries | self.Filter.NoDotAndDotDot | self.Filter.Readable
        self.combo = QComboBox(self)
        self.combo.setEditable(True)
        self.combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.button = QToolButton(self)
        self.button.setText("...")
        self.button.setToolTip("Open a dialog")
        self.button.clicked.connect(self.browse)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.combo)
        layout.addWidget(self.button)
        self.setFocusProxy(self.combo)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.combo.lineEdit().textChanged.connect(self.currentPathChanged)

    def setCurrentPath(self, path: str) -> None:
        self.combo.lineEdit().setText(path)

    def browse(self) -> None:
        if self._filters & self.Filter.Files:
            path = QFileDialog.getOpenFileName(self, "", self._path())[0]
        else:
            path = QFileDialog.getExistingDirectory(self, "", self._path())
        if path:
            self.setCurrentPath(path)

    def _path(self) -> str:
        return self.combo.lineEdit().text()

    def _set_filters(self, filters: Any) -> None:
        self._filters = self.Filter(filters)

    currentPath = Property(str, _path, setCurrentPath)
    filters = Property(int, lambda self: int(self._filters), _set_filters)
