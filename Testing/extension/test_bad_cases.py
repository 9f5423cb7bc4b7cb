"""What can go wrong around a run ends in a clear message and an unharmed scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from run_bench import mr

from ClamSegWorkflow.scene.segments import SegmentLook, add_segmentation, put_segment, segment_mask


def begin(window: Any, name: str = "flair head") -> Any:
    volume = mr(window.scene, "plain", name)
    window.choose("volumeSelector", name)
    window.click("applyButton")
    window.wait_until(lambda: window.worker.requests)
    return volume


def nodes(scene: Any) -> set[str]:
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def test_memory_that_runs_out_in_slicer_is_told_and_nothing_of_the_result_stays(
    window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(window)
    before = nodes(window.scene)

    def full(*_: Any) -> Any:
        raise MemoryError

    # the package as the window loaded it
    run = type(window.panel.segment.run)
    imports = run._import.__globals__["import_case"].__globals__["import_in_steps"]
    monkeypatch.setitem(imports.__globals__, "read_result", full)
    window.worker.answer()
    window.worker.answer()
    window.wait_until(window.dialogs.errors)
    assert "Memory ran out in Slicer" in window.dialogs.errors()[-1]
    assert nodes(window.scene) == before
    assert window.text("applyButton") == "Segment"


def test_without_any_model_the_window_says_where_to_get_one(window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window.logic, "choosable_models", list)
    window.panel.models_changed()
    mr(window.scene, "plain", "flair head")
    window.choose("volumeSelector", "flair head")
    window.click("applyButton")
    assert "import one in Setup" in window.dialogs.errors()[-1]
    assert window.worker.requests == []


def test_a_scene_saved_and_loaded_again_during_a_run_gets_no_result_and_keeps_what_was_in_it(
    window: Any, tmp_path: Path
) -> None:
    volume = begin(window)
    finished = add_segmentation(window.scene, volume, "by hand")
    put_segment(finished, volume, SegmentLook("a", "a", (1, 2, 3)), np.ones((9, 14, 17), bool))
    window.scene.SetURL(str(tmp_path / "scene.mrml"))
    window.scene.SetRootDirectory(str(tmp_path))
    for node, file in ((volume, "scan.nrrd"), (finished, "by-hand.seg.nrrd")):
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(tmp_path / file))
        assert node.GetStorageNode().WriteData(node)
    window.scene.Commit(str(tmp_path / "scene.mrml"))
    window.scene.Clear(False)
    window.scene.SetURL(str(tmp_path / "scene.mrml"))
    window.scene.Connect()
    window.process_events()
    assert window.worker.killed == 1
    assert window.text("applyButton") == "Segment"
    segmentations = list(slicer.util.getNodesByClass("vtkMRMLSegmentationNode", window.scene))
    assert [node.GetName() for node in segmentations] == ["by hand"]
    assert segment_mask(segmentations[0], "a", (9, 14, 17)).all()
    assert window.dialogs.errors() == []
