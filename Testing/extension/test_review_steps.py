"""Every step of a review has a name, is taken back and done again; small lesions are rejected in one step."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from run_bench import SHAPE, Bench, ids, mr

from ClamSegWorkflow.case.lesion_row import Decision, LesionRow
from ClamSegWorkflow.case.review_files import write_review
from ClamSegWorkflow.case.table_view import TableView, neighbour, next_undecided, size_of
from ClamSegWorkflow.scene import remove_node
from ClamSegWorkflow.scene.segments import SegmentLook, put_segment, segment_mask


@pytest.fixture
def result(scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bench = Bench(scene)
    bench.start(mr(scene, "oblique"))
    return bench.finish()


def decisions(result: Any) -> list[str]:
    return [row.decision.value for row in result.lesions.rows()]


def test_undo_and_redo_name_their_step_and_go_back_and_forth(result: Any) -> None:
    steps = result.lesions.steps
    assert (steps.undo_words, steps.redo_words) == ("", "")
    result.decide(1, Decision.ACCEPTED)
    result.mark(3, "diseased")
    result.set_threshold(0.6)
    assert steps.undo_words == "threshold 0.60"
    assert result.undo()
    assert (steps.undo_words, steps.redo_words) == ("slice 4 labelled diseased", "threshold 0.60")
    assert result.undo()
    assert result.undo()
    assert decisions(result) == ["undecided", "undecided"]
    assert not result.undo()
    assert steps.redo_words == "lesion 1 accepted"
    for _step in range(3):
        assert result.redo()
    assert not result.redo()
    assert decisions(result)[0] == "accepted"
    assert result.marks == {3: "diseased"}
    assert result.lesions.threshold == 0.6


def test_redo_brings_a_drawing_back_to_the_voxel_and_a_new_step_takes_its_place(result: Any) -> None:
    segment_id = result.begin_edit(1)
    mask = segment_mask(result.segmentation, segment_id, SHAPE)
    mask[0, 0, :2] = True
    put_segment(result.segmentation, result.volume, SegmentLook(segment_id, "x", (1, 2, 3)), mask)
    assert result.end_edit()
    assert result.lesions.steps.undo_words == "lesion 1 edited"
    assert result.undo()
    assert segment_id not in ids(result.segmentation)
    assert result.redo()
    assert np.array_equal(segment_mask(result.segmentation, segment_id, SHAPE), mask)
    assert result.undo()
    result.decide(2, Decision.REJECTED)
    assert not result.redo()


def test_all_lesions_below_a_size_are_rejected_in_one_step_and_decided_ones_stay(result: Any) -> None:
    small, large = sorted(result.lesions.rows(), key=size_of)
    between = (size_of(small) + size_of(large)) / 2
    assert result.reject_below(between) == 1
    assert result.lesions.row(small.number).decision is Decision.REJECTED
    assert result.lesions.row(large.number).decision is Decision.UNDECIDED
    assert result.lesions.steps.undo_words == f"1 lesion below {between:g} ml rejected"
    assert result.undo()
    result.decide(small.number, Decision.ACCEPTED)
    before = result.lesions.steps.revision
    assert result.reject_below(between) == 0
    assert result.lesions.steps.revision == before, "where nothing is rejected there is no step"
    assert result.undo()
    assert result.reject_below(size_of(large) + 1.0) == 2
    assert decisions(result) == ["rejected", "rejected"]
    assert result.undo()
    assert decisions(result) == ["undecided", "undecided"]


def test_the_summary_counts_rejected_lesions_as_found_and_decided(result: Any) -> None:
    result.decide(1, Decision.REJECTED)
    assert result.summary().startswith("2 lesions (glioma), 1 decided (1 rejected), ")
    result.decide(2, Decision.ACCEPTED)
    assert result.summary().startswith("2 lesions (glioma), 2 decided (1 rejected), ")


def test_a_review_waits_for_export_until_it_is_written_and_again_after_the_next_step(
    result: Any, tmp_path: Path
) -> None:
    assert not result.waits_for_export(), "nothing was decided yet"
    result.decide(1, Decision.ACCEPTED)
    assert result.waits_for_export()
    write_review(result, "table", tmp_path / "table")
    result.know_as_exported()
    assert not result.waits_for_export()
    result.decide(2, Decision.REJECTED)
    assert result.waits_for_export()
    assert result.undo()
    assert not result.waits_for_export(), "what stands again is in the file"


def test_a_step_taken_while_a_file_is_written_still_waits_for_export(result: Any) -> None:
    result.decide(1, Decision.ACCEPTED)
    written = result.lesions.steps.revision
    result.decide(2, Decision.REJECTED)
    result.know_as_exported(written)
    assert result.waits_for_export()
    assert result.undo()
    assert not result.waits_for_export()


def row(number: int, ml: float | None, doubt: float = 0.0, decision: Decision = Decision.UNDECIDED) -> LesionRow:
    px = 10 * number
    return LesionRow(
        number, "x", decision, 9 - number, 9 - number, 1, ml, px, None, number / 10, doubt, (0, 0, 0), (0, 0, 0)
    )


ROWS = [row(1, 0.5, 0.1), row(2, 2.0, 0.9, Decision.ACCEPTED), row(3, 0.05, 0.5), row(4, 0.5, 0.2)]


def numbers(view: TableView, rows: list[LesionRow] = ROWS) -> list[int]:
    return [each.number for each in view.rows(rows)]


def test_the_table_is_sorted_by_any_column_and_turned_round_by_a_second_click() -> None:
    assert numbers(TableView()) == [1, 2, 3, 4]
    by_size = TableView().sorted_by("size")
    assert numbers(by_size) == [2, 1, 4, 3], "the largest first, equal ones by number"
    assert numbers(by_size.sorted_by("size")) == [3, 1, 4, 2]
    assert numbers(TableView().sorted_by("doubt")) == [2, 3, 4, 1]
    assert numbers(TableView().sorted_by("slices")) == [4, 3, 2, 1]
    assert numbers(TableView().sorted_by("decision")) == [1, 3, 4, 2]
    with pytest.raises(ValueError, match="no column"):
        TableView().sorted_by("colour")


def test_filters_leave_out_decided_and_small_lesions_in_pixels_where_no_ml_are_known() -> None:
    assert numbers(TableView(undecided_only=True)) == [1, 3, 4]
    assert numbers(TableView(minimum=0.1)) == [1, 2, 4]
    assert numbers(TableView(minimum=25), [row(n, None) for n in (1, 2, 3)]) == [3]


def test_next_and_previous_follow_the_order_of_the_table_and_stop_at_its_ends() -> None:
    shown = TableView().sorted_by("size").rows(ROWS)  # 2 1 4 3
    assert neighbour(shown, 2, 1) == 1
    assert neighbour(shown, 3, 1) == 3
    assert neighbour(shown, 2, -1) == 2
    assert neighbour(shown, 0, 1) == 2
    assert neighbour([], 2, 1) is None
    undecided = TableView("size", True, undecided_only=True)
    after = [each for each in undecided.rows(ROWS) if each.number != 1]
    assert next_undecided(undecided.rows(ROWS), after, 1) == 4, "the decided one has left the table"
    assert next_undecided(shown, shown, 3) == 1, "from the top again"
    assert next_undecided([], [], 3) is None


def test_a_result_that_is_removed_leaves_no_item_in_the_subject_hierarchy(result: Any) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(result.scene)
    if not hierarchy.GetItemByDataNode(result.volume):  # as the page does, where no plug-in makes items
        hierarchy.CreateItem(hierarchy.GetSceneItemID(), result.volume)
    segmentation, volume = result.segmentation, result.volume
    if not hierarchy.GetItemByDataNode(segmentation):
        hierarchy.CreateItem(hierarchy.GetSceneItemID(), segmentation)
    result.remove()
    assert not hierarchy.GetItemByDataNode(segmentation)
    remove_node(result.scene, volume)
    assert not hierarchy.GetItemByDataNode(volume)
    assert not result.scene.IsNodePresent(volume)
