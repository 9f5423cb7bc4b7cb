"""Which files and folders make the cases of an input: told by what they hold, not by what lies beside them."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from ClamSegLib.imaging.dicom_series import read_header
from ClamSegLib.imaging.dicom_signature import is_dicom_file
from ClamSegLib.imaging.read_write import DICOM_ENDINGS, PICTURE_ENDINGS, ending_of, is_image_file

_NAMED_AT_MOST = 3


def find_cases(paths: list[Path]) -> tuple[list[Path], list[str]]:
    """The cases of the inputs: files as they are, a folder with a DICOM series, or all that a folder of scans holds.

    Returns:
        Files and DICOM folders to read, and what was left out, in sentences.
    """
    cases: list[Path] = []
    notes: list[str] = []
    for path in paths:
        if not path.is_dir() or not os.access(path, os.R_OK | os.X_OK):
            cases.append(path)  # what cannot be read is told as its own case
            continue
        found, left_out = _cases_of_folder(path)
        cases += found
        if left_out:
            listed = ", ".join(p.name for p in left_out[:_NAMED_AT_MOST])
            more = f" and {len(left_out) - _NAMED_AT_MOST} more" if len(left_out) > _NAMED_AT_MOST else ""
            notes.append(f"Left out of {path.name or path}: {listed}{more}; name them to have them segmented.")
    return cases, notes


def _cases_of_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """The cases of a folder, and images and folders in it that are none of them."""
    members = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    files = [p for p in members if p.is_file()]
    folders = [p for p in members if p.is_dir()]
    scans = [p for p in files if is_image_file(p) and ending_of(p) not in DICOM_ENDINGS]
    # Two settle it: a header is read once more where the series is.
    dicom = list(islice((p for p in files if p not in scans and _is_dicom_image(p)), 2))
    patients = [p for p in folders if holds_dicom(p)] if len(dicom) < 2 else []
    pictures = [p for p in scans if ending_of(p) in PICTURE_ENDINGS]
    volumes = [p for p in scans if p not in pictures]
    if patients:
        # A preview, a localiser or a note beside the folders of patients makes them no single case.
        return patients + volumes, pictures + dicom + [p for p in folders if p not in patients]
    if dicom:
        return [folder, *volumes], []  # pictures beside the slices are named where the series is read
    if scans:
        return scans, folders
    return (folders or [folder]), []


def _is_dicom_image(path: Path) -> bool:
    """Whether a file is a slice or X-ray, or is called one and may be damaged."""
    if ending_of(path) in DICOM_ENDINGS or not os.access(path, os.R_OK):
        return True
    return is_dicom_file(path) and read_header(path) is not None


def holds_dicom(folder: Path) -> bool:
    """Whether a DICOM image lies in a folder or below it; the first one found settles it."""
    for here, _folders, names in os.walk(folder, followlinks=False):
        for name in sorted(names):
            path = Path(here) / name
            if not name.startswith(".") and not _is_other_image(path) and path.is_file() and _is_dicom_image(path):
                return True
    return False


def _is_other_image(path: Path) -> bool:
    return is_image_file(path) and ending_of(path) not in DICOM_ENDINGS
