"""Lesions added by clicks and borders changed, on the real scene: places in mm, one step of undo, bad input, saved scenes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtGui import QShortcut
from run_bench import Bench, ids, two_lesions
from scene_files import load_scene, save_scene
from volumes_in_scene import GEOMETRIES, add_volume, grid_transform, linear_transform

from ClamSegLib.system.errors import InputError
from ClamSegWorkflow.case import border
from ClamSegWorkflow.case.click_outline import ClickOutline
from ClamSegWorkflow.case.doubt_order import DoubtOrder, by_doubt, next_by_doubt
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.result_import import open_result
from ClamSegWorkflow.scene import SceneError, nodes_of
from ClamSegWorkflow.scene.geometry import to_world
from ClamSegWorkflow.scene.segments import segment_mask
from ClamSegWorkflow.scene.slice_clicks import SliceClicks

SHAPE = (20, 60, 64)
MISSED = (slice(8, 12), slice(35, 45), slice(38, 50))
MIDDLE = (44.0, 40.0, 10.0)  # i, j, k


def head(scene: Any, frame: str = "oblique") -> Any:
    """Noise with a found lesion and a missed one; the head ends before the scan does."""
    array = np.random.default_rng(0).normal(300, 10, SHAPE)
    array[:, :, :6] = 0
    array[3:6, 10:18, 20:30] = 420
    array[MISSED] = 400
    return add_volume(scene, array.astype(np.int16), GEOMETRIES[frame], "head")


def found(volume: Any) -> np.ndarray:
    probability = np.full(volume.array.shape, 3, np.uint8)
    probability[volume.array < 150] = 0
    probability[3:6, 10:18, 20:30] = 200
    return probability


@pytest.fixture
def bench(scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Bench(scene, found)


@pytest.fixture
def result(scene: Any, bench: Any) -> Any:
    bench.start(head(scene))
    return bench.finish()


def mask_of(result: Any, number: int) -> np.ndarray:
    part, start = result.lesions.lesion_mask(number)
    full = np.zeros(SHAPE, bool)
    full[tuple(slice(f, f + n) for f, n in zip(start, part.shape, strict=True))] = part
    return full


def dice(mask: np.ndarray, box: tuple[slice, ...] = MISSED) -> float:
    truth = np.zeros(SHAPE, bool)
    truth[box] = True
    return 2 * int((mask & truth).sum()) / (int(mask.sum()) + int(truth.sum()))


@pytest.mark.parametrize("frame", sorted(GEOMETRIES))
@pytest.mark.parametrize("transform", [None, linear_transform, grid_transform])
def test_a_click_in_mm_outlines_what_lies_there_in_every_frame_and_under_every_transform(
    scene: Any, bench: Any, frame: str, transform: Any
) -> None:
    volume = head(scene, frame)
    if transform is not None:
        volume.SetAndObserveTransformNodeID(transform(scene).GetID())
    bench.start(volume)
    result = bench.finish()
    outline = ClickOutline(result)
    outline.click(to_world(volume, MIDDLE))
    number = outline.keep()
    assert dice(mask_of(result, number)) > 0.9
    assert result.certificate().holds
    written = segment_mask(result.segmentation, f"lesion-glioma-{number}", SHAPE)
    assert np.array_equal(written, mask_of(result, number))


def test_a_kept_lesion_is_one_step_of_undo_and_stands_as_added(result: Any) -> None:
    before = result.lesions.rows()
    outline = ClickOutline(result)
    outline.click(to_world(result.volume, MIDDLE))
    outline.set_width(2)
    number = outline.keep()
    assert result.lesions.row(number).decision is Decision.ADDED
    assert result.lesions.steps.undo_words == f"lesion {number} added"
    assert result.undo()
    assert result.lesions.rows() == before
    assert result.redo()
    assert dice(mask_of(result, number)) > 0.8


def test_a_dropped_proposal_leaves_nothing_in_the_scene_and_no_step(result: Any, scene: Any) -> None:
    segments, nodes = ids(result.segmentation), scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    outline = ClickOutline(result)
    outline.click(to_world(result.volume, MIDDLE))
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == nodes + 1
    outline.drop()
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == nodes
    assert ids(result.segmentation) == segments
    assert not result.lesions.steps.undo_words


def test_wider_grows_tighter_shrinks_and_the_last_click_is_taken_back(result: Any) -> None:
    outline = ClickOutline(result)
    outline.click(to_world(result.volume, MIDDLE))
    usual = outline.words()
    outline.set_width(99)
    assert outline.width == 8
    outline.set_width(0)
    assert outline.words() == usual
    outline.click(to_world(result.volume, MIDDLE), alt=True)
    assert not outline.has_proposal
    assert outline.has_clicks, "there is something to drop and to take back"
    assert outline.take_back()
    assert outline.words() == usual
    assert outline.take_back()
    assert not outline.take_back()
    assert not outline.has_clicks
    with pytest.raises(SceneError, match="nothing to keep"):
        outline.keep()


def test_clicks_beside_the_scan_on_air_and_first_ones_that_take_away_change_nothing_and_say_why(result: Any) -> None:
    outline = ClickOutline(result)
    with pytest.raises(SceneError, match="outside the scan"):
        outline.click(to_world(result.volume, (-3, 4, 5)))
    with pytest.raises(SceneError, match="nothing to take away"):
        outline.click(to_world(result.volume, MIDDLE), alt=True)
    outline.click(to_world(result.volume, MIDDLE))
    usual = outline.words()
    organ = segment_mask(result.segmentation, "organ", SHAPE)
    if not organ.all():
        k, j, i = np.argwhere(~organ)[0]
        with pytest.raises(InputError, match="outside the organ"):
            outline.click(to_world(result.volume, (i, j, k)))
    assert outline.words() == usual


def test_a_decided_lesion_keeps_its_voxels_and_the_reader_is_told(result: Any) -> None:
    outline = ClickOutline(result)
    outline.click(to_world(result.volume, MIDDLE))
    first = outline.keep()
    kept = mask_of(result, first)
    with pytest.raises(SceneError, match=f"already, as number {first}"):
        outline.click(to_world(result.volume, MIDDLE))
    outline.drop()
    assert result.undo()
    smaller = kept.copy()
    smaller[:, :, 44:] = False
    result.lesions.redraw("half", {first: (smaller, 1)})
    result.write()
    outline.click(to_world(result.volume, (47.0, 40.0, 10.0)))
    assert f"lesion {first} stays" in outline.words()
    second = outline.keep()
    assert not (mask_of(result, second) & smaller).any()
    assert np.array_equal(mask_of(result, first), smaller)


def test_the_reader_is_told_of_an_undecided_lesion_whose_voxels_go_over_to_the_kept_one(result: Any) -> None:
    found_one = mask_of(result, 1)
    outline = ClickOutline(result)
    outline.click(to_world(result.volume, MIDDLE))
    assert "undecided" not in outline.words()
    outline.drop()
    outline.click(to_world(result.volume, (25.0, 14.0, 4.0)))
    assert "shares with undecided lesion 1" in outline.words()
    number = outline.keep()
    assert (mask_of(result, number) & found_one).any()
    assert not result.lesions.has(1) or not (mask_of(result, 1) & mask_of(result, number)).any()
    assert result.undo()
    assert np.array_equal(mask_of(result, 1), found_one)


def test_a_scan_that_was_removed_cropped_or_moved_out_of_its_place_is_not_clicked_on(result: Any, scene: Any) -> None:
    outline = ClickOutline(result)
    place = to_world(result.volume, MIDDLE)
    result.volume.SetAndObserveTransformNodeID(linear_transform(scene).GetID())
    with pytest.raises(SceneError, match="was changed"):
        outline.click(place)
    result.volume.SetAndObserveTransformNodeID(None)
    outline.click(place)
    scene.RemoveNode(result.volume)
    with pytest.raises(SceneError, match="removed"):
        outline.keep()
    assert not [n for n in nodes_of(scene, "vtkMRMLSegmentationNode") if "proposal" in n.GetName()]


def test_a_scan_of_another_size_or_a_result_that_was_deleted_is_not_clicked_on_and_the_proposal_goes(
    result: Any, scene: Any
) -> None:
    import slicer

    outline = ClickOutline(result)
    place = to_world(result.volume, MIDDLE)
    outline.click(place)
    whole = result.volume.GetImageData()
    cropped = slicer.vtkOrientedImageData()
    cropped.SetDimensions(SHAPE[2] - 10, SHAPE[1], SHAPE[0])
    cropped.AllocateScalars(whole.GetScalarType(), 1)
    result.volume.SetAndObserveImageData(cropped)
    for act in (lambda: outline.click(place), lambda: outline.set_width(1), outline.keep):
        with pytest.raises(SceneError, match="was changed"):
            act()
    result.volume.SetAndObserveImageData(whole)
    outline.click(place)
    scene.RemoveNode(result.segmentation)
    for act in (lambda: outline.click(place), outline.keep):
        with pytest.raises(SceneError, match="removed"):
            act()
    assert not [n for n in nodes_of(scene, "vtkMRMLSegmentationNode") if "proposal" in n.GetName()]


def test_of_two_windows_on_one_result_the_later_one_overwrites_nothing_that_the_first_one_kept(result: Any) -> None:
    one, other = ClickOutline(result), ClickOutline(result)
    place = to_world(result.volume, MIDDLE)
    one.click(place)
    other.click(place)
    number = one.keep()
    kept = mask_of(result, number)
    with pytest.raises(SceneError, match="decided already"):
        other.keep()
    assert other.has_proposal, "the reader may go on from it, or drop it"
    other.set_width(8)  # wider than what was kept
    later = other.keep()
    assert np.array_equal(mask_of(result, number), kept)
    assert not (mask_of(result, later) & kept).any()
    assert result.undo()
    assert np.array_equal(mask_of(result, number), kept)


def test_a_saved_scene_holds_what_was_kept_and_no_proposal(result: Any, scene: Any, tmp_path: Path) -> None:
    outline = ClickOutline(result)
    outline.click(to_world(result.volume, MIDDLE))
    number = outline.keep()
    mask = mask_of(result, number)
    outline.click(to_world(result.volume, (25.0, 14.0, 4.0)))  # proposed, not kept
    assert save_scene(scene, str(tmp_path / "review.mrb"))
    scene.Clear(False)
    assert load_scene(scene, str(tmp_path / "review.mrb"))
    nodes = nodes_of(scene, "vtkMRMLSegmentationNode")
    again = [each for each in (open_result(scene, node) for node in nodes) if each is not None]
    assert len(nodes) == len(again) == 1
    assert np.array_equal(mask_of(again[0], number), mask)
    assert again[0].lesions.row(number).decision is Decision.ADDED


def test_a_click_and_a_drag_in_a_view_are_told_apart_and_the_place_is_the_views(scene: Any) -> None:
    import slicer
    import vtk

    node = slicer.vtkMRMLSliceNode()
    node.SetName("Red")
    node.SetLayoutName("Red")
    scene.AddNode(node)
    node.SetDimensions(200, 100, 1)
    node.SetFieldOfView(100, 50, 1)
    node.SetOrientationToAxial()
    interactor = vtk.vtkGenericRenderWindowInteractor()
    told: list[Any] = []
    clicks = SliceClicks([(node, interactor)], lambda ras, alt: told.append((ras, alt)))

    def press_and_release(at: tuple[int, int], to: tuple[int, int], alt: int = 0) -> None:
        interactor.SetEventInformation(*at, 0, 0)
        interactor.SetAltKey(alt)
        interactor.InvokeEvent("LeftButtonPressEvent")
        interactor.SetEventInformation(*to, 0, 0)
        interactor.SetAltKey(alt)
        interactor.InvokeEvent("LeftButtonReleaseEvent")

    press_and_release((150, 80), (151, 80))
    press_and_release((150, 80), (190, 80))
    press_and_release((150, 80), (150, 80), alt=1)
    expected = [node.GetXYToRAS().MultiplyPoint((x, 80, 0, 1))[:3] for x in (151, 150)]
    assert [alt for _ras, alt in told] == [False, True]
    assert np.allclose([ras for ras, _alt in told], expected)
    clicks.stop()
    press_and_release((150, 80), (150, 80))
    assert len(told) == 2


@pytest.mark.parametrize(("how", "grows"), [(border.WIDER, True), (border.TIGHTER, False)])
def test_a_border_is_moved_in_one_step(result: Any, how: str, grows: bool) -> None:
    before = mask_of(result, 1)
    assert border.refine(result, 1, how) == 1
    after = mask_of(result, 1)
    assert (before & ~after).any() != grows
    assert (after & ~before).any() == grows
    assert result.lesions.row(1).decision is Decision.EDITED
    assert result.lesions.steps.undo_words == f"lesion 1 {how}"
    assert result.undo()
    assert np.array_equal(mask_of(result, 1), before)


def two_on_a_bridge(result: Any) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[6:14, 30:40, 12:22] = True
    mask[7:13, 31:39, 30:38] = True
    mask[9:11, 34:36, 22:30] = True
    result.lesions.redraw("drawn", {7: (mask, 1)})
    result.write()


def test_a_lesion_is_split_and_merged_again_each_in_one_step(result: Any) -> None:
    two_on_a_bridge(result)
    whole = mask_of(result, 7)
    other = border.refine(result, 7, border.SPLIT)
    assert other != 7
    assert np.array_equal(mask_of(result, 7) | mask_of(result, other), whole)
    assert border.nearest(result, 7) == other
    border.merge(result, 7, other)
    assert np.array_equal(mask_of(result, 7), whole)
    assert not result.lesions.has(other)
    assert result.undo()
    assert result.lesions.has(other)
    assert result.undo()
    assert np.array_equal(mask_of(result, 7), whole)


def test_what_hangs_on_a_bridge_is_cut_off_and_a_rejected_lesion_is_not_touched(result: Any) -> None:
    two_on_a_bridge(result)
    border.refine(result, 7, border.CUT)
    assert not mask_of(result, 7)[:, :, 31:].any()
    result.decide(1, Decision.REJECTED)
    with pytest.raises(SceneError, match="rejected"):
        border.refine(result, 1, border.WIDER)
    with pytest.raises(InputError, match="thin bridge"):
        border.refine(result, 7, border.CUT)


def test_the_most_doubtful_undecided_lesion_comes_first_then_the_next_and_decided_ones_never(result: Any) -> None:
    from dataclasses import replace

    row = result.lesions.row(1)
    rows = [replace(row, number=n, mean_doubt=doubt) for n, doubt in ((1, 0.2), (2, 0.9), (3, 0.5))]
    rows.append(replace(row, number=4, mean_doubt=1.0, decision=Decision.ACCEPTED))
    assert by_doubt(rows) == [2, 3, 1]
    assert [next_by_doubt(rows, after) for after in (None, 4, 2, 3, 1)] == [2, 2, 3, 1, 2]
    assert next_by_doubt([rows[3]], None) is None

    class Lesions:
        def rows(self) -> list[Any]:
            return rows

    order, lesions = DoubtOrder(), Lesions()
    chosen = 3  # by hand, or as the first one of a new result
    assert order.following(lesions, chosen) == 2, "the most doubtful one, whatever was chosen before"
    assert [order.following(lesions, chosen) for chosen in (2, 3)] == [3, 1]
    assert order.following(lesions, 3) == 2, "chosen by hand: the order begins anew"
    assert order.following(Lesions(), 2) == 2, "and for another result"


def test_in_the_window_a_click_in_the_red_view_is_kept_by_the_button_and_shown_in_the_table(window: Any) -> None:
    import slicer

    window.worker.probability_of = found
    volume = head(window.scene, "plain")
    window.choose("volumeSelector", "head")
    window.click("applyButton")
    while window.panel.segment.run.job.is_busy:
        asked = len(window.worker.requests)
        window.worker.answer()
        window.wait_until(lambda: len(window.worker.requests) > asked or not window.panel.segment.run.job.is_busy)  # noqa: B023
    before = len(window.cells("lesionTable"))
    assert not window.ui.keepButton.enabled
    window.click("clickButton")
    widget = slicer.app.layoutManager().sliceWidget("Red")
    node, interactor = widget.mrmlSliceNode(), widget.sliceView().interactor()
    node.SetDimensions(400, 400, 1)
    node.SetFieldOfView(200, 200, 1)
    place = to_world(volume, MIDDLE)
    node.SetOrientationToAxial()
    node.JumpSliceByCentering(*place)
    from_ras = node.GetXYToRAS().__class__()
    from_ras.DeepCopy(node.GetXYToRAS())
    from_ras.Invert()
    x, y = (round(value) for value in from_ras.MultiplyPoint((*place, 1.0))[:2])
    for event in ("LeftButtonPressEvent", "LeftButtonReleaseEvent"):
        interactor.SetEventInformation(x, y, 0, 0)
        interactor.InvokeEvent(event)
    assert "Proposed" in window.ui.clickLabel.text
    window.click("widerButton")
    window.click("keepButton")
    cells = window.cells("lesionTable")
    assert len(cells) == before + 1
    assert cells[-1][-1] == "+ added"
    assert window.ui.clickButton.checked, "the next missed lesion is one click away"
    window.click("clickButton")
    assert not window.ui.clickLabel.visible
    window.click("undoButton")
    assert len(window.cells("lesionTable")) == before


def test_while_another_run_goes_on_clicks_still_fill_the_result_under_review_and_its_end_loses_none_of_them(
    window: Any,
) -> None:
    window.worker.probability_of = found
    volume = head(window.scene, "plain")
    window.choose("volumeSelector", "head")

    def run_to_its_end() -> None:
        while window.panel.segment.run.job.is_busy:
            asked = len(window.worker.requests)
            window.worker.answer()
            window.wait_until(
                lambda: len(window.worker.requests) > asked or not window.panel.segment.run.job.is_busy  # noqa: B023
            )

    window.click("applyButton")
    run_to_its_end()
    first = window.panel.review.result
    before = len(first.lesions.rows())
    window.wait_until(lambda: window.ui.segmentSection.collapsed)  # the result took its room
    window.open("segmentSection")
    window.click("applyButton")
    assert window.panel.segment.run.job.is_busy
    window.click("clickButton")
    tool = window.panel.review._clicks
    tool._clicked(list(to_world(volume, MIDDLE)), False)
    assert "Proposed" in window.ui.clickLabel.text
    window.click("keepButton")
    number = first.lesions.rows()[-1].number
    kept = mask_of(first, number)
    tool._clicked(list(to_world(volume, (25.0, 50.0, 15.0))), False)  # proposed when the run ends
    run_to_its_end()
    assert window.panel.review.result is first, "the reader is at work on it"
    assert window.ui.clickButton.checked
    assert "Proposed" in window.ui.clickLabel.text
    waits = max((n for n in window.entries("resultSelector") if n in window.text("arrivedLabel")), key=len)
    window.choose("resultSelector", waits)
    assert window.panel.review.result is not first
    assert not window.shown("arrivedLabel")
    assert not window.ui.clickButton.checked, "the clicks belonged to the other result"
    assert not [n for n in nodes_of(window.scene, "vtkMRMLSegmentationNode") if "proposal" in n.GetName()]
    assert first.is_alive()
    assert len(first.lesions.rows()) == before + 1
    assert np.array_equal(mask_of(first, number), kept)


def test_return_in_a_field_keeps_no_proposal_and_strokes_in_the_segment_editor_are_no_clicks(window: Any) -> None:
    from test_review_section import segmented, states

    segmented(window, two_lesions)
    result = window.panel.review.result
    window.click("clickButton")
    window.panel.review._clicks._clicked(list(to_world(result.volume, (5.0, 5.0, 4.0))), False)
    assert window.ui.keepButton.enabled
    window.press("minimumSizeBox", "Return")
    assert window.ui.keepButton.enabled, "it is still a proposal"
    assert "+ added" not in states(window)
    window.press("lesionTable", "Return")
    assert "+ added" in states(window)
    assert not window.ui.keepButton.enabled
    window.press("lesionTable", "Return")  # nothing is proposed
    assert window.dialogs.errors() == []
    keys = {key.key().toString(): key.autoRepeat() for key in window.native("clickButton").findChildren(QShortcut)}
    assert keys == {"Return": False, "Enter": False, "Esc": False, "+": True, "-": True, "M": False}
    window.click("editButton")
    assert window.panel.review._clicks._clicks is None
    assert not window.ui.clickButton.checked
