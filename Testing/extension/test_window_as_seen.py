"""The window where the real Slicer 5.12.3 once showed faults: binding, opened scenes, pictures, maps, the first scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from run_bench import SHAPE
from scene_files import load_scene, save_scene
from test_review_section import CONDITION, run_to_the_end, segmented, states
from volumes_in_scene import add_volume

from ClamSegWorkflow.scene.segments import segment_mask


def add_picture(scene: Any, name: str) -> Any:
    """A chest X-ray as Slicer loads a PNG: one slice of red, green and blue."""
    node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", name)
    grey = np.random.default_rng(0).integers(0, 255, (1, 30, 40, 1))
    slicer.util.updateVolumeFromArray(node, np.repeat(grey, 3, axis=3).astype(np.uint8))
    node.CreateDefaultDisplayNodes()
    return node


def choices_of(scene: Any) -> Any:
    return scene.GetSingletonNode("ClamSeg", "vtkMRMLScriptedModuleNode")


# Binding


def test_the_window_is_bound_when_it_is_built_and_whenever_it_is_entered(window: Any) -> None:
    for _ in range(2):
        assert window.panel.node is not None
        assert window.widget._gui_tag is not None
        window.widget.exit()
        assert window.widget._gui_tag is None
        window.widget.enter()


def test_colour_pictures_are_offered_and_kept_in_the_scene_and_labelmaps_and_diffusion_are_not(window: Any) -> None:
    picture = add_picture(window.scene, "chest x-ray rgb")
    for kind in ("vtkMRMLLabelMapVolumeNode", "vtkMRMLDiffusionWeightedVolumeNode", "vtkMRMLDiffusionTensorVolumeNode"):
        window.scene.AddNewNodeByClass(kind, kind)
    for name in ("volumeSelector", "batchSelector"):
        assert set(window.entries(name)) - {"None"} == {"chest x-ray rgb"}, name
    window.choose("volumeSelector", "chest x-ray rgb")
    assert choices_of(window.scene).GetNodeReference("inputVolume") is picture
    window.choose("volumeSelector", "None")
    assert choices_of(window.scene).GetNodeReference("inputVolume") is None


# Opened scenes


@pytest.mark.parametrize("closed_before", [True, False])
def test_a_saved_review_comes_back_when_the_scene_is_opened_with_the_panel_open(
    window: Any, tmp_path: Path, closed_before: bool
) -> None:
    segmented(window)
    window.click_cell("lesionTable", 0)
    window.click("acceptButton")
    window.drag("thresholdSlider", [0.6])
    before = window.cells("lesionTable")
    name = window.panel.review.result.segmentation.GetName()
    path = str(tmp_path / "review.mrb")
    assert save_scene(window.scene, path)
    window.scene.Clear(False)
    window.process_events()
    assert window.cells("lesionTable") == []
    if not closed_before:
        add_volume(window.scene, np.zeros((3, 8, 8), np.int16), name="other")
    assert load_scene(window.scene, path)
    window.process_events()
    assert window.text("resultSelector") == name
    assert window.text("volumeSelector") == "flair head"
    assert window.cells("lesionTable") == before
    assert window.ui.thresholdSlider.value == pytest.approx(0.6)
    segmentation = window.panel.review.result.segmentation
    assert segment_mask(segmentation, f"lesion-{CONDITION}-1", SHAPE).any()
    window.click_cell("lesionTable", 1)
    window.click("rejectButton")
    assert states(window)[1] == "✗ rejected"


# Maps


def test_maps_of_a_result_are_not_offered_as_scans_also_in_an_opened_scene(window: Any, tmp_path: Path) -> None:
    segmented(window)
    window.process_events()
    for name in ("volumeSelector", "batchSelector"):
        assert set(window.entries(name)) - {"None"} == {"flair head"}, name
    path = str(tmp_path / "review.mrb")
    assert save_scene(window.scene, path)
    window.scene.Clear(False)
    assert load_scene(window.scene, path)
    window.process_events()
    for name in ("volumeSelector", "batchSelector"):
        assert set(window.entries(name)) - {"None"} == {"flair head"}, name
    assert window.text("volumeSelector") == "flair head"


def test_a_result_removed_in_data_takes_its_maps_with_it_and_no_other_results(window: Any) -> None:
    first = segmented(window, name="flair head a")
    second = segmented(window, name="flair head b")
    window.choose("overlaySelector", "doubt")  # a map that is made when it is wanted
    kept = {second.GetNodeReferenceID(f"ClamSeg.{kind}") for kind in ("probability", "doubt")}
    assert None not in kept
    window.scene.RemoveNode(first)
    window.process_events()
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert {node.GetID() for node in volumes if node.GetAttribute("ClamSeg.map")} == kept
    assert {"flair head a", "flair head b"} <= {node.GetName() for node in volumes}
    window.scene.RemoveNode(second)
    window.process_events()
    assert window.panel.review.result is None
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 2


# The first scan


def test_the_first_scan_that_arrives_is_chosen_with_its_voxels_and_a_later_one_changes_nothing(window: Any) -> None:
    window.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    window.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing in it")
    window.process_events()
    assert window.text("volumeSelector") == "None"
    add_volume(window.scene, np.random.default_rng(0).integers(0, 300, SHAPE).astype(np.int16), name="first FLAIR")
    assert window.text("volumeSelector") == "None", "its voxels may not be there yet"
    window.process_events()
    assert window.text("volumeSelector") == "first FLAIR"
    assert window.text("volumeFactsLabel") == "MRI (guessed), head, FLAIR, 9 slices"
    add_volume(window.scene, np.zeros(SHAPE, np.int16), name="second")
    window.process_events()
    assert window.text("volumeSelector") == "first FLAIR"


def test_a_scan_that_was_there_before_the_module_is_opened_is_chosen(window: Any) -> None:
    window.widget.exit()
    add_volume(window.scene, np.zeros(SHAPE, np.int16), name="loaded before")
    window.process_events()
    assert window.panel.node.inputVolume is None
    window.widget.enter()
    assert window.text("volumeSelector") == "loaded before"


# Pictures


def test_a_picture_is_reviewed_in_one_view_and_the_layout_of_before_comes_back_for_a_scan(window: Any) -> None:
    manager, one = slicer.app.layoutManager(), slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    scan = segmented(window)
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView
    picture = segmented_picture(window)
    assert manager.layout == one
    window.choose("resultSelector", scan.GetName())
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView
    window.choose("resultSelector", picture.GetName())
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)  # the reader's own choice
    for name in (scan.GetName(), picture.GetName()):
        window.choose("resultSelector", name)
        assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView


def segmented_picture(window: Any) -> Any:
    add_picture(window.scene, "chest x-ray")
    window.open("inputSection")
    window.choose("volumeSelector", "chest x-ray")
    window.worker.probability_of = lambda volume: np.zeros(volume.array.shape, np.uint8)
    return run_to_the_end(window)
