"""Patients, classes and splits are told apart as people name their folders and tables."""

from pathlib import Path

import numpy as np
import pytest
from dicom_stacks import dataset, save, stack
from PIL import Image

from ClamSegLib.datasets.labelled_folder import read_labelled_folder
from ClamSegLib.datasets.patients import patients_by_path, without_ending
from ClamSegLib.system.errors import InputError


def picture(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(((np.arange(400).reshape(20, 20) + value) % 251).astype(np.uint8)).save(path)


def patients(root: Path) -> list[str]:
    return [row.patient_id for row in read_labelled_folder(root).rows]


def table(root: Path, text: str) -> Path:
    for k in range(4):
        picture(root / "images" / f"{k}.png", k)
    (root / "labels.csv").write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a.png", "a"),
        ("1.2.840.113.dcm", "1.2.840.113"),
        ("1.2.840.113", "1.2.840.113"),
        ("x.y.NII.GZ", "x.y"),
        (".png", ".png"),
    ],
)
def test_only_the_ending_of_a_format_is_cut_off(name, kept):
    assert without_ending(name) == kept


def test_files_named_by_uids_are_patients_each(tmp_path):
    for k in range(4):
        picture(tmp_path / ("normal" if k % 2 else "pneumothorax") / f"1.2.826.0.1.{k}.151.{k}.png", k)
    assert len(set(patients(tmp_path))) == 4


def test_a_number_that_both_classes_count_is_two_patients_and_a_name_is_one(tmp_path):
    for name in ("normal", "diseased"):
        picture(tmp_path / name / "1" / "a.png")
        picture(tmp_path / name / "anna" / "a.png", 1)
        picture(tmp_path / name / "2.png", 2)
    assert sorted(set(patients(tmp_path))) == ["anna", "diseased/1", "diseased/2", "normal/1", "normal/2"]


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["sub-0/flair.png", "sub-1/flair.png"], ["sub-0", "sub-1"]),
        (["data/sub-0/ses-1/flair.nii.gz", "data/sub-0/ses-2/flair.nii.gz", "data/sub-1/ses-1/flair.nii.gz"], ["sub-0", "sub-0", "sub-1"]),
        (["train/sub-0/flair.png", "val/sub-1/flair.png"], ["sub-0", "sub-1"]),
        (["normal/1.png", "sick/1.png"], ["normal/1", "sick/1"]),
        (["images/a.png", "images/b.c.png"], ["a", "b.c"]),
        (["p1/scan.nii.gz", "p1/scan.nii.gz", "p2/other.nii.gz"], ["scan", "scan", "other"]),
    ],
)  # fmt: skip
def test_a_table_without_patients_goes_by_its_paths(paths, found):
    assert patients_by_path(paths, ["normal", "sick"]) == found


def test_a_table_without_patients_says_how_many_it_took(tmp_path):
    rows = "".join(f"images/{k}.png,{k % 2}\n" for k in range(4))
    folder = read_labelled_folder(table(tmp_path, "image_path,label\n" + rows))
    assert len({row.patient_id for row in folder.rows}) == 4
    assert "4 rows have no patient_id: by their paths they are 4 patients" in folder.warnings[0]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("image_path,label\nimages/0.png,0.0\nimages/1.png,1.0\n", [0, 1]),
        ("sep=;\nimage_path;label\nimages/0.png;0\nimages/1.png;1\n", [0, 1]),
        ("image_path, label\nimages/0.png, 0\nimages/1.png, 1\n", [0, 1]),
        ("image_path,label\nimages\\0.png,False\nimages\\1.png,True\n", [0, 1]),
        ("image_path,label\nimages/0.png,Normal\nimages/1.png,Oedema\nimages/2.png, oedema \nimages/3.png,NORMAL\n", [0, 1, 1, 0]),
    ],
    ids=["pandas", "Excel", "blanks", "Windows", "spellings"],
)  # fmt: skip
def test_what_spreadsheets_and_scripts_write_is_read(tmp_path, text, labels):
    folder = read_labelled_folder(table(tmp_path, text))
    assert [row.label for row in folder.rows] == labels
    assert all(row.image_path.is_file() for row in folder.rows)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("path,class\nimages/0.png,0\n", "its first line holds: path, class"),
        ("image_path,label,slice_index\nimages/0.png,0,nan\nimages/1.png,1,0\n", "slice_index 'nan'"),
        (f"image_path,label\n{'x' * 5000}.png,0\nimages/1.png,1\n", "cannot be a path"),
        ("image_path,label\nimages/\0.png,0\nimages/1.png,1\n", "cannot be a path"),
    ],
    ids=["columns", "no number", "long", "NUL"],
)
def test_what_cannot_be_read_is_named(tmp_path, text, word):
    with pytest.raises(InputError) as refusal:
        read_labelled_folder(table(tmp_path, text))
    assert word in str(refusal.value)


def test_folders_for_splits_hold_the_classes(tmp_path):
    for k, place in enumerate(("train/NORMAL", "train/PNEUMONIA", "val/Normal", "test/PNEUMONIA")):
        picture(tmp_path / place / "p.png", k)
    folder = read_labelled_folder(tmp_path)
    found = {row.relative_path: (row.split, row.class_name) for row in folder.rows}
    assert found == {
        "train/NORMAL/p.png": ("train", "NORMAL"), "train/PNEUMONIA/p.png": ("train", "PNEUMONIA"),
        "val/Normal/p.png": ("val", "NORMAL"), "test/PNEUMONIA/p.png": ("test", "PNEUMONIA"),
    }  # fmt: skip
    assert len({row.patient_id for row in folder.rows}) == 4
    assert "differ in capitals or blanks" in folder.warnings[0]


def test_a_patient_in_two_split_folders_is_refused(tmp_path):
    for k, place in enumerate(("train/normal", "train/sick", "test/normal")):
        picture(tmp_path / place / "anna" / "p.png", k)
    with pytest.raises(InputError, match="'anna' stands in the splits"):
        read_labelled_folder(tmp_path)


def test_a_folder_is_entered_once_whatever_links_lead_back(tmp_path):
    for name in ("normal", "sick"):
        for k in range(2):
            picture(tmp_path / name / f"{name[0]}{k}" / "a.png", k)
    (tmp_path / "normal" / "n0" / "back").symlink_to("..", target_is_directory=True)
    (tmp_path / "normal" / "n0" / "other").symlink_to(tmp_path / "sick", target_is_directory=True)
    (tmp_path / "normal" / "n1" / "again.png").symlink_to(tmp_path / "normal" / "n0" / "a.png")
    folder = read_labelled_folder(tmp_path)
    assert [row.class_name for row in folder.rows] == ["normal", "normal", "sick", "sick"]
    assert "passed over (3)" in folder.warnings[0]


def test_links_to_images_kept_elsewhere_are_images(tmp_path):
    picture(tmp_path / "store" / "deep" / "a.png")
    picture(tmp_path / "data" / ".annex" / "b.png", 1)
    picture(tmp_path / "data" / "sick" / "c.png", 2)
    (tmp_path / "data" / "normal").mkdir()
    (tmp_path / "data" / "normal" / "p1").symlink_to(tmp_path / "store", target_is_directory=True)
    (tmp_path / "data" / "normal" / "b.png").symlink_to(tmp_path / "data" / ".annex" / "b.png")
    assert sorted(patients(tmp_path / "data")) == ["b", "c", "p1"]


def test_a_patient_gives_one_series_and_which_is_said(tmp_path):
    stack(tmp_path / "normal" / "p1" / "a", 3, "1.1", SeriesDescription="scout view")
    stack(tmp_path / "normal" / "p1" / "b", 6, "1.2", SeriesDescription="T1")
    stack(tmp_path / "sick" / "p2", 4, "2.1")
    stack(tmp_path / "sick" / "p2", 2, "2.2")
    folder = read_labelled_folder(tmp_path)
    assert [row.relative_path for row in folder.rows] == ["normal/p1/b", "sick/p2"]
    assert "'T1' with 6 slices" in folder.warnings[0]
    assert "p2 holds 2 series" in folder.warnings[1]


def test_single_x_rays_of_a_folder_stay_images_each(tmp_path):
    flat = {"Modality": "DX", "ImagePositionPatient": None, "ImageOrientationPatient": None}
    for k in range(4):
        ds = dataset(np.full((20, 24), k, np.uint16), f"9.{k}", 1, **flat)
        save(tmp_path / ("normal" if k % 2 else "sick"), f"1.2.{k}", ds)
    assert len(set(patients(tmp_path))) == 4
