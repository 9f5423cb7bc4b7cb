"""The panel for eyes and hands of all kinds: colours on both styles of Slicer, the Tab key, the room there is."""

from __future__ import annotations

from typing import Any

import pytest
import slicer
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


def test_a_key_that_is_held_decides_once_so_that_no_lesion_is_decided_unseen(window: Any) -> None:
    keys = window.native("lesionTable").findChildren(QtGui.QShortcut)
    assert {"A", "R", "U"} <= {key.key().toString() for key in keys}
    assert not any(key.autoRepeat() for key in keys)


def double_click(button: QtWidgets.QPushButton) -> None:
    """What a window system sends for one: Qt gives `clicked` at both releases."""
    place, left = QtCore.QPointF(button.rect().center()), QtCore.Qt.MouseButton.LeftButton
    kinds, no_key = QtCore.QEvent.Type, QtCore.Qt.KeyboardModifier.NoModifier
    for kind in (
        kinds.MouseButtonPress, kinds.MouseButtonRelease, kinds.MouseButtonDblClick, kinds.MouseButtonRelease,
    ):  # fmt: skip
        held = QtCore.Qt.MouseButton.NoButton if kind == kinds.MouseButtonRelease else left
        event = QtGui.QMouseEvent(kind, place, button.mapToGlobal(place), left, held, no_key)
        QtWidgets.QApplication.sendEvent(button, event)


def test_a_double_click_starts_one_run_and_decides_on_one_lesion_and_a_later_click_on_the_next(
    window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_review_section import segmented, states

    segmented(window)
    monkeypatch.setattr(python_qt.unwrap(slicer.app), "double_click_ms", 60_000)
    heard: list[bool] = []
    window.native("acceptButton").clicked.connect(lambda *_checked: heard.append(True))
    double_click(window.native("acceptButton"))
    assert len(heard) == 2, "Qt tells of both clicks"
    assert states(window) == ["\u2713 accepted", "undecided"]
    window.press("lesionTable", "R")  # a key is no click
    assert states(window) == ["\u2713 accepted", "\u2717 rejected"]
    monkeypatch.setattr(python_qt.unwrap(slicer.app), "double_click_ms", 0)
    window.click("acceptButton")
    assert states(window) == ["\u2713 accepted", "\u2713 accepted"]
    monkeypatch.setattr(python_qt.unwrap(slicer.app), "double_click_ms", 60_000)
    window.open("segmentSection")
    window.panel.segment._quick.forget()  # the click that made the first result is long ago
    double_click(window.native("applyButton"))
    assert window.text("applyButton") == "Cancel"
    monkeypatch.setattr(python_qt.unwrap(slicer.app), "double_click_ms", 0)
    window.click("applyButton")
    assert window.text("applyButton") == "Segment"


def test_a_click_on_another_button_counts_at_once_and_one_that_was_let_go_by_does_not_lengthen_the_wait(
    window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_review_section import segmented, states

    segmented(window)
    monkeypatch.setattr(python_qt.unwrap(slicer.app), "double_click_ms", 60_000)
    now = [1000.0]
    monkeypatch.setattr("ClamSegPanel.quick_clicks.time.monotonic", lambda: now[0])
    window.click("acceptButton")
    window.click("rejectButton")
    assert states(window) == ["\u2713 accepted", "\u2717 rejected"]
    now[0] += 40
    window.click("undoButton")
    window.click("rejectButton")  # let go by
    assert states(window) == ["\u2713 accepted", "undecided"]
    now[0] += 40
    window.click("rejectButton")
    assert states(window) == ["\u2713 accepted", "\u2717 rejected"]


# The room there is


@pytest.mark.parametrize("table", ["lesionTable", "packageTable", "modelTable", "doctorTable"])
@pytest.mark.parametrize("width", [300, 500])
def test_no_column_of_a_table_lies_beyond_the_edge(window: Any, table: str, width: int) -> None:
    for section in ("reviewSection", "trainingSection", "setupSection"):
        window.open(section)
    native = window.native(table)
    words = ["12 infection in the left lower lobe", "10\u201314", "12.5 ml, 31 mm", "0.97", "0.03", "\u2713 accepted"]
    native.setRowCount(3)
    for column in range(native.columnCount()):
        text = (
            words[column]
            if table == "lesionTable"
            else ("a part with a long name" if column == 0 else "2.7 of 23.5 GB")
        )
        native.setItem(0, column, QtWidgets.QTableWidgetItem(text))
    native.setItem(0, 0, QtWidgets.QTableWidgetItem("3")) if table == "lesionTable" else None
    native.setFixedWidth(width)
    window.process_events()
    assert native.horizontalScrollBar().maximum() == 0


def test_advice_of_the_dataset_check_has_most_of_the_width_and_lines_of_its_own(window: Any) -> None:
    from ClamSegWorkflow.training.doctor_table import DoctorLine, DoctorTable

    window.open("trainingSection")
    advice = "put the slices of one patient into one folder, or name the patient in labels.csv"
    line = DoctorLine("warning", "patients in several splits", "3 patients are in train and in dev", advice)
    window.panel.training._doctor._show(DoctorTable((line,), False, ""))
    native = window.native("doctorTable")
    native.setFixedWidth(290)
    window.process_events()
    assert native.columnWidth(1) > 0.6 * 290
    assert native.rowHeight(0) > 2 * QtGui.QFontMetrics(native.font()).height(), "the words go on in further lines"
    assert advice in window.cells("doctorTable")[0][1]


def test_long_names_do_not_change_the_width_that_the_panel_asks_for(window: Any) -> None:
    for section in ("reviewSection", "trainingSection", "setupSection"):
        window.open(section)
    whole = python_qt.unwrap(window.panel.widget)
    before = whole.sizeHint().width(), whole.minimumSizeHint().width()
    volume = window.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan of a patient " * 12)
    window.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "result of a patient " * 12)
    window.ui.volumeSelector.setCurrentNode(volume)
    window.process_events()
    assert (whole.sizeHint().width(), whole.minimumSizeHint().width()) == before


def test_a_result_brings_the_decisions_above_the_fold_of_a_low_screen(window: Any) -> None:
    from test_review_section import segmented

    area = QtWidgets.QScrollArea()  # Slicer's own around every module
    panel = python_qt.unwrap(window._parent)
    area.setWidgetResizable(True)
    area.setWidget(panel)
    area.resize(520, 600)  # what 1280 x 800 leaves of it
    area.show()
    segmented(window)
    window.process_events()
    accept = window.native("acceptButton")
    top = accept.mapTo(area.viewport(), QtCore.QPoint(0, 0)).y()
    assert 0 <= top <= area.viewport().height() - accept.height()
    review = window.native("reviewSection")
    assert accept.mapTo(review, QtCore.QPoint(0, 0)).y() < 400, "near the top of its section"
    area.takeWidget()


def test_everything_that_can_be_used_says_what_it_does(window: Any) -> None:
    inner = window.native("organSegmentSelector").findChildren(QtWidgets.QComboBox)
    assert inner
    assert all(
        combo.toolTip() or combo.parentWidget().toolTip() == "Segment that outlines the organ" for combo in inner
    )


def test_the_fast_level_says_that_it_finds_less(window: Any) -> None:
    from test_window import brain

    brain(window)
    window.set_value("levelSlider", 1.0)
    assert window.text("levelTimeLabel").startswith("fast, finds less (1 of ")


def test_the_closed_log_shows_no_empty_frame(window: Any) -> None:
    assert window.ui.logBox.flat
    assert window.ui.logBox.collapsedHeight == 0
