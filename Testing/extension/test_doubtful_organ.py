"""What is asked and shown where the organ is doubtful, and what an empty result then says."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from run_bench import SHAPE, Bench, ids, mr
from volumes_in_scene import GEOMETRIES, add_volume

from ClamSegLib.segmentation.finding import Search
from ClamSegWorkflow.scene import nodes_of
from ClamSegWorkflow.scene.segments import segment_mask

OUTLINE = np.zeros(SHAPE, np.uint8)
OUTLINE[2:6, 3:9, 4:12] = 1


@pytest.fixture
def bench(scene: Any) -> Bench:
    made = Bench(scene, lambda volume: np.zeros(volume.array.shape, np.uint8))
    made.worker.organ = {"method": "brain_mr", "quality": 0.5, "fell_back": False, "problem": "the skull is there"}
    made.worker.outline = OUTLINE
    made.told.yes = None
    return made


def segmentations(scene: Any) -> list[Any]:
    return list(nodes_of(scene, "vtkMRMLSegmentationNode"))


@pytest.mark.parametrize("frame", ["plain", "oblique"])
def test_the_outline_lies_over_the_scan_while_the_question_waits_and_goes_with_the_answer(
    bench: Bench, frame: str
) -> None:
    volume = mr(bench.scene, frame)
    bench.start(volume)
    bench.worker.answer()
    assert "the skull is there" in bench.told.asked[0][1][0]
    (shown,) = segmentations(bench.scene)
    (segment_id,) = ids(shown)
    assert np.array_equal(segment_mask(shown, segment_id, SHAPE), OUTLINE > 0)
    assert shown.GetSegmentation().GetSegment(segment_id).GetName() == "brain in doubt"
    assert shown.GetDisplayNode().GetVisibility()
    assert not shown.GetSaveWithScene()
    bench.run.answer(True)
    assert segmentations(bench.scene) == []


@pytest.mark.parametrize("end", ["no", "cancel"])
def test_neither_no_nor_cancel_leaves_the_outline_behind(bench: Bench, end: str) -> None:
    bench.start(mr(bench.scene))
    bench.worker.answer()
    assert segmentations(bench.scene)
    bench.run.answer(False) if end == "no" else bench.run.cancel()
    assert segmentations(bench.scene) == []


def test_an_organ_without_doubt_is_not_drawn_before_its_result(bench: Bench) -> None:
    bench.worker.organ = {"method": "body", "quality": 1.0, "fell_back": False, "problem": ""}
    bench.start(mr(bench.scene))
    bench.worker.answer()
    assert segmentations(bench.scene) == []
    assert bench.told.asked == []


def test_an_outline_of_another_grid_is_not_shown_and_the_question_comes_all_the_same(bench: Bench) -> None:
    bench.worker.outline = OUTLINE[1:]
    bench.start(mr(bench.scene))
    bench.worker.answer()
    assert segmentations(bench.scene) == []
    assert bench.told.asked


def test_the_step_that_strips_the_skull_is_asked_of_the_worker(bench: Bench) -> None:
    bench.start(mr(bench.scene), organ="strip_skull")
    assert bench.worker.requests[-1][1]["options"]["organ"] == "strip_skull"


def test_an_empty_review_says_what_its_report_searched(bench: Bench) -> None:
    bench.told.yes = True
    search = Search(("glioma",), 9, 9, doubt="the outline of the brain is doubtful")
    write = bench.worker.write

    def with_search(values: dict[str, Any]) -> Any:
        folder = write(values)
        report = json.loads((folder / "report.json").read_text())
        (folder / "report.json").write_text(json.dumps({**report, "search": search.to_json()}))
        return folder

    bench.worker.write = with_search
    bench.start(add_volume(bench.scene, np.ones(SHAPE, np.int16), GEOMETRIES["plain"], "scan"))
    summary = bench.finish().summary()
    assert summary.startswith("The outline of the brain is doubtful, so that nothing stands marked does not mean")
