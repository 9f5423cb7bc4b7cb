"""What a screen calls DICOM series: patient, description and date of each, and nothing of it in a message."""

import numpy as np
import pytest
from dicom_stacks import dataset, save, stack
from pydicom.dataset import Dataset

from ClamSegLib.imaging.dicom_titles import series_titles
from ClamSegLib.system.errors import InputError


def test_every_scan_of_a_folder_has_a_title_the_largest_first(tmp_path):
    stack(tmp_path / "a", 3, "1.2.3.4", StudyDate="20210304", SeriesDescription="Scout  thin")
    stack(
        tmp_path / "b",
        6,
        "1.2.3.5",
        SeriesDate="2022.12.31",
        PatientName="Mu\u0308ller^Anna^^Dr.",
        SpecificCharacterSet="ISO_IR 192",
    )
    save(tmp_path, "seg", dataset(np.zeros((20, 24), np.uint16), "1.8", 1, Modality="SEG"))
    first, second = series_titles(tmp_path)
    assert (first.uid, first.n_slices, first.date, first.patient) == (
        "1.2.3.5",
        6,
        "2022-12-31",
        "Mu\u0308ller Anna Dr.",
    )
    assert (second.uid, second.description, second.date, second.modality) == (
        "1.2.3.4",
        "Scout thin",
        "2021-03-04",
        "CT",
    )


def test_a_single_file_and_a_header_without_names_have_what_there_is(tmp_path):
    stack(tmp_path, 1, PatientName=None, SeriesDescription="")
    (title,) = series_titles(next(tmp_path.iterdir()))
    assert (title.patient, title.description, title.date, title.n_slices) == ("", "", "", 1)


def test_a_damaged_name_is_no_reason_to_fail(tmp_path, caplog):
    made: Dataset = dataset(np.zeros((20, 24), np.uint16), "1.8", 1, StudyDate="yesterday")
    made.PatientName = "Doe^Secret\n\x07"
    save(tmp_path, "one", made)
    (title,) = series_titles(tmp_path)
    assert title.patient == "Doe Secret"
    assert title.date == ""
    assert "Secret" not in caplog.text


def test_a_folder_without_dicom_is_told_as_anywhere(tmp_path):
    with pytest.raises(InputError, match="holds no DICOM"):
        series_titles(tmp_path)
