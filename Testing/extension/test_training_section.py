"""Fine-tune in the window: check a folder, start, pause, stop, find again, see curves, slices and card."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_models import tiny_model
from slicer_stand_in import driver
from volumes_in_scene import add_volume

from ClamSegWorkflow.scene.curves import chart_of


@pytest.fixture
def panel(models: Path, window: Any) -> Any:
    window.open("trainingSection")
    window.choose("startingModelSelector", "tiny")
    return window


def ready(panel: Any, data: Path, *, name: str = "Läsionen 2", steps: int = 100_000) -> None:
    panel.type_text("trainingFolderEdit", str(data))
    panel.choose("lengthKindSelector", "steps")
    panel.set_value("lengthSpinBox", steps)
    panel.ui.newModelNameEdit.text = name


def state(panel: Any) -> str:
    progress = panel.panel.training.progress
    return progress.state.value if progress is not None else "none"


def learning(panel: Any) -> bool:
    return state(panel) == "running" and panel.panel.training.progress.stage == "training"


def start(panel: Any) -> None:
    panel.click("startTrainingButton")
    assert panel.dialogs.errors() == []
    panel.wait_until(lambda: learning(panel), 120)


def test_check_folder_shows_the_doctors_table_with_advice(panel: Any, phantoms: Path) -> None:
    panel.type_text("trainingFolderEdit", str(phantoms))
    panel.click("checkFolderButton")
    assert panel.text("checkFolderButton") == "Cancel check"
    panel.wait_until(lambda: panel.text("checkFolderButton") == "Check folder")
    cells = panel.cells("doctorTable")
    assert cells[0] == ["ok", "rows of train: 18 lesion, 18 normal, 6 patients"]
    assert any(found.startswith("unreadable files: ") for _, found in cells)
    assert "can be used for training" in panel.text("trainingLabel")


def test_a_wrong_folder_is_told_by_the_doctor_in_red_words(panel: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    panel.type_text("trainingFolderEdit", str(tmp_path / "empty"))
    panel.click("checkFolderButton")
    panel.wait_until(lambda: panel.text("checkFolderButton") == "Check folder")
    assert panel.cells("doctorTable")[0][0] == "refused"
    assert "#b00020" in panel.ui.trainingLabel.styleSheet
    assert panel.dialogs.errors() == []


def test_a_second_click_cancels_the_check(panel: Any, phantoms: Path) -> None:
    panel.type_text("trainingFolderEdit", str(phantoms))
    panel.click("checkFolderButton")
    panel.click("checkFolderButton")
    assert panel.text("trainingLabel") == "The check was cancelled."
    assert panel.cells("doctorTable") == []


def test_my_corrections_takes_the_folder_the_review_saves_into(panel: Any, tmp_path: Path) -> None:
    panel.panel.keep_setting("correctionsFolder", str(tmp_path))
    panel.click("useCorrectionsFolderButton")
    assert "no saved corrections" in panel.dialogs.errors()[-1]
    (tmp_path / "labels.csv").touch()
    panel.click("useCorrectionsFolderButton")
    assert panel.ui.correctionsFolderEdit.currentPath == str(tmp_path)


def test_what_cannot_be_started_says_why_and_starts_nothing(panel: Any, phantoms: Path, models: Path) -> None:
    panel.click("startTrainingButton")
    assert "No folder of labelled images" in panel.dialogs.errors()[-1]
    ready(panel, phantoms, name="ct-lung-lesion")
    panel.click("startTrainingButton")
    assert "shipped model" in panel.dialogs.errors()[-1]
    assert state(panel) == "none"
    assert sorted(path.name for path in models.iterdir()) == ["tiny"]


def test_a_model_that_cannot_be_gone_on_from_is_named_before_the_start(
    panel: Any, phantoms: Path, models: Path
) -> None:
    tiny_model(models / "old")
    panel.panel.models_changed()
    ready(panel, phantoms, name="newer")
    panel.choose("startingModelSelector", "old")
    panel.click("startTrainingButton")
    assert "'old' was made before models knew normal tissue" in panel.dialogs.errors()[-1]
    assert state(panel) == "none"
    assert not (models / "newer").exists()


def test_an_existing_model_is_replaced_only_after_a_yes(panel: Any, phantoms: Path, models: Path) -> None:
    ready(panel, phantoms, name="tiny")
    before = (models / "tiny" / "config.json").read_bytes()
    panel.dialogs.says_yes = False
    panel.click("startTrainingButton")
    assert panel.dialogs.shown[-1][1] == "Replace?"
    assert state(panel) == "none"
    assert (models / "tiny" / "config.json").read_bytes() == before


def test_choices_that_do_not_apply_are_not_shown(panel: Any) -> None:
    assert not panel.shown("modalitySelector")
    panel.choose("startingModelSelector", "nothing (from scratch)")
    assert panel.shown("modalitySelector")
    assert panel.text("newModelNameEdit") == "my-model-1"
    assert not panel.shown("etaSpinBox")
    panel.choose("etaSelector", "one value")
    assert panel.shown("etaSpinBox")


def test_a_training_from_start_to_stop(panel: Any, phantoms: Path, models: Path, tmp_path: Path) -> None:
    ready(panel, phantoms)
    start(panel)
    assert not panel.ui.startTrainingButton.enabled, "one training at a time"
    assert panel.shown("trainingProgressBar")
    panel.click("pauseTrainingButton")
    assert state(panel) == "paused"
    assert panel.text("trainingLabel").startswith("'Läsionen 2' is paused at training")
    panel.click("pauseTrainingButton")
    panel.wait_until(lambda: panel.shown("trainingPreviewLabel"), 240)
    assert panel.ui.trainingPreviewLabel.pixmap.width() == 420
    assert (models / ".trainings" / "Läsionen 2.png").is_file()
    panel.click("showCurvesButton")
    chart = chart_of(panel.scene)
    names = [chart.GetNthPlotSeriesNode(k).GetName() for k in range(chart.GetNumberOfPlotSeriesNodes())]
    assert names[0] == "loss"
    assert "agreement with normative targets" in names
    rows = chart.GetNthPlotSeriesNode(0).GetTableNode().GetTable().GetNumberOfRows
    shown = rows()
    panel.wait_until(lambda: chart.GetNthPlotSeriesNode(0).GetTableNode().GetTable().GetNumberOfRows() > shown, 240)
    panel.click("stopTrainingButton")
    panel.wait_until(lambda: state(panel) == "stopped", 240)
    assert "its best was kept" in panel.text("trainingLabel")
    assert "Läsionen 2" in panel.entries("modelSelector"), "the new model is in the list"
    assert "Läsionen 2" in panel.entries("startingModelSelector")
    assert panel.shown("resumeTrainingButton")
    panel.click("showCardButton")
    assert "For research, not for diagnosis" in panel.ui.cardBrowser.plainText
    assert "slice auc" in panel.ui.cardBrowser.plainText
    assert panel.dialogs.errors() == []


def test_a_training_goes_on_when_the_window_closes_and_is_found_again(panel: Any, phantoms: Path, models: Path) -> None:
    ready(panel, phantoms)
    start(panel)
    panel.panel.close()
    module = driver.load_module()
    again = driver.Window(module, panel.worker)
    try:
        again.open("trainingSection")
        again.wait_until(lambda: learning(again), 60)
        assert again.text("trainingLabel").startswith("'Läsionen 2': training")
        again.click("stopTrainingButton")
        again.wait_until(lambda: state(again) == "stopped", 120)
        assert (models / "Läsionen 2" / "config.json").is_file()
    finally:
        again.close()


def test_a_killed_training_is_told_in_red_and_go_on_takes_it_up(panel: Any, phantoms: Path, models: Path) -> None:
    ready(panel, phantoms, name="killed", steps=130)
    start(panel)
    panel.wait_until((models / "killed" / "state" / "state.safetensors").is_file, 240)
    panel.click("pauseTrainingButton")
    os.kill(json.loads((models / "killed" / "run.lock").read_text())["pid"], signal.SIGKILL)
    panel.wait_until(lambda: state(panel) == "killed", 60)
    assert "was killed at" in panel.text("trainingLabel")
    assert "#b00020" in panel.ui.trainingLabel.styleSheet
    assert "killed" not in panel.entries("modelSelector")
    panel.click("resumeTrainingButton")
    panel.wait_until(lambda: state(panel) == "finished", 240)
    assert "is finished" in panel.text("trainingLabel")
    assert "killed" in panel.entries("modelSelector")
    assert not panel.shown("resumeTrainingButton")


def ended(models: Path, name: str, *last: dict[str, object]) -> None:
    """What a training leaves that ended with nobody looking; its figures would fill more than one reading."""
    folder = models / name
    folder.mkdir(parents=True)
    progress = {"event": "progress", "stage": "training", "done": 20, "total": 20, "seconds_left": 1.0}
    metric = {"event": "metric", "step": 20, "criterion": 0.8}
    many = [json.dumps(metric) + " " * 1000] * 1200
    lines = [*many, *(json.dumps(each) for each in (progress, *last))]
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_panel_opened_after_a_training_says_its_end_at_once(panel: Any, models: Path, tmp_path: Path) -> None:
    ended(models, "failed")
    log = models / ".trainings" / "failed.log"
    log.parent.mkdir()
    log.write_text(json.dumps({"event": "error", "message": "The disk is full."}) + "\n")
    panel.panel.training._follow(models / "failed")
    assert state(panel) == "failed"
    assert panel.text("trainingLabel") == "'failed' ended: The disk is full."
    ended(models, "whole", {"event": "done", "finished": True})
    panel.panel.training._follow(models / "whole")
    assert state(panel) == "finished"


def test_the_last_picture_of_a_finished_training_is_there_for_a_panel_opened_later(panel: Any, models: Path) -> None:
    from ClamSegLib.system.paths import resources_folder

    picture = resources_folder() / "Samples" / "xray_chest.png"
    folder = models / "seen"
    ended(models, "seen", {"event": "preview", "path": str(picture)}, {"event": "done", "finished": True})
    panel.panel.training._follow(folder)
    kept = models / ".trainings" / "seen.png"
    assert kept.read_bytes() == picture.read_bytes()
    assert not (folder / "preview.png").exists(), "a model folder is passed on"
    text = (folder / "events.jsonl").read_text(encoding="utf-8").replace(str(picture), str(folder / "preview.png"))
    (folder / "events.jsonl").write_text(text, encoding="utf-8")
    panel.ui.trainingPreviewLabel.visible = False
    panel.panel.training._follow(folder)
    assert panel.shown("trainingPreviewLabel")
    panel.panel.training.forget_picture("seen")
    assert not kept.exists()


def test_curves_before_the_first_validation_say_so(panel: Any, phantoms: Path) -> None:
    assert not panel.ui.showCurvesButton.enabled
    ready(panel, phantoms)
    panel.click("startTrainingButton")
    panel.click("showCurvesButton")
    assert "no figures yet" in panel.dialogs.errors()[-1]
    assert chart_of(panel.scene) is None
    panel.wait_until(lambda: learning(panel), 120)


def test_segmenting_goes_on_during_a_training_with_the_real_worker(
    models: Path, real_window: Any, phantoms: Path
) -> None:
    window = real_window
    window.open("trainingSection")
    window.choose("startingModelSelector", "tiny")
    ready(window, phantoms)
    start(window)
    slices = np.zeros((6, 40, 40), np.int16)
    slices[:, 8:32, 8:32] = 100
    window.ui.volumeSelector.setCurrentNode(add_volume(window.scene, slices, name="FLAIR"))
    window.choose("modelSelector", "tiny")
    window.click("applyButton")
    window.wait_until(lambda: window.text("applyButton") == "Segment", 120)
    assert window.dialogs.errors() == []
    assert window.text("progressLabel") == "Done."
    assert learning(window), "the training did not mind"
