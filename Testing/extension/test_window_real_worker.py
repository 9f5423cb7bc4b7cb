"""The window with the real worker process: from a click on Segment to a result in the scene, and every way to stop."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import slicer
from slicer_stand_in.sample_volumes import add_sample

from ClamSegLib.system.process import is_alive
from ClamSegWorkflow.case.result_import import open_result
from ClamSegWorkflow.scene.certificate import certify

LIMIT_S = 240.0


def begin(window: Any, file: str, name: str, slices: slice = slice(None)) -> Any:
    volume = add_sample(file, name, slices)
    window.choose("volumeSelector", name)
    window.set_value("levelSlider", 1.0)
    window.click("applyButton")
    assert window.text("applyButton") == "Cancel"
    return volume


def is_idle(window: Any) -> bool:
    return bool(window.text("applyButton") == "Segment")


def segmentations(window: Any) -> list[Any]:
    return list(slicer.util.getNodesByClass("vtkMRMLSegmentationNode", window.scene))


@pytest.mark.parametrize(
    ("file", "name", "slices", "level"),
    [
        ("mr_flair_brain.nii.gz", "FLAIR brain", slice(20, 26), "1 of 4"),
        ("ct_chest.nrrd", "CT chest", slice(20, 25), "1 of 3"),
    ],
)
def test_a_click_brings_a_result_that_lies_where_the_scan_lies(
    real_window: Any, file: str, name: str, slices: slice, level: str
) -> None:
    window = real_window
    volume = begin(window, file, name, slices)
    window.wait_until(lambda: is_idle(window), LIMIT_S)
    assert window.dialogs.errors() == []
    assert window.text("progressLabel") == "Done."
    (segmentation,) = segmentations(window)
    result = open_result(window.scene, segmentation)
    assert result.volume is volume
    assert certify(segmentation, volume).holds
    assert result.provenance["level"] == level
    assert "not for diagnosis" in result.provenance["notice"]
    assert level in window.text("levelTimeLabel")
    assert "in the network" in window.text("levelTimeLabel"), "the speed was measured in the run"


def test_cancel_ends_the_worker_process_and_the_next_run_starts_another(real_window: Any) -> None:
    window = real_window
    begin(window, "mr_flair_brain.nii.gz", "FLAIR brain")
    window.wait_until(lambda: window.worker.pid, LIMIT_S)
    first = window.worker.pid
    window.click("applyButton")
    assert is_idle(window)
    window.wait_until(lambda: not is_alive(first))
    assert segmentations(window) == []
    begin(window, "xray_chest.png", "CXR")
    window.wait_until(lambda: is_idle(window), LIMIT_S)
    assert window.worker.pid not in (0, first)
    assert window.dialogs.errors() == []
    assert len(segmentations(window)) == 1


def test_cancel_before_the_worker_told_its_pid_leaves_no_python_behind(real_window: Any, launcher: Any) -> None:
    window = real_window
    begin(window, "mr_flair_brain.nii.gz", "FLAIR brain")
    window.wait_until(launcher.pids, LIMIT_S)
    assert window.worker.pid == 0
    os.kill(launcher.pids()[0], signal.SIGSTOP)  # neither its pid nor the end of its input comes to its ears
    window.click("applyButton")
    window.wait_until(lambda: not is_alive(launcher.pids()[0]))


def test_a_worker_killed_from_outside_is_told_and_the_scene_is_unharmed(real_window: Any) -> None:
    window = real_window
    begin(window, "mr_flair_brain.nii.gz", "FLAIR brain")
    window.wait_until(lambda: window.worker.pid, LIMIT_S)
    nodes = window.scene.GetNumberOfNodes()
    os.kill(window.worker.pid, signal.SIGKILL)
    window.wait_until(lambda: is_idle(window), LIMIT_S)
    assert len(window.dialogs.errors()) == 1
    assert "The worker was killed, perhaps because memory ran out; nothing was changed." in window.dialogs.errors()[0]
    assert "exit abnormally" not in window.dialogs.errors()[0]
    assert not any("exit abnormally" in line for line in window.worker.log)
    assert window.scene.GetNumberOfNodes() == nodes


def test_slicer_that_quits_takes_the_worker_with_it(real_window: Any) -> None:
    window = real_window
    begin(window, "mr_flair_brain.nii.gz", "FLAIR brain")
    window.wait_until(lambda: window.worker.pid, LIMIT_S)
    pid = window.worker.pid
    slicer.app.aboutToQuit.emit()
    window.wait_until(lambda: not is_alive(pid))
    assert segmentations(window) == []


def test_the_set_up_is_looked_at_in_the_worker(real_window: Any) -> None:
    answers: list[str] = []
    real_window.logic.look_at_installation(answers.append)
    real_window.wait_until(lambda: answers, LIMIT_S)
    assert answers == [""]
    real_window.panel.models_changed()
    assert any(entry.startswith("cpu") for entry in real_window.entries("deviceSelector"))
