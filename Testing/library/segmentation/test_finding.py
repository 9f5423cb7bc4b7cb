"""The sentence on what was found: what was looked for, where, and nothing that was not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ClamSegLib.model.config import OrganConfig
from ClamSegLib.organ.find_organ import OrganResult
from ClamSegLib.segmentation.finding import Search, finding_words, organ_doubt

CT = Search(("infection",), 48, 48, smallest_ml=0.1)


def test_an_empty_result_names_the_target_and_that_nothing_else_was_looked_for() -> None:
    words = "No infection of 0.1 ml or more found, nothing else was looked for, 48 of 48 slices analysed"
    assert finding_words(CT, 0) == words
    assert finding_words(replace(CT, targets=("epidural", "subdural", "contusion"), smallest_ml=0), 0).startswith(
        "No epidural, subdural or contusion found, nothing else"
    )


def test_names_stand_in_the_sentence_as_a_radiologist_writes_them() -> None:
    assert finding_words(replace(CT, targets=("Glioma",)), 0).startswith("No glioma of 0.1 ml or more found")
    assert finding_words(replace(CT, targets=("Glioma",)), 1).startswith("1 lesion (glioma), ")
    assert finding_words(replace(CT, targets=("Nodule", "Infection")), 0).startswith("No nodule or infection of")
    assert finding_words(replace(CT, targets=("Non-enhancing part",)), 0).startswith("No non-enhancing part of")
    for name in ("MS lesion", "COVID-19 pneumonia", "T2 lesion", "X-ray opacity"):
        assert finding_words(replace(CT, targets=(name,)), 2).startswith(f"2 lesions ({name}), ")


def test_a_picture_says_how_much_of_it_was_searched() -> None:
    xray = Search(("pneumonia",), 1, 1, share=0.638)
    assert finding_words(xray, 0).endswith("1 of 1 slices analysed (64% of the picture)")


def test_what_was_too_small_to_be_listed_is_told_in_pixels() -> None:
    picture = Search(("pneumonia",), 1, 1, smallest_px=9)
    assert finding_words(picture, 0).startswith("No pneumonia of 9 pixels or more found")
    assert finding_words(picture, 2).endswith("; marks below 9 pixels are not listed")


def test_marks_are_counted_with_what_they_are_and_what_was_decided() -> None:
    assert finding_words(CT, 1) == "1 lesion (infection), 48 of 48 slices analysed"
    assert finding_words(CT, 3, decided=2) == "3 lesions (infection), 2 decided, 48 of 48 slices analysed"
    assert (
        finding_words(CT, 3, decided=2, rejected=1)
        == "3 lesions (infection), 2 decided (1 rejected), 48 of 48 slices analysed"
    )
    assert finding_words(CT, 3, decided=3, rejected=3).startswith(
        "No infection is left, all that was marked is rejected"
    )


def test_a_model_of_an_organ_says_that_it_looks_for_no_lesions() -> None:
    lungs = Search(("lungs",), 1, 1, share=1.0, is_organ=True)
    assert finding_words(lungs, 1).startswith("Lungs outlined, 1 of 1 slices analysed")
    assert finding_words(lungs, 0).startswith("No lungs found, 1 of 1")
    assert finding_words(lungs, 1).endswith("; this model looks for no lesions")
    assert finding_words(replace(lungs, doubt="the outline is odd"), 1).endswith("no lesions; the outline is odd")


@pytest.mark.parametrize("rejected", [0, 2])
def test_nothing_in_a_doubtful_organ_is_no_finding(rejected: int) -> None:
    doubtful = replace(CT, doubt="the outline of the lungs is doubtful")
    words = finding_words(doubtful, rejected, rejected=rejected)
    assert words.startswith("The outline of the lungs is doubtful, so that nothing stands marked does not mean")
    assert "No infection" not in words
    assert finding_words(doubtful, 2).endswith("; the outline of the lungs is doubtful")


def test_a_poor_organ_or_one_that_was_not_found_is_a_doubt() -> None:
    class Config:
        task = "lesion"
        organ = OrganConfig("lungs_ct", "lungs")

    mask = np.ones((1, 2, 2), bool)
    assert organ_doubt(OrganResult(mask, "lungs_ct", 1.0), Config) == ""
    assert (
        organ_doubt(OrganResult(mask, "lungs_ct", 0.5, "too dense"), Config) == "the outline of the lungs is doubtful"
    )
    assert organ_doubt(OrganResult(mask, "body", 0.3, "", True), Config) == "the lungs could not be outlined"
    Config.task = "organ"
    assert organ_doubt(OrganResult(mask, "whole", 0.1), Config) == ""
    assert organ_doubt(OrganResult(mask, "whole", 1.0), Config, "half of it") == "the outline of the lungs is doubtful"


def test_what_was_searched_comes_back_from_a_report() -> None:
    search = Search(("a", "b"), 3, 3, 0.5, 0.0, "doubt")
    assert Search.from_json(search.to_json()) == search
