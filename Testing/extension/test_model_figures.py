"""What stands under a model's name: its origin, what it learned from, how good it was and on what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ClamSegLib.model.registry import list_models
from ClamSegWorkflow.case.model_figures import figures_words


def own(folder: Path, run: Any) -> dict[str, Any]:
    (folder / "run.json").write_text(run if isinstance(run, str) else json.dumps(run), encoding="utf-8")
    return {"name": "mine", "origin": "user", "folder": str(folder)}


def test_every_shipped_model_tells_its_patients_its_figure_and_what_it_was_judged_on() -> None:
    words = {entry["name"]: figures_words(entry) for entry in list_models() if entry["origin"] == "shipped"}
    assert len(words) >= 4
    for name, told in words.items():
        run = json.loads((Path(find(name)["folder"]) / "run.json").read_text(encoding="utf-8"))
        assert told.startswith(
            f"Shipped model, learned from {run['counts']['training_patients']} patients in {run['best_step']} steps, {run['date']}."
        )
        figure = run["validation"].get("dice", run["validation"].get("slice_auc"))
        assert f": {figure:.2f}, " in told
        alone = run["counts"]["validation_slices"] < run["counts"]["training_slices"]
        assert ("patients left out" in told) == alone
        assert ("the slices it learned from" in told) != alone


def find(name: str) -> dict[str, Any]:
    return next(entry for entry in list_models() if entry["name"] == name)


def test_a_model_of_ones_own_that_was_stopped_early_says_both(tmp_path: Path) -> None:
    run = {
        "date": "2026-01-02", "finished": False, "best_step": 12, "validation": {"criterion": 1.0, "slice_auc": 0.71},
        "counts": {"training_slices": 58, "training_patients": 4, "validation_slices": 9, "validation_patients": 1},
    }  # fmt: skip
    assert figures_words(own(tmp_path, run)) == (
        "Your own model, learned from 4 patients in 12 steps, 2026-01-02, stopped early. "
        "Slices told apart (AUC): 0.71, weak, on patients left out."
    )


@pytest.mark.parametrize(("value", "quality"), [(0.9, "good"), (0.89, "fair"), (0.8, "fair"), (0.79, "weak")])
def test_a_figure_has_a_word_for_those_who_do_not_know_it(tmp_path: Path, value: float, quality: str) -> None:
    assert f"{value:.2f}, {quality}" in figures_words(own(tmp_path, {"validation": {"slice_auc": value}}))


@pytest.mark.parametrize("run", ["no JSON", "[]", '{"counts": 1, "validation": {"slice_auc": null}}'])
def test_what_a_model_does_not_tell_is_left_out(tmp_path: Path, run: str) -> None:
    assert figures_words(own(tmp_path, run)) == "Your own model."
    assert figures_words({"name": "x", "origin": "shipped", "folder": str(tmp_path / "gone")}) == "Shipped model."
