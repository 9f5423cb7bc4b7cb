"""The self-test of the extension, in the stand-in for Slicer's Qt layer, with the real scene and the real worker."""

from __future__ import annotations

import sys
import unittest
import zipfile
from pathlib import Path
from typing import Any

import pytest
import slicer
from sample_data_module import SampleDataModule


@pytest.fixture
def slicer_like(real_window: Any, scene: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the self-test asks of the application beyond the stand-in: Sample Data, scenes as files."""

    def save(path: str, properties: Any = None) -> bool:
        return bool(scene.WriteToMRB(path))

    def load(path: str, properties: Any = None) -> bool:
        # ReadFromMRB needs the application's cache of remote files; what it reads is this.
        folder = Path(path).with_suffix("")
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        (written,) = folder.rglob("*.mrml")
        scene.SetURL(str(written))
        return bool(scene.Import())

    monkeypatch.setitem(sys.modules, "SampleData", SampleDataModule())
    monkeypatch.setattr(slicer.util, "saveScene", save, raising=False)
    monkeypatch.setattr(slicer.util, "loadScene", load, raising=False)
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
