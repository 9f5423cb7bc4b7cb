"""A scene, corrections and settings that commit b5e771f wrote, opened in the window of today."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from fakes import FakeWorker
from PySide6.QtCore import QSettings
from scene_files import load_scene
from slicer_stand_in import driver, settings
from test_review_section import states

from ClamSegLib.cli import main
from ClamSegLib.datasets.labelled_folder import read_labelled_folder
from ClamSegLib.imaging.read_write import read_volume
from ClamSegPanel.corrections_folder import corrections_folder
from ClamSegWorkflow.scene.overlays import DOUBT, PROBABILITY, map_array
from ClamSegWorkflow.scene.segments import segment_mask
from ClamSegWorkflow.training.training_plan import TrainingPlan

WRITTEN = Path(__file__).resolve().parents[1] / "written_by_b5e771f"
SHAPE = (9, 20, 24)
CONDITION = "ms_lesion"  # of the model of then, which is no longer shipped


@pytest.fixture
def opened(window: Any, tmp_path: Path) -> Any:
    """The window of today with the scene of before in it."""
    shutil.copyfile(WRITTEN / "review.mrb", tmp_path / "review.mrb")
    assert load_scene(window.scene, str(tmp_path / "review.mrb"))
    window.process_events()
    window.open("reviewSection")
    return window


def box(slices: slice, rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[slices, rows, columns] = True
    return mask


# As make_them.py drew them; the first was accepted at a lower threshold than the review then had.
ACCEPTED = box(slice(6, 8), slice(8, 12), slice(10, 15))
REJECTED = box(slice(2, 4), slice(3, 6), slice(4, 8))
UNDECIDED = box(slice(4, 6), slice(9, 12), slice(2, 5))


# The scene


def test_a_review_of_before_opens_with_its_decisions_its_threshold_and_its_slice_labels(opened: Any) -> None:
    assert opened.text("resultSelector") == "flair head mr-flair-lesion"
    assert states(opened) == ["✓ accepted", "✗ rejected", "undecided"]
    assert [row[0] for row in opened.cells("lesionTable")] == ["1", "2", "3"]
    assert opened.ui.thresholdSlider.value == pytest.approx(0.62)
    result = opened.panel.review.result
    assert result.marks == {0: "normal", 8: "unsure"}
    assert result.certificate().holds
    assert np.array_equal(segment_mask(result.segmentation, f"lesion-{CONDITION}-1", SHAPE), ACCEPTED)
    assert np.array_equal(segment_mask(result.segmentation, f"lesion-{CONDITION}", SHAPE), UNDECIDED)


def test_a_review_of_before_goes_on(opened: Any) -> None:
    for line in (2, 1):
        opened.click_cell("lesionTable", line)
        opened.click("acceptButton")
    assert states(opened) == ["✓ accepted"] * 3
    result = opened.panel.review.result
    for number, mask in ((1, ACCEPTED), (2, REJECTED), (3, UNDECIDED)):
        assert np.array_equal(segment_mask(result.segmentation, f"lesion-{CONDITION}-{number}", SHAPE), mask), number
    assert result.certificate().holds


def test_of_the_maps_of_before_probability_is_kept_and_doubt_is_shown_instead_of_disagreement(opened: Any) -> None:
    assert opened.entries("overlaySelector") == ["no map", "probability", "doubt"]
    result = opened.panel.review.result
    probability = map_array(result.map_node(PROBABILITY))
    assert (probability[2, 3, 4], probability[6, 8, 10], probability[0, 0, 0]) == (250, 190, 3)
    opened.choose("overlaySelector", "doubt")
    assert map_array(result.map_node(DOUBT))[6, 8, 10] == 2 * (255 - 190)


def test_maps_of_before_are_not_offered_as_scans(opened: Any) -> None:
    for name in ("volumeSelector", "batchSelector"):
        assert set(opened.entries(name)) - {"None"} == {"flair head"}, name
    assert opened.text("volumeSelector") == "flair head"


def test_a_result_of_before_takes_all_its_maps_with_it_when_it_is_removed(opened: Any) -> None:
    opened.scene.RemoveNode(opened.panel.review.result.segmentation)
    opened.process_events()
    names = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
    assert names == ["flair head"]


# Corrections


def test_corrections_of_before_are_read_with_their_masks() -> None:
    folder = read_labelled_folder(WRITTEN / "corrections")
    assert folder.conditions == (CONDITION,)
    label_of = {row.slice_index: row.label for row in folder.rows}
    assert label_of == {0: 0, 2: 0, 3: 0, 6: 1, 7: 1, 8: 1}
    drawn = [row for row in folder.rows if row.lesion_mask_path]
    assert [row.slice_index for row in drawn] == [6, 7]
    assert all(row.correction for row in drawn)
    assert np.array_equal(read_volume(drawn[0].lesion_mask_path).array > 0, ACCEPTED)
    (unsure,) = [row for row in folder.rows if row.slice_index == 8]
    assert unsure.eta == 0.5


def test_a_review_of_before_saves_the_same_corrections_today(opened: Any, tmp_path: Path) -> None:
    copy = tmp_path / "corrections"
    shutil.copytree(WRITTEN / "corrections", copy)
    before = (copy / "labels.csv").read_bytes()
    opened.panel.keep_setting("correctionsFolder", str(copy))
    opened.click("saveCorrectionsButton")
    assert not opened.dialogs.errors()
    assert (copy / "labels.csv").read_bytes() == before, "the rows of the case are replaced, not doubled"


@pytest.mark.slow  # the images are read in a process of their own
def test_a_fine_tuning_is_planned_with_corrections_of_before() -> None:
    plan = TrainingPlan("mine", corrections=str(WRITTEN / "corrections"), starting_model=str(WRITTEN / "model"))
    assert plan.problem() == ""
    assert main(plan.check_words()) == 0


# Settings


@pytest.fixture
def set_before(window: Any) -> Any:
    """The window on a computer whose settings were stored before."""
    stored = QSettings(str(WRITTEN / "Slicer.ini"), QSettings.Format.IniFormat)
    for key in stored.allKeys():
        settings.QSettings().setValue(key, stored.value(key))
    again = driver.Window(window.module, FakeWorker())
    yield again
    again.close()


def test_settings_of_before_are_followed(set_before: Any) -> None:
    window = set_before
    assert window.ui.trainingFolderEdit.currentPath == "/data/reader/images"
    assert corrections_folder(window.panel) == Path("/data/reader/corrections")
    window.logic.installation = {"devices": [{"name": "cpu", "description": "8 threads", "works": True}]}
    window.panel.segment.fill_devices()
    assert window.panel.segment.device() == "cpu"
    assert window.panel.segment._speeds.seconds_a_slice("mr-flair-lesion", "cpu", 2) == 0.25
    assert window.panel.setting("exportFolder") == "/data/reader/exports"
    assert window.panel.setting("lastTraining") == "mine-2"
