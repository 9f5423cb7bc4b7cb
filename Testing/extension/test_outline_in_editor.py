"""The click of the Segment Editor's effect, without its widget: the labelmap lies where the click lay, in mm."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from run_bench import Bench
from test_click_outline import MIDDLE, MISSED, SHAPE, found, head
from volumes_in_scene import linear_transform

from ClamSegLib.system.errors import InputError
from ClamSegWorkflow.case.outline_in_editor import OutlineInEditor
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.geometry import image_matrix, matrix_of, to_world
from ClamSegWorkflow.scene.segments import SegmentLook, add_segmentation, put_segment, segment_mask


def overlap(mask: np.ndarray) -> float:
    truth = np.zeros(SHAPE, bool)
    truth[MISSED] = True
    return 2 * int((mask & truth).sum()) / (int(mask.sum()) + int(truth.sum()))


@pytest.mark.parametrize("frame", ["plain", "oblique", "left-handed", "sagittal"])
def test_a_click_in_mm_adds_the_lesion_to_the_chosen_segment_of_any_segmentation(scene: Any, frame: str) -> None:
    volume = head(scene, frame)
    volume.SetAndObserveTransformNodeID(linear_transform(scene).GetID())
    segmentation = add_segmentation(scene, volume, "by hand")
    put_segment(segmentation, volume, SegmentLook("mine", "mine", (1, 2, 3)), np.ones((2, 2, 2), bool))
    labelmap = OutlineInEditor(volume, segmentation).labelmap(to_world(volume, MIDDLE))
    assert np.allclose(image_matrix(labelmap), matrix_of(volume))
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetBinaryLabelmapToSegment(labelmap, segmentation, "mine", logic.MODE_MERGE_MAX, labelmap.GetExtent(), False)
    mask = segment_mask(segmentation, "mine", SHAPE)
    assert mask[:2, :2, :2].all(), "what was there stays"
    mask[:2, :2, :2] = False
    assert overlap(mask) > 0.9


def test_in_a_result_of_ours_the_organ_and_the_models_lesions_count(
    scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bench = Bench(scene, found)
    volume = head(scene)
    bench.start(volume)
    result = bench.finish()
    outlines = OutlineInEditor(volume, result.segmentation)
    assert outlines.is_for(volume, result.segmentation)
    with pytest.raises(SceneError, match="outside the scan"):
        outlines.labelmap(to_world(volume, (-5, 1, 1)))
    empty = np.zeros(SHAPE, bool)
    empty[:, 30:, 30:] = True
    put_segment(result.segmentation, volume, SegmentLook("organ", "organ", (1, 2, 3)), empty)
    narrow = OutlineInEditor(volume, result.segmentation)
    with pytest.raises(InputError, match="outside the organ"):
        narrow.labelmap(to_world(volume, (10, 10, 10)))
    volume.SetSpacing(1.0, 1.0, 9.0)
    assert not outlines.is_for(volume, result.segmentation)


def test_without_a_scan_the_effect_says_what_to_do(scene: Any) -> None:
    with pytest.raises(SceneError, match="source volume"):
        OutlineInEditor(None, None)
