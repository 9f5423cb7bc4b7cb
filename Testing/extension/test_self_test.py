"""The self-test of the extension, in the stand-in for Slicer's Qt layer, with the real scene and the real worker."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from sample_data_module import SampleDataModule
from scene_files import load_scene, save_scene
from test_review_section import segmented, states

from ClamSegWorkflow.case.samples import shipped_samples


@pytest.fixture
def slicer_like(real_window: Any, scene: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the self-test asks of the application beyond the stand-in: Sample Data, scenes as files."""

    monkeypatch.setitem(sys.modules, "SampleData", SampleDataModule())
    monkeypatch.setattr(slicer.util, "saveScene", lambda path, properties=None: save_scene(scene, path), raising=False)
    monkeypatch.setattr(slicer.util, "loadScene", lambda path, properties=None: load_scene(scene, path), raising=False)
    monkeypatch.setattr(slicer.util, "delayDisplay", lambda *words, **named: None, raising=False)
    return real_window.module


@pytest.mark.timeout(900)
def test_the_self_test_goes_all_the_way_with_every_sample(slicer_like: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    test = slicer_like.ClamSegTest("runTest")
    monkeypatch.setattr(test, "delayDisplay", told.append)
    test.runTest()
    for sample, _path in shipped_samples():
        steps = [words.removeprefix(f"{sample['name']}: ") for words in told if words.startswith(sample["name"])]
        if sample["model"] == "xray-lungs":
            assert steps[-2:] == ["Segment", "export"], "it shows lungs only"
        else:
            assert [step.split(",")[0] for step in steps[-3:]] == [
                "a lesion is decided",
                "the scene is saved",
                "export",
            ]
    moved = [words for words in told if words.endswith("the threshold moves what is undecided and nothing else")]
    assert moved, "no sample showed a lesion"
    assert told[-1] == "The self-test of ClamSeg passed."


def test_without_torch_the_steps_that_need_it_are_left_out_in_words(
    slicer_like: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(unittest.SkipTest, match="PyTorch is not installed"):
        slicer_like.ClamSegTest("runTest").runTest()


def test_a_window_that_is_not_bound_fails_the_self_test_by_name(
    slicer_like: Any, real_window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_window.widget, "initializeParameterNode", lambda: None)
    real_window.widget._disconnect_gui()
    with pytest.raises(
        AssertionError, match=r"step 'the module's window opens and is bound to the scene': .*not bound"
    ):
        slicer_like.ClamSegTest("runTest").runTest()


@pytest.mark.timeout(300)
def test_a_review_that_does_not_come_back_fails_the_self_test_by_name(
    slicer_like: Any, real_window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in 5.12.3 before the window was bound anew after a scene was opened."""
    widget, scene = real_window.widget, slicer.mrmlScene
    self_test = importlib.import_module("ClamSegPanel.self_test")
    monkeypatch.setattr(self_test, "_SOON_S", 1.0)

    def not_anew(caller: Any, event: Any) -> None:
        widget.initializeParameterNode()
        widget.panel.scene_changed()

    for event in (scene.EndCloseEvent, scene.EndImportEvent):
        widget.removeObserver(scene, event, widget.onSceneEndClose)
        widget.addObserver(scene, event, not_anew)
    step = r"[a-z-]+: the scene is saved, closed and opened, and the review is back"
    with pytest.raises(AssertionError, match=f"step '{step}': the review of the opened scene did not come"):
        slicer_like.ClamSegTest("runTest").runTest()


@pytest.mark.timeout(900)
def test_the_test_for_ctest_runs_the_same_steps(
    slicer_like: Any, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    place = repository / "Testing" / "Python" / "ClamSegSelfTest.py"
    spec = importlib.util.spec_from_file_location("ClamSegSelfTest", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    called: list[Any] = []
    monkeypatch.setattr(importlib.import_module("ClamSegPanel.self_test"), "run_self_test", called.append)
    module.ClamSegSelfTest("test_the_window").test_the_window()
    assert called == [print]


def test_where_the_model_finds_no_lesion_the_self_test_draws_one(window: Any) -> None:
    self_test = importlib.import_module("ClamSegPanel.self_test")
    segmented(window, lambda volume: np.zeros(volume.array.shape, np.uint8))
    steps = self_test._SelfTest(lambda words: None)
    steps.widget = window.widget
    steps.is_decided()
    assert states(window) == ["+ added"]
    assert window.text("summaryLabel") == "1 lesion (glioma), 1 decided, 9 of 9 slices analysed"
