"""Cases are told by what files hold: a stray picture or note changes nothing."""

from pathlib import Path

from dicom_stacks import stack

from ClamSegLib.imaging.case_files import find_cases


def names(folder: Path) -> list[str]:
    return [path.name for path in find_cases([folder])[0]]


def test_a_picture_among_slices_makes_no_case(tmp_path):
    stack(tmp_path / "ct")
    (tmp_path / "ct" / "preview.jpg").write_bytes(b"\xff\xd8")
    assert names(tmp_path / "ct") == ["ct"]


def test_a_folder_of_patients_stays_one_whatever_lies_beside_them(tmp_path):
    for patient in ("p1", "p2"):
        stack(tmp_path / patient / "series")
    assert names(tmp_path) == ["p1", "p2"]
    (tmp_path / "README.txt").write_text("two patients")
    (tmp_path / "overview.png").write_bytes(b"\x89PNG")
    (tmp_path / "notes").mkdir()
    stack(tmp_path / "x", 1)
    next((tmp_path / "x").iterdir()).rename(tmp_path / "scout")
    (tmp_path / "x").rmdir()
    assert names(tmp_path) == ["p1", "p2"]
    (note,) = find_cases([tmp_path])[1]
    assert all(word in note for word in ("overview.png", "scout", "notes"))


def test_scans_are_cases_each_and_the_folders_beside_them_are_said(tmp_path):
    for name in ("a.nii.gz", "b.nrrd", "readme.md"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "results").mkdir()
    cases, notes = find_cases([tmp_path])
    assert [case.name for case in cases] == ["a.nii.gz", "b.nrrd"]
    assert "results" in notes[0]


def test_volumes_beside_a_series_are_cases_too(tmp_path):
    stack(tmp_path / "ct")
    (tmp_path / "ct" / "other.nii.gz").write_bytes(b"x")
    assert names(tmp_path / "ct") == ["ct", "other.nii.gz"]


def test_files_and_what_is_not_there_stand_for_themselves(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "missing"]
    assert find_cases(paths) == (paths, [])
    assert find_cases([tmp_path]) == ([tmp_path], [])
