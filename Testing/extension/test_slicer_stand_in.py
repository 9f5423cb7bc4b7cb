"""The stand-in behaves as PythonQt in Slicer does, and refuses what Slicer does not have."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import slicer
from slicer_stand_in import api, driver, parameter_node, settings, slicer_modules


@pytest.fixture
def qt() -> Any:
    slicer_modules.install()
    import qt

    driver.problems()
    return qt


@pytest.fixture
def ctk(qt: Any) -> Any:
    import ctk

    return ctk


def test_properties_are_attributes_and_cannot_be_called(qt: Any) -> None:
    label = qt.QLabel("words")
    label.text = "other words"
    assert label.text == "other words"
    with pytest.raises(TypeError, match="'str' object is not callable"):
        label.text()


def test_methods_and_setters_are_calls(qt: Any) -> None:
    box = qt.QCheckBox("tick")
    box.setChecked(True)
    assert box.isChecked() is True
    assert box.checked is True


@pytest.mark.parametrize("name", ["txet", "setTextt", "currentText", "hasFocuss"])
def test_what_a_widget_does_not_have_is_refused(qt: Any, name: str) -> None:
    label = qt.QLabel()
    with pytest.raises(AttributeError, match=name):
        getattr(label, name)
    with pytest.raises(AttributeError, match=name):
        setattr(label, name, "words")


def test_what_qt_has_and_slicers_python_does_not_is_refused(qt: Any) -> None:
    """Members of Qt 6, and of classes that no one has, exist in PySide6 only."""
    with pytest.raises(AttributeError):
        qt.QComboBox().setLabelDrawingMode  # noqa: B018
    with pytest.raises(AttributeError):
        qt.QGlyphRun  # noqa: B018
    with pytest.raises(AttributeError):
        qt.QProcess.NoSuchState  # noqa: B018


def test_a_read_only_property_is_not_written(qt: Any) -> None:
    with pytest.raises(AttributeError, match="not writable"):
        qt.QLineEdit().hasSelectedText = True


def test_none_becomes_a_word_and_a_fraction_a_whole_number(qt: Any) -> None:
    label, bar = qt.QLabel(), qt.QProgressBar()
    label.text = None
    bar.value = 3.7
    assert label.text == "None"
    assert bar.value == 3
    with pytest.raises(ValueError, match="int"):
        bar.value = "3"


def test_constructors_take_no_names(qt: Any) -> None:
    with pytest.raises(ValueError, match="keyword"):
        qt.QLabel(parent=qt.QWidget())


def test_signals_are_connected_in_both_ways_and_disconnected_with_the_same_callable(qt: Any) -> None:
    heard: list[Any] = []
    button = qt.QPushButton()
    button.setCheckable(True)
    assert button.connect("clicked(bool)", heard.append)
    button.clicked.connect(heard.append)
    button.click()
    assert heard == [True, True]
    assert not button.disconnect("clicked(bool)", print)
    assert button.disconnect("clicked(bool)", heard.append)
    button.clicked.disconnect(heard.append)
    button.click()
    assert heard == [True, True]


def test_a_slot_gets_as_many_arguments_as_it_takes_its_defaults_included(qt: Any) -> None:
    heard: list[Any] = []
    button = qt.QPushButton()
    button.connect("clicked(bool)", lambda: heard.append("none"))
    button.connect("clicked(bool)", lambda number=7: heard.append(number))
    button.click()
    assert heard == ["none", False]


def test_a_signal_that_does_not_exist_is_warned_of_and_fails_the_test_at_its_end(qt: Any) -> None:
    assert qt.QPushButton().connect("pushed()", print) is False
    (problem,) = driver.problems()
    assert "no signal 'pushed()'" in problem


def test_an_exception_in_a_slot_lets_the_application_go_on_and_fails_the_test_at_its_end(qt: Any) -> None:
    heard: list[Any] = []
    button = qt.QPushButton()
    button.connect("clicked()", lambda: 1 / 0)
    button.connect("clicked()", lambda: heard.append(1))
    button.click()
    assert heard == [1]
    (problem,) = driver.problems()
    assert "ZeroDivisionError" in problem


def test_an_exception_in_an_observer_of_the_scene_fails_the_test_at_its_end(qt: Any, scene: Any) -> None:
    scene.AddObserver("ModifiedEvent", lambda *_: 1 / 0)
    scene.Modified()
    assert any("ZeroDivisionError" in problem for problem in driver.problems())


def test_a_widget_without_a_parent_dies_with_its_reference(qt: Any) -> None:
    child, parent = qt.QLabel("child"), qt.QWidget()
    child.setParent(parent)
    del parent
    with pytest.raises(ValueError, match="destroyed"):
        child.text  # noqa: B018


def test_enumerations_are_whole_numbers(qt: Any) -> None:
    table = qt.QTableWidget(1, 1)
    table.selectionMode = qt.QAbstractItemView.NoSelection
    assert table.selectionMode == qt.QAbstractItemView.NoSelection == 0
    item = qt.QTableWidgetItem("cell")
    item.setFlags(item.flags() & ~qt.Qt.ItemIsEditable)
    assert not item.flags() & qt.Qt.ItemIsEditable
    assert item.flags() & qt.Qt.ItemIsSelectable


def test_lists_come_as_tuples_and_objects_as_their_classes(qt: Any) -> None:
    parent = qt.QWidget()
    button = qt.QPushButton("words", parent)
    assert parent.children() == (button,)
    assert isinstance(parent.children()[0], qt.QAbstractButton if hasattr(qt, "QAbstractButton") else qt.QWidget)
    assert type(parent.children()[0]) is qt.QPushButton


def test_settings_give_back_text(qt: Any) -> None:
    settings.forget_settings()
    qt.QSettings().setValue("ClamSeg/number", 3)
    qt.QSettings().setValue("ClamSeg/truth", True)
    assert qt.QSettings().value("ClamSeg/number") == "3"
    assert slicer.util.settingsValue("ClamSeg/truth", False, converter=slicer.util.toBool) is True
    assert slicer.util.settingsValue("ClamSeg/nothing", "default") == "default"


def test_a_collapsible_button_hides_its_contents_and_remembers_what_was_hidden_anyway(ctk: Any, qt: Any) -> None:
    button = ctk.ctkCollapsibleButton()
    layout = qt.QVBoxLayout(button)
    seen, hidden = qt.QLabel("seen"), qt.QLabel("hidden")
    layout.addWidget(seen)
    layout.addWidget(hidden)
    hidden.visible = False
    button.show()
    tall = button.sizeHint.height()
    button.collapsed = True
    assert not seen.isVisible()
    assert button.sizeHint.height() < tall
    button.collapsed = False
    assert (seen.isVisible(), hidden.isVisible()) == (True, False)


def test_a_slider_without_tracking_counts_when_it_is_let_go(ctk: Any, qt: Any) -> None:
    from slicer_stand_in.python_qt import unwrap

    moves: list[float] = []
    ends: list[float] = []
    slider = ctk.ctkSliderWidget()
    slider.maximum, slider.tracking = 1.0, False
    slider.connect("valueIsChanging(double)", moves.append)
    slider.connect("valueChanged(double)", ends.append)
    native = unwrap(slider)
    native.slider.setSliderDown(True)
    native.spin_box.setValue(0.25)
    native.spin_box.setValue(0.5)
    assert (moves, ends, slider.value) == ([0.25, 0.5], [], 0.0)
    native.slider.setSliderDown(False)
    assert (ends, slider.value) == ([0.5], 0.5)


def test_parameters_are_kept_in_the_node_and_checked(scene: Any, qt: Any) -> None:
    class Choices:
        count = 4

    Choices.__annotations__ = {
        "count": Annotated[int, parameter_node.WithinRange(0, 9)],
        "scan": slicer.vtkMRMLVolumeNode,
    }
    Choices = parameter_node.parameterNodeWrapper(Choices)
    node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    choices = Choices(node)
    assert (choices.count, choices.scan) == (4, None)
    choices.count = 7
    assert node.GetParameter("count") == "7"
    assert Choices(node).count == 7
    with pytest.raises(ValueError, match="within range"):
        choices.count = 10
    with pytest.raises(TypeError):
        choices.scan = node


def test_functions_that_slicer_util_does_not_list_are_gone(qt: Any) -> None:
    assert hasattr(slicer.util, "settingsValue")
    assert not hasattr(slicer.util, "vtkMatrixFromArray") or "vtkMatrixFromArray" in api.functions("slicer.util")


def test_every_class_written_here_has_only_signals_that_are_listed(qt: Any) -> None:
    from PySide6.QtCore import Signal
    from slicer_stand_in.implementations import our_widgets

    for name, kind in our_widgets().items():
        helpers = set(getattr(kind, "SIGNAL_OF", {}).values())
        own = {each for each, value in vars(kind).items() if isinstance(value, Signal)} - helpers
        assert own <= api.members(name).signal_names(), name
