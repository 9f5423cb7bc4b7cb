"""Edit decides nothing by itself, and Undo takes back the step before it, whatever it was."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_bench import SHAPE, Bench, ids, mr
from scene_files import load_scene, save_scene

from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.result_import import open_result
from ClamSegWorkflow.scene.segments import SegmentLook, put_segment, segment_mask


@pytest.fixture
def result(scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bench = Bench(scene)
    bench.start(mr(scene, "oblique"))
    return bench.finish()


def decisions(result: Any) -> dict[int, Decision]:
    return {row.number: row.decision for row in result.lesions.rows()}


def shared(result: Any) -> np.ndarray:
    """Voxels of the segment of all undecided lesions."""
    return segment_mask(result.segmentation, "lesion-glioma", SHAPE)


def draw(result: Any, segment_id: str) -> np.ndarray:
    """Adds a corner to a segment, as a stroke does."""
    mask = segment_mask(result.segmentation, segment_id, SHAPE)
    mask[0, 0, :2] = True
    put_segment(result.segmentation, result.volume, SegmentLook(segment_id, "x", (1, 2, 3)), mask)
    return mask


BOTH = {1: Decision.UNDECIDED, 2: Decision.UNDECIDED}


def test_a_lesion_that_is_opened_and_left_as_it_is_stays_undecided(result: Any) -> None:
    before = shared(result)
    segment_id = result.begin_edit(1)
    lesion = segment_mask(result.segmentation, segment_id, SHAPE)
    assert lesion.any()
    assert not (shared(result) & lesion).any(), "while it is drawn it lies in one segment only"
    assert np.array_equal(shared(result) | lesion, before)
    assert decisions(result) == BOTH
    assert not result.is_reviewed()
    assert not result.end_edit()
    assert decisions(result) == BOTH
    assert np.array_equal(shared(result), before)
    assert ids(result.segmentation) == ["organ", "lesion-glioma"]
    assert not result.undo()


def test_one_undo_takes_a_drawing_back_and_the_lesion_is_undecided_as_before(result: Any) -> None:
    before = shared(result)
    drawn = draw(result, segment_id := result.begin_edit(1))
    assert result.end_edit()
    assert decisions(result) == {1: Decision.EDITED, 2: Decision.UNDECIDED}
    assert np.array_equal(segment_mask(result.segmentation, segment_id, SHAPE), drawn)
    assert result.undo()
    assert decisions(result) == BOTH
    assert np.array_equal(shared(result), before)
    assert ids(result.segmentation) == ["organ", "lesion-glioma"]
    assert not result.undo()


def test_a_lesion_that_is_erased_while_it_is_open_is_rejected(result: Any) -> None:
    segment_id = result.begin_edit(1)
    nothing = np.zeros(SHAPE, bool)
    put_segment(result.segmentation, result.volume, SegmentLook(segment_id, "x", (1, 2, 3)), nothing)
    assert result.end_edit()
    assert decisions(result) == {1: Decision.REJECTED, 2: Decision.UNDECIDED}


def test_a_rejected_lesion_that_is_opened_and_left_as_it_is_stays_rejected(result: Any) -> None:
    result.decide(1, Decision.REJECTED)
    segment_id = result.begin_edit(1)
    assert segment_mask(result.segmentation, segment_id, SHAPE).any()
    assert not result.end_edit()
    assert decisions(result) == {1: Decision.REJECTED, 2: Decision.UNDECIDED}
    draw(result, result.begin_edit(1))
    assert result.end_edit()
    assert decisions(result)[1] is Decision.EDITED


def test_what_is_drawn_into_the_undecided_ones_meanwhile_leaves_the_opened_lesion_as_it_is(result: Any) -> None:
    opened = segment_mask(result.segmentation, result.begin_edit(1), SHAPE)
    draw(result, "lesion-glioma")
    assert result.end_edit()
    assert decisions(result) == {**BOTH, 3: Decision.ADDED}
    assert np.array_equal(shared(result) & opened, opened)


def test_a_moved_threshold_keeps_an_opened_lesion_in_step(result: Any) -> None:
    segment_id = result.begin_edit(1)
    result.set_threshold(0.3)
    assert segment_mask(result.segmentation, segment_id, SHAPE).any()
    assert not (shared(result) & segment_mask(result.segmentation, segment_id, SHAPE)).any()
    result.set_threshold(0.99)
    assert not result.end_edit()
    assert decisions(result) == {}
    assert ids(result.segmentation) == ["organ", "lesion-glioma"]


@pytest.mark.parametrize("strokes", [False, True])
def test_a_scene_saved_with_a_lesion_open_comes_back_with_what_was_drawn(
    result: Any, scene: Any, tmp_path: Path, strokes: bool
) -> None:
    name = result.segmentation.GetName()
    segment_id = result.begin_edit(1)
    drawn = draw(result, segment_id) if strokes else segment_mask(result.segmentation, segment_id, SHAPE)
    assert save_scene(scene, str(tmp_path / "review.mrb"))
    scene.Clear(False)
    assert load_scene(scene, str(tmp_path / "review.mrb"))
    reopened = open_result(scene, scene.GetFirstNodeByName(name))
    assert decisions(reopened) == ({1: Decision.EDITED, 2: Decision.UNDECIDED} if strokes else BOTH)
    whole = shared(reopened)
    if strokes:
        whole |= segment_mask(reopened.segmentation, segment_id, SHAPE)
    assert np.array_equal(whole & drawn, drawn)
    assert np.count_nonzero(whole) == 64 + 2 * strokes


def test_undo_takes_back_the_last_step_also_where_it_labelled_a_slice(result: Any) -> None:
    result.decide(1, Decision.ACCEPTED)
    result.mark(2, "diseased")
    result.mark(2, "unsure")
    assert result.undo()
    assert result.marks == {2: "diseased"}
    assert result.undo()
    assert result.marks == {}
    assert decisions(result)[1] is Decision.ACCEPTED, "the step before it stands"
    assert result.undo()
    assert decisions(result) == BOTH


def test_what_undo_left_of_the_labels_is_what_a_saved_scene_holds(result: Any, scene: Any) -> None:
    result.mark(2, "diseased")
    result.mark(3, "normal")
    assert result.undo()
    assert open_result(scene, result.segmentation).marks == {2: "diseased"}
