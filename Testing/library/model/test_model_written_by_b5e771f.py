"""A model that commit b5e771f trained, in format version 1: it loads, says what is no longer followed, and segments as before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from labelled_phantoms import write_phantoms

from ClamSegLib.cli import main
from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.model.config import FORMAT_VERSION
from ClamSegLib.model.registry import list_models

WRITTEN = Path(__file__).resolve().parents[2] / "written_by_b5e771f"


def segment(output: Path, *words: str) -> Path:
    """The folder of the scan's case."""
    given = ["segment", str(WRITTEN / "scan.nrrd"), "--model", str(WRITTEN / "model"), "--output", str(output)]
    assert main([*given, "--engine", "reference", "--device", "cpu", "--threads", "1", *words]) == 0
    (report,) = output.rglob("report.json")
    return report.parent


def test_the_folder_is_of_format_version_1_with_what_the_training_fitted_then() -> None:
    told = json.loads((WRITTEN / "model" / "config.json").read_text())
    assert told["format_version"] == 1
    assert told["network"]["shells"] == 2
    assert told["level_scales"]
    assert told["refinement"]["value_log_ratio"]


def test_it_loads_with_its_decoding_and_one_line_on_what_is_dropped() -> None:
    model = load_model(WRITTEN / "model")
    told = json.loads((WRITTEN / "model" / "config.json").read_text())
    assert model.config.refinement is not None
    assert model.config.refinement.value_log_ratio == tuple(tuple(row) for row in told["refinement"]["value_log_ratio"])
    assert [list(map(list, branch)) for branch in model.config.odds_normal] == told["odds_normal"]
    assert model.config.network.branches == 2
    assert not model.config.slice_smoothing
    assert [words.split()[2] for words in model.warnings] == ["level_scales"]


def test_it_is_listed_among_the_users_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(WRITTEN / "model", tmp_path / "trained-before")
    monkeypatch.setenv("CLAMSEG_MODELS", str(tmp_path))
    (entry,) = [each for each in list_models() if each["origin"] == "user"]
    assert (entry["name"], entry["levels"]) == ("trained-before", 2)
    assert not entry.get("problem")


def test_at_its_deepest_level_it_finds_to_the_bit_what_it_found_before(tmp_path: Path) -> None:
    case = segment(tmp_path)
    found = read_volume(case / "probability.nrrd")
    before = read_volume(WRITTEN / "probability.nrrd")
    assert len(np.unique(before.array)) > 8, "a map of one value would prove nothing"
    assert found.array.dtype == before.array.dtype
    assert np.array_equal(found.array, before.array)
    assert found.spacing_mm == before.spacing_mm
    assert found.origin == before.origin


def test_segment_says_what_is_no_longer_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = segment(tmp_path, "--level", "1")
    words = "The model's level_scales are no longer used"
    assert words in "".join(capsys.readouterr())
    (told,) = [each for each in json.loads((case / "report.json").read_text())["warnings"] if words in each]
    assert "choose the deepest, or train the model again" in told


def test_a_fine_tuning_says_what_it_lacks_and_with_paper_writes_the_format_of_today(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, made = write_phantoms(tmp_path / "phantoms"), tmp_path / "made"
    words = ["train", str(data), "--output", str(made), "--init", str(WRITTEN / "model"), "--steps", "2"]
    words += ["--batch-pairs", "2", "--device", "cpu", "--threads", "1", "--progress", "none"]
    assert main(words) == 2
    assert "'trained-before' has no normative map, which objective normative needs" in capsys.readouterr().err
    assert main([*words, "--objective", "paper"]) == 0
    model = load_model(made)
    assert model.config.format_version == FORMAT_VERSION
    assert model.config.network == load_model(WRITTEN / "model").config.network
    assert model.config.refinement is None
    assert model.warnings == ()
