"""Labelled folders: images that are only called normal or diseased.

Form 1 is `<root>/<class>/<patient>/<files>` or `<root>/<class>/<files>`; form 2 is `<root>/labels.csv`
(docs/reference.md). Everything that could silently spoil a training is refused here, in one line each.
"""

from __future__ import annotations

import random
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from ClamSegLib.datasets.class_folders import read_classes
from ClamSegLib.datasets.labels_csv import TABLE, read_table
from ClamSegLib.datasets.rows import TRAINING_SPLITS, LabelledFolder, Row
from ClamSegLib.system.errors import InputError

__all__ = [
    "LabelledFolder",
    "Row",
    "add_corrections",
    "keep_rows",
    "read_labelled_folder",
    "split_rows",
    "without_outlines",
]


def read_labelled_folder(root: Path, *, normal_class: str | None = None, both_classes: bool = True) -> LabelledFolder:
    """Reads a labelled folder of either form.

    Args:
        normal_class: name of the class without disease; None finds it among the usual names.
        both_classes: refuse a folder that holds one class only.

    Raises:
        InputError: no folder, no images, one class only, a table with missing columns or bad values, paths
            outside the root, duplicates, missing files, or a patient in two splits.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; name a folder with one folder per class, or with a {TABLE}.")
    folder = read_table(root, normal_class) if (root / TABLE).is_file() else read_classes(root, normal_class)
    _check_patients(folder)
    labels = {row.label > 0 for row in folder.rows}
    if both_classes and len(labels) < 2:
        came = "diseased" if True in labels else "normal"
        raise InputError(f"{root} holds only {came} images; learning needs normal and diseased ones.")
    return folder


def keep_rows(folder: LabelledFolder, wanted: list[str]) -> LabelledFolder:
    """Only the rows whose columns match, e.g. 'view=PA' or 'image_license=CC BY [0-9]*' (patterns with * and ?).

    Raises:
        InputError: no '=', a column the table does not have, or no row left.
    """
    rows = folder.rows
    for condition in wanted:
        column, sign, pattern = condition.partition("=")
        if not sign or not all(column in row.extra for row in rows):
            raise InputError(
                f"--only '{condition}' must be COLUMN=PATTERN with a column of {TABLE} that ClamSeg does not use itself."
            )
        rows = tuple(row for row in rows if fnmatchcase(row.extra[column], pattern))
        if not rows:
            raise InputError(f"--only '{condition}' leaves no row; check the pattern.")
    return replace(folder, rows=rows)


def add_corrections(folder: LabelledFolder, root: Path) -> LabelledFolder:
    """The rows of `folder` and the corrections saved below `root`, all of them to be learned from.

    A condition of another name is taken for the folder's own where both have only one.

    Raises:
        InputError: no corrections there, or a condition that the folder does not have.
    """
    if not (root / TABLE).is_file():
        raise InputError(f"{root} holds no corrections ({TABLE} is missing); save some in the review first.")
    extra = read_table(root, "normal", normal_may_lack=True)
    only = folder.conditions[0] if len(folder.conditions) == len(extra.conditions) == 1 else None
    rows = list(folder.rows)
    training = next((row.split for row in folder.rows if row.split in TRAINING_SPLITS), "")
    for row in extra.rows:
        name = only if only is not None and row.label else row.class_name
        if row.label and name not in folder.conditions:
            raise InputError(
                f"The corrections name '{row.class_name}', the images only {', '.join(folder.conditions)}; "
                "use images of the same conditions."
            )
        label = folder.conditions.index(name) + 1 if row.label else 0
        class_name = folder.conditions[label - 1] if label else folder.normal_class
        rows.append(replace(row, label=label, class_name=class_name, split=training))
    joined = replace(folder, rows=tuple(rows))
    _check_patients(joined)
    return joined


def without_outlines(folder: LabelledFolder) -> LabelledFolder:
    """The same rows, corrected outlines not taught: they count by their label only."""
    return replace(folder, rows=tuple(replace(row, correction=False) for row in folder.rows))


def _check_patients(folder: LabelledFolder) -> None:
    splits: dict[str, str] = {}
    for row in folder.rows:
        if splits.setdefault(row.patient_id, row.split) != row.split:
            raise InputError(
                f"{folder.root}: patient '{row.patient_id}' stands in the splits '{splits[row.patient_id]}' and '{row.split}'; "
                "a patient must be in one split only."
            )


def split_rows(folder: LabelledFolder, *, validation_share: float = 0.2, seed: int = 0) -> tuple[list[int], list[int]]:
    """Training and validation rows, by patient; rows of splits other than 'train' are never touched.

    Patients with and without diseased slices are shared out alike. With too few patients the validation list
    may be empty: the caller says so.
    """
    by_patient: dict[str, list[int]] = {}
    for number, row in enumerate(folder.rows):
        if row.split in TRAINING_SPLITS:
            by_patient.setdefault(row.patient_id, []).append(number)
    if not by_patient:
        raise InputError(
            f"{folder.root} has no row in split 'train'; name the rows to learn from so, or leave split empty."
        )
    generator = random.Random(seed)
    training: list[int] = []
    validation: list[int] = []
    groups: dict[bool, list[str]] = {True: [], False: []}
    for patient, numbers in by_patient.items():
        groups[any(folder.rows[k].label for k in numbers)].append(patient)
    for patients in groups.values():
        generator.shuffle(patients)
        held_out = round(validation_share * len(patients))
        if validation_share > 0 and held_out == 0 and len(patients) >= 3:
            held_out = 1
        for place, patient in enumerate(patients):
            (validation if place < held_out else training).extend(by_patient[patient])
    return sorted(training), sorted(validation)
