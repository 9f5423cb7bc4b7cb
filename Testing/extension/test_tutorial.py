"""The tutorial from end to end: a sample, Segment, a review, corrections, and a model fine-tuned on them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import slicer
from own_models import own_models
from slicer_stand_in.sample_volumes import add_sample

LIMIT_S = 240.0
# A model that is fine-tuned from a non-commercial one takes over its licence, and says so.
OWN = "my lesions, non-commercial"


def test_from_a_sample_to_a_reviewed_segmentation_and_a_model_tuned_on_the_review(
    real_window: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = real_window
    with own_models(tmp_path / "models", monkeypatch) as models:
        window.panel.models_changed()
        window.panel.keep_setting("correctionsFolder", str(tmp_path / "corrections"))
        volume = add_sample("mr_flair_brain.nii.gz", "FLAIR brain", slice(18, 28))
        window.choose("volumeSelector", "FLAIR brain")
        assert window.text("modelSelector") == "Glioma in brain FLAIR MRI, non-commercial"
        window.click("applyButton")
        window.wait_until(lambda: window.text("applyButton") == "Segment", LIMIT_S)
        assert window.text("certificateLabel") == "Geometry: aligned, 0.000 mm"

        review_some_lesions(window)
        free = free_slices(window)[0]
        red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
        red.JumpSliceByCentering(0.0, 0.0, volume.GetOrigin()[2] + free * volume.GetSpacing()[2])
        window.wait_until(lambda: window.text("sliceMarkLabel") == f"Slice {free + 1} of 10:")
        window.click("markNormalButton")
        window.click("saveCorrectionsButton")
        assert window.dialogs.errors() == []
        with (tmp_path / "corrections" / "labels.csv").open(encoding="utf-8") as file:
            labels = {row["label"] for row in csv.DictReader(file)}
        assert labels == {"normal", "glioma"}

        window.open("trainingSection")
        window.click("useCorrectionsFolderButton")
        window.choose("startingModelSelector", "Glioma in brain FLAIR MRI, non-commercial")
        window.choose("lengthKindSelector", "steps")
        window.set_value("lengthSpinBox", 2)
        window.type_text("newModelNameEdit", "my lesions")
        window.click("startTrainingButton")
        assert window.dialogs.errors() == []
        window.wait_until(lambda: OWN in window.entries("modelSelector"), LIMIT_S)
        assert (models / "my lesions" / "card.md").is_file()
        window.open("segmentSection")
        window.choose("modelSelector", OWN)
        window.click("applyButton")
        window.wait_until(lambda: window.text("applyButton") == "Segment", LIMIT_S)
        assert window.dialogs.errors() == []
        assert window.panel.review.result.provenance["model"] == "my lesions"


def review_some_lesions(window: Any) -> None:
    """Accepts the last, smallest lesion of the table and rejects all others."""
    window.click_cell("lesionTable", len(window.cells("lesionTable")) - 1)
    window.click("acceptButton")
    while any(cells[-1] == "undecided" for cells in window.cells("lesionTable")):
        window.press("lesionTable", "R")
    assert [cells[-1].split()[-1] for cells in window.cells("lesionTable")].count("accepted") == 1


def free_slices(window: Any) -> list[int]:
    """Canonical slices that the accepted lesion does not reach."""
    lesions = window.panel.review.result.lesions
    kept = next(row for row in lesions.rows() if row.decision.value == "accepted")
    return [index for index in range(lesions.n_slices) if not kept.first_slice <= index <= kept.last_slice]
