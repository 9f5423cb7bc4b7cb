"""A run brings its result while the reader is at work on another one, or is asked by a dialog: the work stays where it was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import slicer
from slicer_stand_in import dialogs
from test_review_section import segmented, states


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


def test_a_lesion_is_added_to_the_result_whose_dialog_asked_and_its_review_goes_on(
    window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two_results(window)
    answered_under_a_dialog(window, monkeypatch, lambda: window.panel.review.show_new(second, "aligned"))
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    assert editor.segmentationNode() is first.segmentation
    assert editor.currentSegmentID() == "lesion-glioma-3"
    assert window.panel.review.result is first
    assert second.segmentation.GetSegmentation().GetSegment("lesion-glioma-3") is None


def test_to_a_result_that_is_removed_while_the_dialog_asks_nothing_is_added(
    window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two_results(window)

    def remove() -> None:
        window.panel.review.show_new(second, "aligned")
        window.scene.RemoveNode(first.segmentation)

    answered_under_a_dialog(window, monkeypatch, remove)
    assert window.dialogs.errors() == ["The result was removed or changed meanwhile; nothing was added to it."]
    assert window.panel.review.result is second
    assert states(window) == ["undecided", "undecided"]
