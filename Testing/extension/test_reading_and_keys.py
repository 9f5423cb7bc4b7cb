"""The panel for eyes and hands of all kinds: colours on both styles of Slicer, the Tab key, the room there is."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6 import QtCore, QtGui, QtTest, QtWidgets
from slicer_stand_in import driver, python_qt

_LIGHT, _DARK = "#efefef", "#323232"  # the grounds of Slicer's two styles


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def paint_ground(window: Any, ground: str) -> None:
    palette = QtGui.QPalette(QtGui.QColor(ground))
    for name in vars(window.ui):
        native = window.native(name)
        if isinstance(native, QtWidgets.QWidget):
            native.setPalette(palette)


@pytest.mark.parametrize("ground", [_LIGHT, _DARK])
def test_warnings_are_legible_on_the_light_and_on_the_dark_style(window: Any, ground: str) -> None:
    paint_ground(window, ground)
    window.panel.setup.look()
    window.worker.answer(event="error", message="The worker could not be started.")
    red = window.ui.setupLabel.styleSheet.removeprefix("color: ")
    assert contrast(red, ground) >= 4.5
    from ClamSegPanel.colours import colour_of

    orange = colour_of("warning", window.ui.fitLabel)
    assert contrast(orange, ground) >= 4.5
    assert orange != red
    assert colour_of("ok", window.ui.fitLabel) == ""


def test_tab_leaves_every_table(window: Any) -> None:
    for section in ("reviewSection", "trainingSection", "setupSection"):
        window.open(section)
    window.native("setupSection").activateWindow()
    for name in ("lesionTable", "doctorTable", "packageTable", "modelTable", "segmentsTable"):
        native = window.native(name)
        table = native if isinstance(native, QtWidgets.QTableWidget) else native.tableWidget()
        table.setRowCount(3)
        above = table
        while above is not None and not above.isWindow():
            above.setEnabled(True)
            above.setVisible(True)
            above = above.parentWidget()
        table.setCurrentCell(0, 0)
        table.setFocus()
        window.process_events()
        assert table.hasFocus(), name
        QtTest.QTest.keyClick(table, QtCore.Qt.Key.Key_Tab)
        window.process_events()
        assert not table.hasFocus(), f"{name} catches the Tab key"


def test_tab_comes_to_more_volumes_after_the_volume(window: Any) -> None:
    order = driver.focus_order(window)
    assert order.index("batchSelector") == order.index("volumeSelector") + 1
    more = python_qt.unwrap(window.ui.batchSelector).combo
    assert more.focusPolicy() == QtCore.Qt.FocusPolicy.StrongFocus
