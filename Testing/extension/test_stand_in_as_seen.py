"""The stand-in behaves as the real Slicer 5.12.3 was seen to: bindings, cached choices, signals of combo boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import pytest
import slicer
from PySide6 import QtCore, QtTest
from scene_files import load_scene, save_scene
from slicer_stand_in import driver, parameter_node, python_qt, slicer_modules
from volumes_in_scene import add_volume


@pytest.fixture
def wrapped(scene: Any) -> Any:
    """Makes a parameter node with one field `volume` of the given type, kept as a module's own."""
    slicer_modules.install()
    driver.problems()

    def make(kind: Any) -> Any:
        node = scene.GetSingletonNode("Tried", "vtkMRMLScriptedModuleNode")
        if node is None:
            made = scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            made.SetSingletonTag("Tried")
            node = scene.AddNode(made)
            made.UnRegister(None)
        cls = type("Choices", (), {"__annotations__": {"volume": kind}})
        return parameter_node.parameterNodeWrapper(cls)(node)

    return make


@pytest.fixture
def box(wrapped: Any, scene: Any) -> Any:
    found = slicer.qMRMLNodeComboBox()
    found.noneEnabled = True
    found.setMRMLScene(scene)
    return found


def offered(box: Any) -> list[str]:
    return [box.nodeFromIndex(number).GetName() for number in range(box.nodeCount())]


def test_an_abstract_class_of_nodes_cannot_be_bound(wrapped: Any, box: Any) -> None:
    choices = wrapped(slicer.vtkMRMLVolumeNode)
    with pytest.raises(TypeError, match="abstract class and cannot be instantiated"):
        choices.connectParametersToGui({"volume": box})


def test_binding_gives_the_box_the_class_of_the_choice_whatever_it_had_before(
    wrapped: Any, box: Any, scene: Any
) -> None:
    add_volume(scene, np.zeros((2, 3, 4), np.int16), name="grey")
    scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "colour")
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    box.nodeTypes = ["vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode"]
    box.showChildNodeTypes = False
    assert offered(box) == ["grey", "colour"]
    wrapped(slicer.vtkMRMLScalarVolumeNode).connectParametersToGui({"volume": box})
    assert list(box.nodeTypes) == ["vtkMRMLScalarVolumeNode"]
    assert offered(box) == ["grey"]
    box.showChildNodeTypes = True
    box.hideChildNodeTypes = ["vtkMRMLLabelMapVolumeNode"]
    assert offered(box) == ["grey", "colour"]


def test_a_union_without_none_cannot_be_empty_and_one_with_none_can(wrapped: Any, box: Any, scene: Any) -> None:
    scalar, vector = slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLVectorVolumeNode
    with pytest.raises(TypeError, match="Unable to write value 'None'"):
        wrapped(Union[scalar, vector])  # noqa: UP007
    choices = wrapped(Union[scalar, vector, None])  # noqa: UP007
    choices.connectParametersToGui({"volume": box})
    assert list(box.nodeTypes) == ["vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode"]
    for kind in ("vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode"):
        node = scene.AddNewNodeByClass(kind, kind)
        box.setCurrentNode(node)
        assert choices.volume is node
    box.setCurrentNode(None)
    assert choices.volume is None
    assert wrapped(Optional[scalar]).volume is None  # noqa: UP045


def test_after_a_scene_was_loaded_a_wrapper_of_before_knows_no_nodes_and_a_new_one_does(
    wrapped: Any, scene: Any, tmp_path: Path
) -> None:
    wrapped(slicer.vtkMRMLScalarVolumeNode).volume = add_volume(scene, np.zeros((2, 3, 4), np.int16), name="kept")
    path = str(tmp_path / "choices.mrb")
    assert save_scene(scene, path)
    scene.Clear(False)
    before = wrapped(slicer.vtkMRMLScalarVolumeNode)
    assert load_scene(scene, path)
    assert before.volume is None
    assert wrapped(slicer.vtkMRMLScalarVolumeNode).volume.GetName() == "kept"


def test_a_node_chosen_by_program_is_activated_too_but_none_and_the_same_again_are_not(box: Any, scene: Any) -> None:
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    first, second = (add_volume(scene, np.zeros((2, 3, 4), np.int16), name=name) for name in "ab")
    heard: list[str] = []

    def activated(node: Any) -> None:
        heard.append(f"activated {node.GetName() if node is not None else None}")

    def changed(node: Any) -> None:
        heard.append(f"changed {node.GetName() if node is not None else None}")

    box.connect("nodeActivated(vtkMRMLNode*)", activated)
    box.connect("currentNodeChanged(vtkMRMLNode*)", changed)
    for node in (first, first, second, None):
        box.setCurrentNode(node)
    assert heard == ["changed a", "activated a", "changed b", "activated b", "changed None"]


def test_nodes_are_left_out_of_a_box_by_their_ids(box: Any, scene: Any) -> None:
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    first, _second = (add_volume(scene, np.zeros((2, 3, 4), np.int16), name=name) for name in "ab")
    box.sortFilterProxyModel().hiddenNodeIDs = [first.GetID()]
    assert offered(box) == ["b"]
    box.sortFilterProxyModel().hiddenNodeIDs = []
    assert offered(box) == ["a", "b"]


def test_the_views_are_fitted_by_the_real_logic(wrapped: Any, scene: Any) -> None:
    volume = add_volume(scene, np.zeros((9, 40, 30), np.int16))
    logic = slicer.app.layoutManager().sliceWidget("Red").sliceLogic()
    logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
    logic.FitSliceToBackground()
    assert logic.GetSliceNode().GetFieldOfView()[:2] == pytest.approx((40.0, 40.0))


def test_a_table_catches_the_tab_key_unless_it_is_told_not_to(wrapped: Any) -> None:
    import qt

    parent = qt.QWidget()
    parent.setLayout(qt.QVBoxLayout())
    table, button = qt.QTableWidget(2, 2), qt.QPushButton("next")
    for widget in (table, button):
        parent.layout().addWidget(widget)
    parent.show()
    native = python_qt.unwrap(table)
    native.activateWindow()
    slicer.app.processEvents()
    for catches in (True, False):
        table.tabKeyNavigation = catches
        native.setCurrentCell(0, 0)
        native.setFocus()
        slicer.app.processEvents()
        QtTest.QTest.keyClick(native, QtCore.Qt.Key.Key_Tab)
        assert native.hasFocus() is catches
        assert (native.currentColumn() == 1) is catches
    parent.hide()
