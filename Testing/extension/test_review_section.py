"""The review in the window: what a reader clicks, sees, decides and takes away."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from run_bench import SHAPE, mr, two_lesions

from ClamSegWorkflow.scene.geometry import matrix_of
from ClamSegWorkflow.scene.segments import SegmentLook, add_segmentation, put_segment, segment_mask

CONDITION, CONDITION_NAME = "glioma", "Glioma"


def segmented(window: Any, probability_of: Any = two_lesions, name: str = "flair head", frame: str = "plain") -> Any:
    """Chooses a scan and segments it."""
    window.worker.probability_of = probability_of
    mr(window.scene, frame, name)
    window.open("inputSection")
    window.choose("volumeSelector", name)
    return run_to_the_end(window)


def run_to_the_end(window: Any) -> Any:
    """Clicks Segment, lets the worker answer; gives the result's segmentation."""
    window.open("segmentSection")
    window.click("applyButton")
    while window.panel.segment.run.job.is_busy:
        asked = len(window.worker.requests)
        window.worker.answer()
        window.wait_until(lambda: len(window.worker.requests) > asked or not window.panel.segment.run.job.is_busy)  # noqa: B023
    window.wait_until(lambda: window.ui.inputSection.collapsed)
    return window.panel.review.result.segmentation


def states(window: Any) -> list[str]:
    return [cells[-1] for cells in window.cells("lesionTable")]


def red_slice() -> float:
    node = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    return float(node.GetSliceToRAS().GetElement(2, 3))


def segment_names(segmentation: Any) -> list[str]:
    data = segmentation.GetSegmentation()
    return [data.GetNthSegment(n).GetName() for n in range(data.GetNumberOfSegments())]


def way_back() -> Any:
    """The button above the Segment Editor that leads back to the review; None where there is none."""
    module = slicer.util.getModuleWidget("SegmentEditor")
    import qt

    found = [button for button in module.parent.findChildren(qt.QPushButton) if button.isVisibleTo(module.parent)]
    return found[0] if found else None


def test_before_any_result_nothing_can_be_decided(window: Any) -> None:
    window.open("reviewSection")
    assert window.text("summaryLabel") == "Nothing to review yet; segment a scan first."
    for name in ("acceptButton", "thresholdSlider", "exportButton", "markNormalButton", "saveCorrectionsButton"):
        assert not window.native(name).isEnabled()


def test_a_result_opens_with_its_lesions_its_certificate_and_the_first_lesion_in_view(window: Any) -> None:
    segmented(window)
    assert not window.ui.reviewSection.collapsed
    assert window.text("summaryLabel") == "2 lesions (glioma), 0 decided, 9 of 9 slices analysed"
    assert window.text("certificateLabel") == "Geometry: aligned, 0.000 mm"
    assert [cells[0] for cells in window.cells("lesionTable")] == ["1", "2"]
    assert window.cells("lesionTable")[0][1:3] == ["7\u20138", "0.08 ml, 6 mm"]
    # lesion 1 fills slices 6 and 7 of 2 mm from -60 mm: one of them is shown, not what lies between
    assert red_slice() == pytest.approx(-46.0)


def test_with_a_result_the_review_has_the_room_and_another_scan_opens_the_steps_before_it(window: Any) -> None:
    segmented(window)
    assert window.ui.inputSection.collapsed
    assert window.ui.segmentSection.collapsed
    assert not window.ui.reviewSection.collapsed
    mr(window.scene, name="second head")
    window.open("inputSection")
    window.choose("volumeSelector", "second head")
    assert not window.ui.segmentSection.collapsed
    # what was hidden when it folded is not there again: nothing runs
    assert not window.shown("progressBar")


def test_a_result_of_an_oblique_scan_is_seen_in_its_own_slices(window: Any) -> None:
    segmented(window, frame="oblique")
    result = window.panel.review.result
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed").GetSliceToRAS()
    corners = [red.MultiplyPoint((across, down, 0.0, 1.0)) for across in (-50.0, 50.0) for down in (-50.0, 50.0)]
    seen = {round(float((np.linalg.inv(matrix_of(result.volume)) @ corner)[2]), 6) for corner in corners}
    # lesion 1 fills slices 6 and 7: the view shows the whole of one of them
    assert seen == {7.0}


def test_an_empty_result_says_that_every_slice_was_analysed(window: Any) -> None:
    segmented(window, lambda volume: np.zeros(volume.array.shape, np.uint8))
    words = "No glioma of 0.03 ml or more found, nothing else was looked for, 9 of 9 slices analysed"
    assert window.text("summaryLabel") == words
    assert window.cells("lesionTable") == []
    assert not window.dialogs.errors()


def test_a_click_on_a_lesion_goes_there_in_all_views_and_keeps_the_zoom(window: Any) -> None:
    segmented(window)
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    red.SetFieldOfView(33.0, 44.0, 1.0)
    yellow = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeYellow")
    window.click_cell("lesionTable", 1)
    assert red_slice() == pytest.approx(-54.0)
    # lesion 2 spans columns 4..7 of 1 mm, counted to the left from +40 mm
    assert yellow.GetSliceToRAS().GetElement(0, 3) == pytest.approx(40 - 6)
    assert red.GetFieldOfView()[:2] == (33.0, 44.0)


def test_the_chosen_lesion_is_pointed_at_and_a_reader_who_switches_that_off_is_obeyed(window: Any) -> None:
    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    assert crosshair.GetCrosshairMode() == crosshair.NoCrosshair
    segmented(window)
    window.click_cell("lesionTable", 1)
    assert crosshair.GetCrosshairMode() == crosshair.ShowSmallBasic
    assert crosshair.GetCrosshairRAS()[2] == pytest.approx(-54.0)
    crosshair.SetCrosshairMode(crosshair.NoCrosshair)
    window.click_cell("lesionTable", 0)
    assert crosshair.GetCrosshairMode() == crosshair.NoCrosshair


def test_keys_decide_while_the_table_has_the_focus_and_the_next_lesion_is_shown(window: Any) -> None:
    segmentation = segmented(window)
    window.click_cell("lesionTable", 0)
    window.press("lesionTable", "A")
    assert states(window) == ["\u2713 accepted", "undecided"]
    assert window.panel.review._table.chosen() == 2
    window.press("lesionTable", "R")
    assert states(window) == ["\u2713 accepted", "\u2717 rejected"]
    assert window.text("summaryLabel") == "2 lesions (glioma), 2 decided (1 rejected), 9 of 9 slices analysed"
    assert not segment_mask(segmentation, f"lesion-{CONDITION}", SHAPE).any()
    window.press("lesionTable", "U")
    assert states(window) == ["\u2713 accepted", "undecided"]


def test_where_all_lesions_are_rejected_none_is_said_to_be_missing(window: Any) -> None:
    segmented(window)
    window.click_cell("lesionTable", 0)
    window.press("lesionTable", "R")
    window.press("lesionTable", "R")
    assert states(window) == ["\u2717 rejected", "\u2717 rejected"]
    assert window.text("summaryLabel") == "No glioma is left, all that was marked is rejected, 9 of 9 slices analysed"


def test_a_key_typed_elsewhere_decides_nothing(window: Any) -> None:
    segmented(window)
    window.click_cell("lesionTable", 0)
    window.press("thresholdSlider", "R")
    window.open("segmentSection")
    window.press("applyButton", "R")
    assert states(window) == ["undecided", "undecided"]


def test_dragging_moves_the_map_and_letting_go_the_masks_of_undecided_lesions(window: Any) -> None:
    segmentation = segmented(window)
    window.click_cell("lesionTable", 0)
    window.click("acceptButton")
    frozen = segment_mask(segmentation, f"lesion-{CONDITION}-1", SHAPE)
    before = segment_mask(segmentation, f"lesion-{CONDITION}", SHAPE)
    shown = segmentation.GetNodeReference("ClamSeg.probability").GetDisplayNode()
    slider = window.native("thresholdSlider")
    slider.slider.setSliderDown(True)
    slider.spin_box.setValue(0.7)
    window.process_events()
    assert shown.GetLowerThreshold() == np.floor(0.7 * 255) + 1
    assert np.array_equal(segment_mask(segmentation, f"lesion-{CONDITION}", SHAPE), before)
    assert window.text("overlaySelector") == "probability"
    slider.slider.setSliderDown(False)
    window.process_events()
    assert np.array_equal(segment_mask(segmentation, f"lesion-{CONDITION}", SHAPE), before)
    window.drag("thresholdSlider", [0.95, 0.9])
    assert not segment_mask(segmentation, f"lesion-{CONDITION}", SHAPE).any()
    assert np.array_equal(segment_mask(segmentation, f"lesion-{CONDITION}-1", SHAPE), frozen)


def test_marks_do_not_cover_the_map_while_it_is_dragged_and_are_filled_again_afterwards(window: Any) -> None:
    segmentation = segmented(window)
    window.click_cell("lesionTable", 0)
    window.click("acceptButton")
    display = segmentation.GetDisplayNode()
    slider = window.native("thresholdSlider")

    def fills() -> tuple[float, float]:
        ids = (f"lesion-{CONDITION}", f"lesion-{CONDITION}-1")
        return tuple(display.GetSegmentOpacity2DFill(each) for each in ids)

    slider.slider.setSliderDown(True)
    slider.spin_box.setValue(0.6)
    window.process_events()
    assert fills() == (0.0, 1.0), "only what may still change becomes an outline"
    assert display.GetSegmentOpacity2DOutline(f"lesion-{CONDITION}") == 1.0
    slider.spin_box.setValue(0.5)
    window.process_events()
    assert fills() == (1.0, 1.0), "dragged back to where it was nothing is told on release"
    slider.spin_box.setValue(0.7)
    slider.slider.setSliderDown(False)
    window.process_events()
    assert fills() == (1.0, 1.0)


def test_the_map_of_the_probability_is_told_from_the_marks_by_its_colours(window: Any) -> None:
    segmentation = segmented(window)
    mark = np.array(segmentation.GetSegmentation().GetSegment(f"lesion-{CONDITION}").GetColor())
    table = segmentation.GetNodeReference("ClamSeg.probability").GetDisplayNode().GetColorNode()
    colour = [0.0] * 4
    for step in range(0, 256, 5):
        table.GetColor(step, colour)
        assert np.linalg.norm(np.array(colour[:3]) - mark) > 0.5, step


def test_before_and_after_and_the_maps_over_the_slices(window: Any) -> None:
    segmentation = segmented(window)
    window.choose("overlaySelector", "doubt")
    composite = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    assert composite.GetForegroundVolumeID() == segmentation.GetNodeReference("ClamSeg.doubt").GetID()
    window.click("hideButton")
    assert not segmentation.GetDisplayNode().GetVisibility()
    assert composite.GetForegroundVolumeID() is None
    assert window.text("hideButton") == "Show"
    window.press("lesionTable", "H")
    assert segmentation.GetDisplayNode().GetVisibility()
    assert composite.GetForegroundOpacity() > 0
    window.set_value("opacitySlider", 0.2)
    assert segmentation.GetDisplayNode().GetOpacity2DFill() == pytest.approx(0.2)


def test_a_lesion_is_edited_in_the_segment_editor_and_taken_over_on_the_way_back(window: Any) -> None:
    segmentation = segmented(window)
    window.click_cell("lesionTable", 0)
    window.click("editButton")
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    assert slicer.util.selectedModule() == "SegmentEditor"
    assert editor.currentSegmentID() == f"lesion-{CONDITION}-1"
    assert segment_names(segmentation)[-1] == f"{CONDITION_NAME} 1", "what is being drawn is not called accepted"
    drawn = np.zeros(SHAPE, bool)
    drawn[5, 1:4, 1:4] = True
    put_segment(
        segmentation, window.panel.review.result.volume, SegmentLook(f"lesion-{CONDITION}-1", "x", (1, 2, 3)), drawn
    )
    way_back().click()
    window.process_events()
    assert slicer.util.selectedModule() == "ClamSeg"
    assert way_back() is None, "the editor is left as it was"
    assert states(window) == ["\u270e edited", "undecided"]
    assert segment_names(segmentation)[-1] == f"{CONDITION_NAME} 1 (edited)"
    assert window.cells("lesionTable")[0][1] == "6"


def test_a_lesion_opened_in_the_editor_and_left_as_it_is_stays_undecided(window: Any) -> None:
    segmentation = segmented(window)
    window.click_cell("lesionTable", 0)
    window.click("editButton")
    slicer.util.selectModule("ClamSeg")
    assert segment_names(segmentation)[-1] == CONDITION_NAME, "it lies among the undecided ones again"
    assert states(window) == ["undecided", "undecided"]


def test_a_missed_lesion_is_added_and_an_untouched_one_leaves_nothing(window: Any) -> None:
    segmentation = segmented(window)
    window.click("addButton")
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    added = editor.currentSegmentID()
    assert added == f"lesion-{CONDITION}-3"
    slicer.util.selectModule("ClamSeg")
    assert states(window) == ["undecided", "undecided"]
    assert segmentation.GetSegmentation().GetSegment(added) is None
    window.click("addButton")
    drawn = np.zeros(SHAPE, bool)
    drawn[0, 1:4, 1:4] = True
    put_segment(
        segmentation, window.panel.review.result.volume, SegmentLook(editor.currentSegmentID(), "x", (1, 2, 3)), drawn
    )
    way_back().click()
    assert states(window) == ["undecided", "undecided", "+ added"]


def test_the_slice_in_view_is_marked_and_the_mark_is_saved_with_the_result(window: Any) -> None:
    segmentation = segmented(window)
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    red.JumpSliceByCentering(0.0, 0.0, -56.0)  # slice 2 of 2 mm from -60 mm
    window.wait_until(lambda: window.text("sliceMarkLabel") == "Slice 3 of 9:")
    window.click("markNormalButton")
    assert window.native("markNormalButton").isChecked()
    assert '"marks": {"2": "normal"}' in segmentation.GetAttribute("ClamSeg.review")
    window.click("markUnsureButton")
    assert window.panel.review.result.marks == {2: "unsure"}
    window.click("markUnsureButton")
    assert window.panel.review.result.marks == {}
    red.JumpSliceByCentering(0.0, 0.0, 500.0)
    window.wait_until(lambda: window.text("sliceMarkLabel") == "Slice:")


def test_corrections_are_saved_where_fine_tuning_looks(window: Any, tmp_path: Path) -> None:
    segmented(window)
    window.panel.keep_setting("correctionsFolder", str(tmp_path / "Korrekturen"))
    window.click("saveCorrectionsButton")
    assert "Nothing was decided yet" in window.dialogs.errors()[-1]
    assert not (tmp_path / "Korrekturen").exists()
    window.click_cell("lesionTable", 0)
    window.click("acceptButton")
    window.click("saveCorrectionsButton")
    assert window.text("exportLabel") == "2 slices saved for fine-tuning."
    with (tmp_path / "Korrekturen" / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["slice_index"], row["label"], row["correction"]) for row in rows] == [
        ("6", CONDITION, "1"),
        ("7", CONDITION, "1"),
    ]


@pytest.mark.parametrize(
    ("kind", "ending"), [("segmentation", ".seg.nrrd"), ("nifti", ".nii.gz"), ("table", ".csv"), ("report", ".html")]
)
def test_every_kind_of_export_writes_its_file(window: Any, tmp_path: Path, kind: str, ending: str) -> None:
    segmented(window)
    window.panel.review._export.export(kind, tmp_path / "befund")
    assert (tmp_path / f"befund{ending}").stat().st_size > 0
    assert window.text("exportLabel").startswith(f"Written: befund{ending}.")
    assert not window.dialogs.errors()


def test_what_was_written_does_not_stand_under_an_export_that_failed(window: Any, tmp_path: Path) -> None:
    segmented(window)
    export = window.panel.review._export
    export.export("report", tmp_path / "mr")
    assert window.text("exportLabel") == "Written: mr.html."
    export.export("dicom", tmp_path / "x.dcm")  # the scan is not from DICOM
    assert len(window.dialogs.errors()) == 1
    assert window.text("exportLabel") == ""
    export.export("report", tmp_path / "mr")
    window.panel.keep_setting("correctionsFolder", str(tmp_path / "mr.html"))  # a file is no folder
    window.click("saveCorrectionsButton")
    assert len(window.dialogs.errors()) == 2
    assert window.text("exportLabel") == ""


def test_dicom_seg_of_a_scan_that_is_no_dicom_is_refused_in_words(window: Any, tmp_path: Path) -> None:
    segmented(window)
    window.panel.review._export.export("dicom", tmp_path / "x.dcm")
    assert "needs a volume loaded from DICOM" in window.dialogs.errors()[-1]
    assert list(tmp_path.iterdir()) == []


def test_two_dicom_files_wait_for_the_worker_side_by_side_and_what_is_decided_meanwhile_is_in_neither(
    window: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmented(window)
    result = window.panel.review.result
    files = {f"1.2.{n}": tmp_path / f"{n}.dcm" for n in range(SHAPE[0])}
    for file in files.values():
        file.write_bytes(b"a slice")
    result.volume.SetAttribute("DICOM.instanceUIDs", " ".join(files))

    class Database:
        def fileForInstance(self, uid: str) -> str:
            return str(files[uid])

        def instanceValue(self, _uid: str, _tag: str) -> str:
            return ""

    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    window.click("acceptButton")
    for kind in ("dicom", "dicom_sr"):
        window.panel.review._export.export(kind, tmp_path / "x.dcm")
    (seg, seg_values, seg_answered), (sr, sr_values, _) = window.worker.requests[-2:]
    assert (seg, sr) == ("dicom_seg", "dicom_sr")
    for values in (seg_values, sr_values):
        assert len(list(Path(values["input"]).iterdir())) == SHAPE[0], "the worker reads it later"
    window.click("rejectButton")
    seg_answered({"event": "done"})
    assert not Path(seg_values["input"]).exists()
    assert len(list(Path(sr_values["input"]).iterdir())) == SHAPE[0]
    assert window.text("exportLabel").endswith("What was decided since it was asked for is not in it.")
    assert result.waits_for_export()
    window.panel.close()
    assert not Path(sr_values["input"]).parent.exists()


def test_kinds_that_need_a_missing_package_say_so_in_the_menu_and_when_they_are_asked_for(
    window: Any, tmp_path: Path
) -> None:
    segmented(window)
    menu = window.native("exportButton").menu()
    assert "needs highdicom" not in " ".join(action.text() for action in menu.actions())
    window.logic.installation = {"packages": {"highdicom": None}}
    window.panel.review.show_installation()
    needing = [action.text() for action in menu.actions() if "needs highdicom: Setup, Install" in action.text()]
    assert [words.split("...")[0] for words in needing] == ["DICOM SEG", "DICOM SR of the lesions, with its SEG"]
    window.panel.review._export.export("dicom_sr", tmp_path / "x.sr.dcm")
    assert "highdicom, which is not installed. Setup, Install brings it." in window.dialogs.errors()[-1]
    assert list(tmp_path.iterdir()) == []


def test_sizes_under_a_scaling_transform_are_told_as_the_scans_own(window: Any) -> None:
    segmented(window)
    assert window.text("statisticsLabel") == "0.13 ml in all; 2 undecided"
    scaled = window.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "registered")
    scaled.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.diag([1.0, 1.0, 1.5, 1.0])))
    for node in (window.panel.review.result.volume, window.panel.review.result.segmentation):
        node.SetAndObserveTransformNodeID(scaled.GetID())
    window.panel.review.refresh()
    assert window.text("statisticsLabel").splitlines() == [
        "0.13 ml in all; 2 undecided",
        "Sizes are those of the scan itself; its transform multiplies every volume by 1.50, not in them.",
    ]


def test_a_segmentation_of_someone_else_is_named_as_such_and_left_alone(window: Any) -> None:
    segmented(window)
    other = add_segmentation(window.scene, window.panel.review.result.volume, "by hand")
    put_segment(other, window.panel.review.result.volume, SegmentLook("a", "a", (1, 2, 3)), np.ones(SHAPE, bool))
    window.choose("resultSelector", "by hand")
    assert "not a result of ClamSeg" in window.text("summaryLabel")
    assert not window.native("acceptButton").isEnabled()
    assert segment_mask(other, "a", SHAPE).all()


def test_results_of_several_scans_are_reviewed_in_turn(window: Any) -> None:
    first = segmented(window, name="flair head a")
    window.click_cell("lesionTable", 0)
    window.click("rejectButton")
    second = segmented(window, name="flair head b")
    assert states(window) == ["undecided", "undecided"]
    window.choose("resultSelector", first.GetName())
    assert states(window) == ["\u2717 rejected", "undecided"]
    assert first.GetName() != second.GetName()


def test_a_result_that_is_chosen_brings_its_scan_and_puts_other_scans_results_away(window: Any) -> None:
    first = segmented(window, name="flair head a")
    by_hand = add_segmentation(window.scene, window.panel.review.result.volume, "by hand")
    by_hand.CreateDefaultDisplayNodes()
    window.click("hideButton")
    window.panel.review.bind()
    assert window.text("hideButton") == "Show", "what is hidden stays said"
    second = segmented(window, name="flair head b")
    assert window.text("hideButton") == "Hide"
    composite = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    for chosen, other, name in ((second, first, "b"), (first, second, "a"), (second, first, "b")):
        if window.panel.review.result.segmentation is not chosen:
            window.choose("resultSelector", chosen.GetName())
        shown = slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID())
        assert shown.GetName() == f"flair head {name}"
        assert chosen.GetDisplayNode().GetVisibility()
        assert not other.GetDisplayNode().GetVisibility()
        assert by_hand.GetDisplayNode().GetVisibility()


def test_of_two_results_of_one_scan_only_the_one_under_review_is_seen(window: Any) -> None:
    """Hidden, the one under review must leave the bare scan, not the marks of another run."""
    first = segmented(window)
    second = run_to_the_end(window)
    assert second is not first
    assert not first.GetDisplayNode().GetVisibility()
    assert second.GetDisplayNode().GetVisibility()
    window.click("hideButton")
    assert not any(node.GetDisplayNode().GetVisibility() for node in (first, second))
    window.choose("resultSelector", first.GetName())
    assert first.GetDisplayNode().GetVisibility()
    assert not second.GetDisplayNode().GetVisibility()


def test_after_the_second_result_the_button_hides_what_is_seen(window: Any) -> None:
    """In Slicer the list tells of a chosen result before it is opened; the result before must not be brought then."""
    segmented(window, name="flair head a")
    second = segmented(window, name="flair head b")
    assert second.GetDisplayNode().GetVisibility()
    assert window.text("hideButton") == "Hide"
    assert not window.native("hideButton").isChecked()
    window.click("hideButton")
    assert not second.GetDisplayNode().GetVisibility()
    assert window.text("hideButton") == "Show"


def test_a_result_that_lies_elsewhere_is_brought_into_the_views_and_a_zoom_on_the_same_scan_stays(window: Any) -> None:
    near = segmented(window, name="flair head near")
    far = mr(window.scene, "plain", "flair head far")
    moved = matrix_of(far)
    moved[:3, 3] += (900.0, -300.0, 450.0)
    far.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(moved))
    window.open("inputSection")
    window.choose("volumeSelector", "flair head far")
    window.worker.probability_of = lambda volume: np.zeros(volume.array.shape, np.uint8)  # no lesion to jump to
    run_to_the_end(window)
    assert_scan_is_in_view(far)
    window.choose("resultSelector", near.GetName())
    assert_scan_is_in_view(window.panel.review.result.volume)
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    red.SetFieldOfView(5.0, 5.0, 1.0)
    window.panel.review._bring(near)
    assert red.GetFieldOfView()[:2] == (5.0, 5.0)


def assert_scan_is_in_view(volume: Any) -> None:
    """The middle of every slice view lies in the scan."""
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    for name in ("Red", "Green", "Yellow"):
        place = slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNode{name}").GetSliceToRAS()
        for axis in range(3):
            assert bounds[2 * axis] <= place.GetElement(axis, 3) <= bounds[2 * axis + 1], name


def test_a_scan_removed_under_review_ends_the_review_and_nothing_else(window: Any) -> None:
    segmented(window)
    window.scene.RemoveNode(window.panel.review.result.volume)
    window.widget.enter()
    assert window.panel.review.result is None
    assert not window.native("acceptButton").isEnabled()


def test_the_scene_closed_leaves_an_empty_review_and_the_next_scan_works(window: Any) -> None:
    segmented(window)
    window.scene.Clear(False)
    window.process_events()
    assert window.cells("lesionTable") == []
    assert window.text("summaryLabel") == "Nothing to review yet; segment a scan first."
    segmented(window, name="flair head next")
    assert len(window.cells("lesionTable")) == 2


def test_undo_and_redo_name_their_step_and_work_by_key(window: Any) -> None:
    segmented(window)
    assert not window.native("undoButton").isEnabled()
    window.click_cell("lesionTable", 0)
    window.press("lesionTable", "A")
    assert window.text("undoLabel") == "lesion 1 accepted"
    assert "lesion 1 accepted" in window.native("undoButton").toolTip()
    assert not window.native("redoButton").isEnabled()
    window.press("lesionTable", "U")
    assert states(window) == ["undecided", "undecided"]
    assert "lesion 1 accepted" in window.native("redoButton").toolTip()
    window.press("lesionTable", "Y")
    assert states(window) == ["\u2713 accepted", "undecided"]
    window.click("undoButton")
    window.click("redoButton")
    assert states(window) == ["\u2713 accepted", "undecided"]


def test_small_lesions_are_hidden_rejected_at_once_and_sorted_by_a_click_on_the_head(window: Any) -> None:
    segmented(window)
    rows = window.panel.review.result.lesions.rows()
    small, large = sorted(rows, key=lambda row: row.volume_ml)
    window.native("lesionTable").horizontalHeader().sectionClicked.emit(2)
    assert [cells[0] for cells in window.cells("lesionTable")] == [str(large.number), str(small.number)]
    between = round((small.volume_ml + large.volume_ml) / 2, 2)
    assert small.volume_ml < between < large.volume_ml
    window.native("minimumSizeBox").setValue(between)
    assert [cells[0] for cells in window.cells("lesionTable")] == [str(large.number)]
    window.click("rejectSmallButton")
    assert window.text("undoLabel") == f"1 lesion below {between:g} ml rejected"
    window.native("minimumSizeBox").setValue(0)
    window.native("undecidedOnlyBox").setChecked(True)
    assert [cells[0] for cells in window.cells("lesionTable")] == [str(large.number)]


def test_what_is_in_no_file_yet_is_said_until_it_is_exported(window: Any, tmp_path: Path) -> None:
    segmented(window)
    assert window.text("exportLabel") == ""
    window.click_cell("lesionTable", 0)
    window.press("lesionTable", "A")
    assert window.text("exportLabel") == "Not exported yet."
    window.panel.review._export.export("table", tmp_path / "table")
    assert window.text("exportLabel").startswith("Written: table.csv")
    window.press("lesionTable", "R")
    assert window.text("exportLabel") == "Not exported yet."
