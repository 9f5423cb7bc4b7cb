"""The panel asks once before it uses a model or a sample for non-commercial use only."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_models import tiny_model
from sample_data_module import SampleDataModule
from volumes_in_scene import add_volume

from ClamSegPanel.sample_data import source_of

NC = "CC-BY-NC-SA-4.0"


@pytest.fixture
def licensed_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model under a licence that this user has not confirmed yet; the folder where confirmations are kept."""
    monkeypatch.setenv("CLAMSEG_SETTINGS", str(tmp_path / "settings"))
    monkeypatch.delenv("CLAMSEG_ACCEPT_LICENCE")
    monkeypatch.setenv("CLAMSEG_MODELS", str(tmp_path / "models"))
    path = tiny_model(tmp_path / "models" / "study-model") / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "licence": NC, "non_commercial": True}))
    return tmp_path / "settings"


def questions(window: Any) -> list[str]:
    return [text for kind, title, text in window.dialogs.shown if title == "Non-commercial use only"]


def test_segment_asks_once_and_a_no_starts_nothing(licensed_model: Path, window: Any) -> None:
    add_volume(window.scene, np.random.default_rng(0).integers(0, 900, (4, 40, 40)).astype(np.int16), name="brain")
    window.choose("modelSelector", "study-model, non-commercial")
    assert f"{NC}, for non-commercial use only" in window.ui.modelSelector.toolTip
    window.dialogs.says_yes = False
    window.click("applyButton")
    assert len(questions(window)) == 1
    assert NC in questions(window)[0]
    assert window.worker.requests == []
    assert not licensed_model.exists()
    window.dialogs.says_yes = True
    window.click("applyButton")
    window.wait_until(lambda: window.worker.requests)
    assert json.loads((licensed_model / "licences.json").read_text())[NC]["where"] == "panel"
    window.click("applyButton")  # cancels
    window.click("applyButton")
    assert len(questions(window)) == 2, "a yes is kept"


def test_a_training_from_a_shipped_one_is_asked_for_too(licensed_model: Path, window: Any, tmp_path: Path) -> None:
    window.open("trainingSection")
    window.choose("startingModelSelector", "Glioma in brain FLAIR MRI, non-commercial")
    (tmp_path / "images" / "normal").mkdir(parents=True)
    window.type_text("trainingFolderEdit", str(tmp_path / "images"))
    window.dialogs.says_yes = False
    window.click("startTrainingButton")
    assert len(questions(window)) == 1
    assert window.panel.training.progress is None


def test_a_sample_is_loaded_by_sample_data_only_after_a_yes(
    licensed_model: Path, window: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Any] = []
    module = SampleDataModule()
    module.SampleDataLogic.downloadFromSource = lambda self, source: loaded.append(source) or ["node"]
    monkeypatch.setitem(sys.modules, "SampleData", module)
    sample = {"name": "mr", "title": "MR", "sha256": "0" * 64, "licence": NC, "non_commercial": True}
    load = source_of(sample, tmp_path / "mr.png")["customDownloader"]
    source = type("Source", (), {"customDownloader": load})()
    window.dialogs.says_yes = False
    assert load(source) == []
    window.dialogs.says_yes = True
    assert load(source) == ["node"]
    assert [each.customDownloader for each in loaded] == [None], "Sample Data itself loads it"
