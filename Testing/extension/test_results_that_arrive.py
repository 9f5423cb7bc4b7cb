"""A run brings its result while the reader is at work on another one, or is asked by a dialog: the work stays where it was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import slicer
from run_bench import mr, two_lesions
from slicer_stand_in import dialogs
from test_review_section import red_slice, segmented, states

from ClamSegWorkflow.case.result_views import slice_in_view
from ClamSegWorkflow.scene.views import show_behind


def two_results(window: Any) -> tuple[Any, Any]:
    """Results of two scans, the first one under review as a run shows it."""
    segmented(window, name="flair head a")
    first = window.panel.review.result
    segmented(window, name="flair head b")
    second = window.panel.review.result
    window.panel.review.show_new(first, "aligned")
    return first, second


def test_a_file_named_after_a_result_holds_that_one_though_another_arrives_while_the_dialog_asks(
    window: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two_results(window)
    window.click("acceptButton")

    def ask(_parent: Any, _title: str, start: str, _kinds: str) -> str:
        assert Path(start).name.startswith("flair head a")
        window.panel.review.show_new(second, "aligned")
        return str(tmp_path / Path(start).name)

    monkeypatch.setattr(dialogs.QFileDialog, "getSaveFileName", staticmethod(ask))
    window.panel.review._export._ask("table")
    (written,) = tmp_path.glob("flair head a*.csv")
    assert "accepted" in written.read_text(encoding="utf-8")
    assert not first.waits_for_export()


def answered_under_a_dialog(window: Any, monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Add lesion with a model of two conditions: its dialog stands while `act` goes on, then says glioma."""

    def ask(_result: Any = None) -> str:
        act()
        return "glioma"

    monkeypatch.setattr(window.panel.review._decisions, "_condition_to_add", ask)
    window.click("addButton")


def test_a_lesion_is_added_to_the_result_whose_dialog_asked_and_none_where_that_was_removed(
    window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two_results(window)
    answered_under_a_dialog(window, monkeypatch, lambda: window.panel.review.show_new(second, "aligned"))
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    assert editor.segmentationNode() is first.segmentation
    assert editor.currentSegmentID() == "lesion-glioma-3"
    assert window.panel.review.result is first, "its review goes on"
    assert second.segmentation.GetSegmentation().GetSegment("lesion-glioma-3") is None
    slicer.util.selectModule("ClamSeg")

    def remove() -> None:
        window.panel.review.show_new(second, "aligned")
        window.scene.RemoveNode(first.segmentation)

    answered_under_a_dialog(window, monkeypatch, remove)
    assert window.dialogs.errors() == ["The result was removed or changed meanwhile; nothing was added to it."]
    assert window.panel.review.result is second
    assert states(window) == ["undecided", "undecided"]


def batch(window: Any, *names: str) -> None:
    """Segment was clicked for several scans; the worker has not answered yet."""
    window.worker.probability_of = two_lesions
    window.open("inputSection")
    for name in names:
        window.tick("batchSelector", mr(window.scene, "plain", name))
    window.choose("volumeSelector", names[0])
    window.open("segmentSection")
    window.click("applyButton")


def next_result(window: Any) -> None:
    """The worker goes on until one more result is in the list."""
    before = len(window.entries("resultSelector"))
    while len(window.entries("resultSelector")) == before:
        asked = len(window.worker.requests)
        window.worker.answer()
        window.wait_until(lambda: len(window.worker.requests) > asked or not window.panel.segment.run.job.is_busy)  # noqa: B023
    window.process_events()


def test_a_reader_at_work_keeps_the_review_and_reads_that_the_next_results_of_a_batch_wait_in_the_list(
    window: Any,
) -> None:
    batch(window, "scan a", "scan b", "scan c", "scan d")
    next_result(window)
    untouched = window.panel.review.result
    next_result(window)
    first = window.panel.review.result
    assert first is not untouched, "nobody was at work on it"
    window.click_cell("lesionTable", 1)
    place = red_slice()
    next_result(window)
    assert window.panel.review.result is first
    assert red_slice() == place
    window.press("lesionTable", "A")
    assert states(window) == ["undecided", "\u2713 accepted"], "the lesion that was seen"
    next_result(window)
    told = window.text("arrivedLabel")
    _none, *entries = window.entries("resultSelector")
    ours = (untouched.segmentation.GetName(), first.segmentation.GetName())
    c, d = (name for name in entries if name not in ours)
    assert window.shown("arrivedLabel")
    assert told == f"New in this list: {c}, {d}. Your review goes on; choose it when you are done."
    assert not slicer.util.getNode(c).GetDisplayNode().GetVisibility(), "over the scan that the reader sees"
    window.choose("resultSelector", c)
    assert states(window) == ["undecided", "undecided"]
    assert slicer.util.getNode(c).GetDisplayNode().GetVisibility()
    assert c not in window.text("arrivedLabel")
    assert d in window.text("arrivedLabel")
    assert window.text("progressLabel").startswith("Done. Not shown yet, because a review is under way: 2")
    window.scene.RemoveNode(slicer.util.getNode(d))  # e.g. in Data
    assert not window.shown("arrivedLabel")


def test_a_reader_who_scrolls_through_the_next_scan_while_it_is_segmented_is_shown_its_result(window: Any) -> None:
    segmented(window, name="scan b")
    reviewed = window.panel.review.result
    window.press("lesionTable", "A")
    place = slice_in_view(reviewed)
    batch(window, "scan c")
    show_behind(window.scene, slicer.util.getNode("scan c"))  # as Slicer does with a scan that is loaded
    view = window.scene.GetNodeByID("vtkMRMLSliceNodeRed")
    view.JumpSliceByOffsetting(0.0, 0.0, red_slice() + 3.0)
    assert slice_in_view(reviewed) not in (None, place), "where the reviewed scan would have another slice"
    next_result(window)
    assert window.panel.review.result is not reviewed
    assert window.panel.review.result.volume.GetName() == "scan c"
    assert not window.shown("arrivedLabel")
    assert window.text("progressLabel") == "Done."
