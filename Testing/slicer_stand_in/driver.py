"""The user of the panel: builds the module's window, clicks, chooses, waits, takes pictures."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtTest, QtWidgets

from slicer_stand_in import application, module_windows, python_qt, scripted_module
from slicer_stand_in.ctk_collapsible import HIDDEN_BY_PROGRAM
from slicer_stand_in.dialogs import DIALOGS, Dialogs
from slicer_stand_in.qt_module import qt
from slicer_stand_in.reports import REPORTS

PANEL_WIDTH = 500
_REPOSITORY = Path(__file__).resolve().parents[2]
MODULE_FILE = _REPOSITORY / "ClamSeg" / "ClamSeg.py"


class Window:
    """The built window of the module and a user's hands.

    Attributes:
        widget: ClamSegWidget. ui: its widgets by name. panel: ClamSegPanel.panel.Panel. logic: ClamSegLogic.
        dialogs: messages shown so far, and the answers to questions and file dialogs.
    """

    def __init__(self, module: Any, worker: Any = None) -> None:
        self.module = module
        self.dialogs: Dialogs = DIALOGS
        self._is_closed = False
        if worker is not None:
            made = module.ClamSegLogic
            module.ClamSegLogic = lambda: made(worker)
        self._parent = slicer.qMRMLWidget()
        self._parent.setLayout(qt.QVBoxLayout())
        self._parent.setMRMLScene(slicer.mrmlScene)
        try:
            self.widget = module.ClamSegWidget(self._parent)
            self.widget.setup()
            module_windows.WINDOWS["ClamSeg"] = self.widget
            slicer.modules.selected.append("ClamSeg")
        finally:
            if worker is not None:
                module.ClamSegLogic = made
        self.ui, self.panel, self.logic = self.widget.ui, self.widget.panel, self.widget.logic
        native = python_qt.unwrap(self._parent)
        native.setFixedWidth(PANEL_WIDTH)
        native.show()
        self.process_events()

    # Hands

    def click(self, name: str) -> None:
        """Presses a button with the mouse; it must be there, and enabled."""
        self._usable(name).click()
        self.process_events()

    def choose(self, name: str, text: str) -> None:
        """Takes the entry with this text in a combo box, as a user does."""
        native = self._usable(name)
        combo = native if isinstance(native, QtWidgets.QComboBox) else native.combo
        index = combo.findText(text)
        if index < 0:
            offered = [combo.itemText(each) for each in range(combo.count())]
            raise AssertionError(f"{name} does not offer '{text}', but {offered}.")
        combo.setCurrentIndex(index)
        combo.activated.emit(index)
        self.process_events()

    def tick(self, name: str, node: Any, ticked: bool = True) -> None:
        """Ticks a node in a checkable node combo box."""
        native = self._usable(name)
        native.check(node) if ticked else native.uncheck(node)
        self.process_events()

    def set_value(self, name: str, value: Any) -> None:
        """Gives a slider or a spin box a value at once."""
        self._usable(name).setProperty("value", value)
        self.process_events()

    def drag(self, name: str, values: list[float]) -> None:
        """Presses a ctkSliderWidget's slider, moves it over the values, and lets go."""
        slider = self._usable(name)
        slider.slider.setSliderDown(True)
        for value in values:
            slider.spin_box.setValue(value)
            self.process_events()
        slider.slider.setSliderDown(False)
        self.process_events()

    def type_text(self, name: str, text: str) -> None:
        """Types into a line edit or a path line edit."""
        native = self._usable(name)
        edit = native if isinstance(native, QtWidgets.QLineEdit) else native.combo.lineEdit()
        edit.setText(text)
        edit.editingFinished.emit()
        self.process_events()

    def press(self, name: str, key: str) -> None:
        """Gives a widget the focus and presses a key, such as 'A' or 'Ctrl+Z'."""
        native = self._usable(name)
        native.activateWindow()
        native.setFocus()
        self.process_events()
        QtTest.QTest.keySequence(native, QtGui.QKeySequence(key))
        self.process_events()

    def click_cell(self, name: str, row: int, column: int = 0) -> None:
        """Clicks a cell of a table."""
        table = self._usable(name)
        middle = table.visualRect(table.model().index(row, column)).center()
        left, no_key = QtCore.Qt.MouseButton.LeftButton, QtCore.Qt.KeyboardModifier.NoModifier
        QtTest.QTest.mouseClick(table.viewport(), left, no_key, middle)
        self.process_events()

    def open(self, section: str) -> None:
        """Opens a collapsible section, such as 'reviewSection'."""
        getattr(self.ui, section).collapsed = False
        self.process_events()

    # Eyes

    def text(self, name: str) -> str:
        """Text of a label, button, or the entry a combo box shows."""
        native = self.native(name)
        combo = native if isinstance(native, QtWidgets.QComboBox) else getattr(native, "combo", None)
        return combo.currentText() if combo is not None else str(native.property("text"))

    def entries(self, name: str) -> list[str]:
        """What a combo box offers."""
        native = self.native(name)
        combo = native if isinstance(native, QtWidgets.QComboBox) else native.combo
        return [combo.itemText(index) for index in range(combo.count())]

    def cells(self, name: str) -> list[list[str]]:
        """Texts of a table, row by row."""
        table = self.native(name)
        return [
            [item.text() if (item := table.item(row, column)) else "" for column in range(table.columnCount())]
            for row in range(table.rowCount())
        ]

    def shown(self, name: str) -> bool:
        """Whether a widget would be seen with its section open."""
        native = self.native(name)
        section_is_closed = bool(native.parentWidget().property("collapsed"))
        return not native.isHidden() or (section_is_closed and not native.property(HIDDEN_BY_PROGRAM))

    def native(self, name: str) -> Any:
        """The PySide6 widget behind `ui.name`."""
        return python_qt.unwrap(getattr(self.ui, name))

    def grab(self, path: Path, section: str = "") -> QtGui.QImage:
        """Writes a picture of the panel, or of one of its sections, as a PNG; gives the picture."""
        native = self.native(section) if section else python_qt.unwrap(self._parent)
        self.process_events()
        python_qt.unwrap(self._parent).adjustSize()
        self.process_events()
        image = native.grab().toImage()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not image.save(str(path)):
            raise OSError(f"{path} could not be written.")
        return image

    # Time

    def process_events(self) -> None:
        """Lets Qt do what is due."""
        for _ in range(3):
            QtWidgets.QApplication.processEvents()

    def wait_until(self, condition: Callable[[], Any], limit_s: float = 60.0) -> None:
        """Runs Qt's loop until a condition holds; a test fails where it never does."""
        end = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"Waited {limit_s:.0f} s in vain; shown: {self.dialogs.shown}")
            QtTest.QTest.qWait(5)

    def close(self) -> None:
        """The module is unloaded; a second time nothing happens."""
        if self._is_closed:
            return
        self._is_closed = True
        self.widget.cleanup()
        module_windows.WINDOWS.pop("ClamSeg", None)
        native = python_qt.unwrap(self._parent)
        native.hide()
        native.deleteLater()
        QtWidgets.QApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
        self.process_events()

    def _usable(self, name: str) -> Any:
        native = self.native(name)
        if native.isHidden() or not native.isEnabled():
            why = "disabled" if not native.isHidden() else "in a closed section" if self.shown(name) else "hidden"
            raise AssertionError(f"A user cannot use {name}: it is {why}.")
        return native


def loaded_anew(name: str) -> bool:
    """Whether a module is of those that the window loads anew, as Slicer's Reload does; others keep their classes."""
    rooms = ("ClamSeg", "ClamSegPanel", "ClamSegWorkflow.case", "ClamSegWorkflow.training")
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def load_module() -> Any:
    """Imports ClamSeg.py as Slicer does, anew, and registers it among the modules."""
    for name in [each for each in sys.modules if loaded_anew(each)]:
        del sys.modules[name]
    module = importlib.import_module("ClamSeg")
    setattr(slicer.modules, "clamseg", application.Module("ClamSeg", path=str(MODULE_FILE)))  # noqa: B010
    module.ClamSeg(scripted_module.ModuleParent(MODULE_FILE))
    return module


def focus_order(window: Window) -> list[str]:
    """Names of the widgets of the .ui that the tab key comes to, in its order, with every section open."""
    for section in ("inputSection", "segmentSection", "reviewSection", "trainingSection", "setupSection"):
        window.open(section)
    by_widget = {id(python_qt.unwrap(each)): name for name, each in vars(window.ui).items()}
    first = window.native("inputSection")
    order, widget = [], first
    while True:
        owner = widget
        while owner is not None and id(owner) not in by_widget:
            owner = owner.parentWidget()
        if widget.focusPolicy() & QtCore.Qt.FocusPolicy.TabFocus and widget.isVisible() and owner is not None:
            name = by_widget[id(owner)]
            if not order or order[-1] != name:
                order.append(name)
        widget = widget.nextInFocusChain()
        if widget is first:
            return order


def place_in_panel(window: Window, name: str) -> tuple[int, int]:
    """Upper left corner of a widget in the panel, in pixels."""
    native = window.native(name)
    point = native.mapTo(python_qt.unwrap(window._parent), QtCore.QPoint(0, 0))
    return point.x(), point.y()


def cut_off(window: Window) -> list[str]:
    """Labels and buttons of the .ui whose words do not fit into the place they have."""
    found = []
    for name, each in vars(window.ui).items():
        native = python_qt.unwrap(each)
        if not isinstance(native, QtWidgets.QLabel | QtWidgets.QPushButton | QtWidgets.QCheckBox):
            continue
        if native.isVisible() and native.width() < native.minimumSizeHint().width():
            found.append(f"{name}: {native.width()} of {native.minimumSizeHint().width()} pixels")
    return found


def problems() -> list[str]:
    """Exceptions of slots and refused connections since the last time; a test must have none."""
    return REPORTS.take()
