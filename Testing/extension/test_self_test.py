"""The self-test of the extension, in the stand-in for Slicer's Qt layer, with the real scene and the real worker."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import unittest
from pathlib import Path
from typing import Any

import pytest
import slicer
from sample_data_module import SampleDataModule
from scene_files import load_scene, save_scene


@pytest.fixture
def slicer_like(real_window: Any, scene: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the self-test asks of the application beyond the stand-in: Sample Data, scenes as files."""

    monkeypatch.setitem(sys.modules, "SampleData", SampleDataModule())
    monkeypatch.setattr(slicer.util, "saveScene", lambda path, properties=None: save_scene(scene, path), raising=False)
    monkeypatch.setattr(slicer.util, "loadScene", lambda path, properties=None: load_scene(scene, path), raising=False)
    monkeypatch.setattr(slicer.util, "delayDisplay", lambda *words, **named: None, raising=False)
    return real_window.module


@pytest.mark.timeout(900)
def test_the_self_test_passes(slicer_like: Any) -> None:
    slicer_like.ClamSegTest("runTest").runTest()


def test_without_torch_the_steps_that_need_it_are_left_out_in_words(
    slicer_like: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(unittest.SkipTest, match="PyTorch is not installed"):
        slicer_like.ClamSegTest("runTest").runTest()


@pytest.mark.timeout(900)
def test_the_window_test_for_ctest_passes(slicer_like: Any, real_window: Any, repository: Path) -> None:
    place = repository / "Testing" / "Python" / "ClamSegSelfTest.py"
    spec = importlib.util.spec_from_file_location("ClamSegSelfTest", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    importlib.import_module("ClamSegPanel.sample_data").register()
    real_window.dialogs.says_yes = True
    module.segment_through_the_window(real_window.widget)
