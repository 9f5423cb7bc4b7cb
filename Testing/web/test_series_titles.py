"""DICOM scans bear the patient's name on the screen; the series of a folder are offered where there are several."""

from __future__ import annotations

import ClamSegWeb  # noqa: F401 - puts the rooms that the page shares on the path
from ClamSegWeb.series_titles import SeriesTitles


def entry(uid: str, **values: object) -> dict[str, object]:
    return {
        "uid": uid, "patient": "Doe Jane", "description": "FLAIR", "date": "2021-03-04", "modality": "MR", "n_slices": 30, **values,
    }  # fmt: skip


def test_before_the_worker_answered_nothing_is_called_by_a_patient() -> None:
    titles = SeriesTitles()
    assert (titles.title(""), titles.date(""), titles.choices(""), titles.chosen("")) == ("", "", [], "")


def test_the_largest_series_is_the_open_one_where_none_was_chosen() -> None:
    titles = SeriesTitles()
    titles.fill([entry("1.1"), entry("1.2", description="T1", n_slices=20, date="")])
    assert titles.title("") == "Doe Jane, FLAIR"
    assert titles.title("1.2") == "Doe Jane, T1"
    assert titles.date("") == "2021-03-04"
    assert [(each["words"], each["chosen"]) for each in titles.choices("1.2")] == [
        ("FLAIR, MR, 30 slices", False),
        ("T1, MR, 20 slices", True),
    ]


def test_a_series_alone_is_no_choice_and_without_a_patient_the_files_name_stays() -> None:
    titles = SeriesTitles()
    titles.fill([entry("1.1", patient="")])
    assert titles.choices("") == []
    assert titles.title("") == ""
