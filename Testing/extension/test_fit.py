"""Which model is suggested for a scan, and what does not fit, on the shipped models and samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ClamSegLib.model.registry import list_models
from ClamSegWorkflow.case.display_names import model_titles, shown_name
from ClamSegWorkflow.case.model_fit import body_part, describe, mismatches, model_words, suggest_model
from ClamSegWorkflow.scene.volume_facts import VolumeFacts

AXIAL = np.diag([-1.0, -1.0, 3.0, 1.0])
SAMPLES = {
    "ct-head-haemorrhage": VolumeFacts("CT", True, "ct head, 5 mm", 30, True),
    "ct-lung-lesion": VolumeFacts("CT", True, "chest ct, 3 mm", 60, True),
    "mr-flair-glioma": VolumeFacts("MR", True, "mr_flair_brain", 46, False),
    "xray-lungs": VolumeFacts("XR", False, "cxr pa", 1, False),
}


def config_of(name: str) -> dict[str, Any]:
    (entry,) = [entry for entry in list_models() if entry["name"] == name]
    return dict(json.loads((Path(entry["folder"]) / "config.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("model", SAMPLES)
def test_each_kind_of_scan_gets_its_model_and_no_doubt(model: str) -> None:
    facts = SAMPLES[model]
    assert suggest_model(list_models(), facts) == model
    assert mismatches(config_of(model), facts, AXIAL) == []


@pytest.mark.parametrize("model", SAMPLES)
def test_every_other_scan_raises_a_doubt(model: str) -> None:
    for other, facts in SAMPLES.items():
        if other != model:
            assert mismatches(config_of(model), facts, AXIAL)


def test_the_panels_words_for_body_parts_are_those_of_the_shipped_models() -> None:
    parts = {config_of(entry["name"])["body_part"] for entry in list_models() if entry["origin"] == "shipped"}
    assert parts == {"head", "chest"}
    assert body_part(SAMPLES["mr-flair-glioma"]) == "head"
    assert body_part(SAMPLES["ct-lung-lesion"]) == "chest"


def test_another_sequence_and_another_plane_are_named() -> None:
    t1 = VolumeFacts("MR", True, "t1 mprage head", 160, False)
    sagittal = np.array([[0, 0, 5.0, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    told = mismatches(config_of("mr-flair-glioma"), t1, sagittal)
    assert any("FLAIR" in text and "T1" in text for text in told)
    assert any("sagittal" in text for text in told)


def test_a_guess_is_called_a_guess() -> None:
    assert describe(VolumeFacts("MR", False, "flair head", 46, False)) == "MRI (guessed), head, FLAIR, 46 slices"
    assert describe(VolumeFacts("XR", True, "", 1, False)) == "X-ray, 1 slice"
    assert describe(VolumeFacts("MR", True, "", 40, False, plane="sagittal")) == "MRI, 40 sagittal slices"
    assert describe(VolumeFacts("CT", True, "", 9, True, oblique_deg=16.6)) == "CT, 9 slices, oblique by 17°"
    assert suggest_model(list_models(), VolumeFacts("", False, "", 0, False)) == ""


def test_a_model_of_ones_own_is_suggested_only_where_no_shipped_one_fits_as_well() -> None:
    facts = SAMPLES["mr-flair-glioma"]
    own = {
        "name": "zz-tried-for-a-minute",
        "origin": "user",
        "task": "lesion",
        "modality": "MR",
        "body_part": "head",
        "sequence": "FLAIR",
    }
    assert suggest_model([*list_models(), own], facts) == "mr-flair-glioma"
    t1 = {**own, "name": "own-t1", "sequence": "T1"}
    assert suggest_model([*list_models(), t1], VolumeFacts("MR", True, "t1 head", 46, False)) == "own-t1"


def test_models_are_listed_by_names_for_people_and_twins_of_a_name_are_told_apart() -> None:
    entries = [entry for entry in list_models() if entry["task"] == "lesion"]
    assert model_titles(entries) == [
        "Haemorrhage in head CT",
        "Nodules and infection in chest CT",
        "Glioma in brain FLAIR MRI, non-commercial",
    ]
    copied = {**entries[1], "name": "copied", "origin": "user"}
    assert model_titles([copied, entries[1]]) == [
        "Nodules and infection in chest CT (copied)",
        "Nodules and infection in chest CT (ct-lung-lesion)",
    ]
    assert shown_name({"name": "my-model-2", "display_name": ""}) == "my-model-2"


def test_a_lateral_x_ray_is_named_before_the_run() -> None:
    lateral = VolumeFacts("XR", True, "cxr", 1, False, view="lateral")
    (told,) = mismatches(config_of("xray-lungs"), lateral, AXIAL)
    assert "lateral" in told
    assert mismatches(config_of("xray-lungs"), VolumeFacts("XR", True, "cxr", 1, False, view="frontal"), AXIAL) == []


def test_what_a_model_finds_stands_in_a_sentence_as_people_write_it() -> None:
    entries = {entry["name"]: entry for entry in list_models()}
    assert model_words(entries["mr-flair-glioma"]).startswith("Finds glioma and nothing else. ")
    assert model_words(entries["ct-lung-lesion"]).startswith("Finds infection, nodule and nothing else. ")
    assert model_words(entries["xray-lungs"]).startswith("Outlines lungs only: ")
    own = {**entries["mr-flair-glioma"], "condition_names": ["MS lesion"]}
    assert model_words(own).startswith("Finds MS lesion and")
