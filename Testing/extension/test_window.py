"""The module's window, driven as a user drives it: input, segment, cancel, failures, another scene."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from run_bench import two_lesions
from scene_files import load_scene, save_scene
from slicer_stand_in import driver
from slicer_stand_in.sample_volumes import add_sample
from volumes_in_scene import add_volume

from ClamSegWorkflow.case.result_import import open_result

GPU = {"name": "cuda:0", "description": "Big GPU", "works": True, "free_mb": 10240}
CPU = {"name": "cpu", "description": "8 threads", "works": True, "free_mb": None}


def brain(window: Any, name: str = "FLAIR brain") -> Any:
    """An MR scan of nine slices, chosen as the input."""
    array = np.random.default_rng(0).integers(0, 300, (9, 14, 17)).astype(np.int16)
    volume = add_volume(window.scene, array, name=name)
    window.choose("volumeSelector", name)
    return volume


def start(window: Any) -> None:
    """Clicks Segment and goes on until the worker was asked to look."""
    window.worker.probability_of = two_lesions
    window.click("applyButton")
    window.wait_until(lambda: window.worker.requests)


def finish(window: Any, before: int = 0) -> None:
    """Lets the worker look and segment, and waits for the result."""
    window.worker.answer()
    window.worker.answer()
    window.wait_until(lambda: window.text("applyButton") == "Segment")


def results(window: Any) -> list[Any]:
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode", window.scene)
    return [node for node in nodes if open_result(window.scene, node) is not None]


# Loading


def test_the_module_is_loaded_without_torch_and_without_any_process() -> None:
    program = (
        "import sys, slicer; sys.path[:0] = [r'{0}', r'{0}/ClamSeg', r'{0}/Testing', r'{0}/Testing/extension']\n"
        "slicer.mrmlScene = slicer.vtkMRMLScene()\n"
        "from slicer_stand_in import slicer_modules; slicer_modules.install()\n"
        "from slicer_stand_in import driver\n"
        "module = driver.load_module(); window = driver.Window(module)\n"
        "assert not window.logic.worker.is_running\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'monai', 'matplotlib', 'pydicom')])\n"
    )
    repository = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program.format(repository)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_window_says_that_it_is_for_research_only(window: Any) -> None:
    assert window.text("researchLabel") == "For research, not for diagnosis."
    assert window.shown("researchLabel")


def test_what_a_user_must_not_touch_yet_is_not_shown(window: Any) -> None:
    for name in ("progressBar", "organSegmentSelector", "organRoiSelector"):
        assert not window.shown(name)


# Input


def test_without_a_volume_the_window_says_what_to_load(window: Any) -> None:
    assert window.text("volumeFactsLabel") == "Load a CT, MRI or X-ray, or get one from Sample Data."
    assert window.entries("volumeSelector") == ["None"]


def test_scans_of_the_scene_are_offered_and_what_is_no_scan_is_not(window: Any) -> None:
    add_volume(window.scene, np.zeros((4, 8, 8), np.int16), name="scan")
    window.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    window.scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "picture")
    assert window.entries("volumeSelector") == ["None", "scan", "picture"]


def test_a_renamed_or_removed_scan_is_renamed_or_removed_in_the_list(window: Any) -> None:
    scan = brain(window)
    scan.SetName("renamed")
    assert window.entries("volumeSelector") == ["None", "renamed"]
    window.scene.RemoveNode(scan)
    window.process_events()
    assert window.entries("volumeSelector") == ["None"]
    assert window.text("volumeFactsLabel").startswith("Load a CT")


def test_the_facts_of_the_chosen_scan_are_shown(window: Any) -> None:
    brain(window)
    assert window.text("volumeFactsLabel") == "MRI (guessed), head, FLAIR, 9 slices"


def test_a_choice_is_kept_in_the_scene(window: Any) -> None:
    scan = brain(window)
    node = window.scene.GetSingletonNode("ClamSeg", "vtkMRMLScriptedModuleNode")
    assert node.GetNodeReference("inputVolume") is scan


# Segment: what is suggested and asked


@pytest.mark.parametrize(
    ("sample", "name", "model"),
    [
        ("ct_chest.nrrd", "CT chest", "Nodules and infection in chest CT"),
        ("mr_flair_brain.nii.gz", "FLAIR brain", "Glioma in brain FLAIR MRI, non-commercial"),
        ("xray_chest.png", "CXR", "Lungs in chest X-ray"),
    ],
)
def test_the_model_that_fits_the_scan_is_suggested(window: Any, sample: str, name: str, model: str) -> None:
    add_sample(sample, name, slice(0, 4))
    window.choose("volumeSelector", name)
    assert window.text("modelSelector") == model
    words = window.native("modelFiguresLabel")
    assert words.height() >= words.heightForWidth(words.width()), "all lines of it are read"
    assert window.text("modelFiguresLabel").startswith("Shipped model, learned from ")
    only_organ = "Outlines lungs only: it looks for no lesions. CC BY 4.0" if name == "CXR" else ""
    assert window.text("fitLabel") == only_organ
    assert window.shown("fitLabel") == bool(only_organ)


def test_a_model_that_does_not_fit_is_told_before_the_run(window: Any) -> None:
    brain(window)
    window.choose("modelSelector", "Nodules and infection in chest CT")
    assert window.shown("fitLabel")
    assert "model 'Nodules and infection in chest CT' was made for CT" in window.text("fitLabel")
    window.choose("modelSelector", "Glioma in brain FLAIR MRI, non-commercial")
    assert not window.shown("fitLabel")


def test_the_users_own_choice_of_a_model_stays_when_another_scan_is_chosen(window: Any) -> None:
    brain(window)
    window.choose("modelSelector", "Nodules and infection in chest CT")
    add_sample("xray_chest.png", "CXR")
    window.choose("volumeSelector", "CXR")
    assert window.text("modelSelector") == "Nodules and infection in chest CT"


def test_a_doubt_is_asked_about_and_no_means_no(window: Any) -> None:
    brain(window)
    window.choose("modelSelector", "Nodules and infection in chest CT")
    window.dialogs.says_yes = False
    start(window)
    window.worker.answer()
    window.wait_until(lambda: window.text("applyButton") == "Segment")
    assert [title for _kind, title, _text in window.dialogs.shown] == ["Does this fit?"]
    assert "segment" not in [command for command, _values, _on_event in window.worker.requests]
    assert results(window) == []


def test_organ_choices_show_what_they_need(window: Any) -> None:
    window.choose("organSelector", "an existing segment")
    assert window.shown("organSegmentSelector")
    assert not window.shown("organRoiSelector")
    window.choose("organSelector", "an ROI")
    assert window.shown("organRoiSelector")
    window.choose("organSelector", "whole image")
    assert not window.shown("organSegmentSelector")
    assert not window.shown("organRoiSelector")


def test_an_organ_segment_that_was_not_chosen_is_asked_for(window: Any) -> None:
    brain(window)
    window.choose("organSelector", "an existing segment")
    window.click("applyButton")
    assert window.dialogs.errors() == ["Choose the segment that outlines the organ, or another organ step."]
    assert window.text("applyButton") == "Segment"


def test_devices_are_offered_as_the_worker_found_them(window: Any) -> None:
    assert window.entries("deviceSelector") == ["automatic"]
    broken = {"name": "cuda:1", "description": "Broken", "works": False, "free_mb": 1}
    window.logic.installation = {"torch": "2.13", "devices": [GPU, broken, CPU], "problems": []}
    window.panel.models_changed()
    assert window.entries("deviceSelector") == ["automatic", "cuda:0 Big GPU, 10.0 GB free", "cpu 8 threads"]
    window.choose("deviceSelector", "cpu 8 threads")
    window.panel.models_changed()
    assert window.text("deviceSelector") == "cpu 8 threads"


def test_the_level_says_how_long_it_will_take_once_that_was_measured(window: Any) -> None:
    brain(window)
    assert window.text("levelTimeLabel") == "accurate (4 of 4)"
    window.panel.segment.measured("mr-flair-glioma", "cpu", 1, 2.0)
    window.panel.segment.measured("mr-flair-glioma", "cpu", 4, 0.01)
    assert window.text("levelTimeLabel") == "accurate (4 of 4), under a second in the network"
    window.set_value("levelSlider", 1.0)
    assert window.text("levelTimeLabel") == "fast, finds less (1 of 4), about 18 s in the network"


def test_a_model_with_a_level_of_its_own_starts_at_it_and_the_slider_may_go_deeper(window: Any) -> None:
    brain(window)
    window.panel.segment.chosen_model()["default_level"] = 2
    window.panel.segment._show_model()
    assert window.text("levelTimeLabel") == "in between (2 of 4)"
    for level in (2, 4):
        window.set_value("levelSlider", float(level))
        start(window)
        window.worker.answer()
        assert window.worker.requests[-1][1]["options"]["level"] == level
        window.click("applyButton")


# Segment: the run


def test_apply_without_a_volume_says_so(window: Any) -> None:
    window.click("applyButton")
    assert window.dialogs.errors() == ["Choose a volume first."]
    assert window.text("applyButton") == "Segment"


def test_a_run_ends_with_a_result_in_the_scene_and_its_certificate(window: Any) -> None:
    scan = brain(window)
    start(window)
    assert window.text("applyButton") == "Cancel"
    assert window.shown("progressBar")
    finish(window)
    assert window.dialogs.errors() == []
    assert window.text("progressLabel") == "Done."
    (segmentation,) = results(window)
    assert open_result(window.scene, segmentation).volume is scan
    assert not window.shown("progressBar")


def test_progress_tells_stage_slices_and_time_left(window: Any) -> None:
    brain(window)
    start(window)
    window.worker.answer()
    _command, _values, on_event = window.worker.requests[-1]
    on_event({"event": "progress", "stage": "segmenting slices", "done": 3, "total": 9, "seconds_left": 1.5})
    assert window.text("progressLabel") == "segmenting slices: 3 of 9, 2 s left"
    assert (window.ui.progressBar.value, window.ui.progressBar.maximum) == (3, 9)


def test_what_would_change_a_run_is_locked_while_it_runs(window: Any) -> None:
    brain(window)
    start(window)
    for name in ("modelSelector", "organSelector", "deviceSelector", "levelSlider"):
        assert not getattr(window.ui, name).enabled
    finish(window)
    assert window.ui.modelSelector.enabled


def test_the_second_click_cancels_and_leaves_nothing(window: Any) -> None:
    brain(window)
    start(window)
    nodes = window.scene.GetNumberOfNodes()
    window.click("applyButton")
    assert window.worker.killed == 1
    assert window.text("applyButton") == "Segment"
    assert window.text("progressLabel") == "Cancelled."
    window.worker.answer()
    window.process_events()
    assert window.scene.GetNumberOfNodes() == nodes
    assert window.dialogs.shown == []


def test_a_failure_is_shown_and_the_scene_is_unharmed(window: Any) -> None:
    brain(window)
    start(window)
    nodes = window.scene.GetNumberOfNodes()
    window.worker.answer(event="error", message="The GPU has too little memory; choose another device.")
    window.wait_until(lambda: window.text("applyButton") == "Segment")
    assert window.dialogs.errors() == ["The GPU has too little memory; choose another device."]
    assert window.scene.GetNumberOfNodes() == nodes
    assert "too little memory" in window.ui.logText.toPlainText()


def test_without_torch_the_window_says_so_and_starts_nothing(window: Any) -> None:
    brain(window)
    window.logic.installation = {"torch": None, "devices": [], "problems": ["PyTorch is not installed; use Setup."]}
    window.click("applyButton")
    assert window.dialogs.errors() == ["PyTorch is not installed; use Setup."]
    assert window.worker.requests == []


def test_a_batch_segments_the_chosen_and_the_ticked_scans_each_once(window: Any) -> None:
    first = brain(window, "first flair")
    second = add_volume(window.scene, np.ones((9, 14, 17), np.int16), name="second flair")
    window.tick("batchSelector", first)
    window.tick("batchSelector", second)
    window.choose("volumeSelector", "first flair")
    start(window)
    window.worker.answer()
    window.worker.answer()
    window.wait_until(lambda: len(window.worker.requests) == 3)
    assert window.text("progressLabel").startswith("Volume 2 of 2. ")
    finish(window)
    assert {open_result(window.scene, node).volume.GetName() for node in results(window)} == {
        "first flair", "second flair",
    }  # fmt: skip


def test_a_scene_closed_during_a_run_ends_it_and_the_window_goes_on(window: Any) -> None:
    brain(window)
    start(window)
    window.scene.Clear(False)
    window.process_events()
    assert window.worker.killed == 1
    assert window.text("applyButton") == "Segment"
    assert window.entries("volumeSelector") == ["None"]
    window.worker.requests.clear()
    brain(window, "FLAIR of the next scene")
    start(window)
    finish(window)
    assert len(results(window)) == 1


def test_entering_and_leaving_the_module_keeps_the_choices(window: Any) -> None:
    brain(window)
    window.widget.exit()
    window.widget.enter()
    assert window.text("volumeSelector") == "FLAIR brain"
    add_volume(window.scene, np.zeros((3, 8, 8), np.int16), name="other")
    window.choose("volumeSelector", "other")
    node = window.scene.GetSingletonNode("ClamSeg", "vtkMRMLScriptedModuleNode")
    assert node.GetNodeReference("inputVolume").GetName() == "other"


def test_the_segment_that_shows_the_organ_comes_back_with_the_scene(window: Any, tmp_path: Path) -> None:
    brain(window)
    node = window.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    for name in ("left", "right"):
        node.GetSegmentation().AddEmptySegment(name, name)
    window.choose("organSelector", "an existing segment")
    selector = window.ui.organSegmentSelector
    selector.setCurrentNode(node)
    selector.setCurrentSegmentID("right")
    assert window.panel.node.organSegmentation.GetName() == "organs"
    assert window.panel.node.organSegment == "right"
    assert save_scene(window.scene, str(tmp_path / "scene.mrb"))
    window.scene.Clear(False)
    window.process_events()
    assert selector.currentNode() is None
    window.widget.exit()
    assert load_scene(window.scene, str(tmp_path / "scene.mrb"))
    window.widget.enter()
    window.process_events()
    assert window.text("organSelector") == "an existing segment"
    assert selector.currentNode().GetName() == "organs"
    assert selector.currentSegmentID() == "right"


def test_a_reloaded_module_looks_at_the_set_up_without_being_left_and_entered(
    window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def reload(name: str) -> None:
        """As Slicer's util.py: the new widget is made, set up and named, and not entered."""
        window.widget.cleanup()
        made.append(driver.Window(driver.load_module(), window.worker))
        monkeypatch.setattr(slicer.modules, f"{name}Widget", made[0].widget, raising=False)

    monkeypatch.setattr(slicer.util, "reloadScriptedModule", reload, raising=False)
    # The driver loads the window's packages anew; the library's classes stay those that other tests hold.
    monkeypatch.setattr(window.module, "forget_packages", lambda: None)
    asked = [command for command, _, _ in window.worker.requests].count("hello")
    window.widget.onReload()
    assert [command for command, _, _ in window.worker.requests].count("hello") == asked + 1
    made[0].close()


def test_a_module_reloaded_during_a_run_ends_its_worker(window: Any) -> None:
    brain(window)
    start(window)
    window.widget.cleanup()
    assert window.worker.killed >= 1
    window.worker.answer()
    window.process_events()
    assert results(window) == []


# Reading and keys


def test_the_tab_key_goes_from_top_to_bottom(window: Any) -> None:
    order = driver.focus_order(window)
    places = [driver.place_in_panel(window, name) for name in order]
    backward = [
        (order[n], order[n + 1]) for n in range(len(order) - 1) if places[n + 1][1] < places[n][1] - 8
    ]  # 8 pixels: widgets of one row are not all equally high
    assert len(order) > 25
    assert backward == []


def test_the_panel_fits_into_the_width_it_has_in_slicer(window: Any, tmp_path: Path) -> None:
    for section in ("reviewSection", "trainingSection", "setupSection"):
        window.open(section)
    image = window.grab(tmp_path / "panel.png")
    assert image.width() == driver.PANEL_WIDTH
    assert driver.cut_off(window) == []
    colours = {image.pixel(x, y) for x in range(0, 500, 7) for y in range(0, image.height(), 3)}
    assert len(colours) > 10
