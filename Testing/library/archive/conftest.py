"""What the tests of archives share: a CT model, and a place of their own for secret, index and lookup."""

from pathlib import Path

import pytest
from tiny_model import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("m") / "tiny", "CT")


@pytest.fixture
def own_place(tmp_path, monkeypatch):
    """Secret and index in a folder of the test; no pictures, which take most of the time."""
    monkeypatch.setenv("CLAMSEG_SETTINGS", str(tmp_path / "settings"))
    monkeypatch.setattr("ClamSegLib.segmentation.report.drawing_problem", lambda: "not drawn here")
