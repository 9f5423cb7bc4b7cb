"""Labelled folders: images that are only called normal or diseased.

Form 1 is `<root>/<class>/<patient>/<files>` or `<root>/<class>/<files>`; form 2 is `<root>/labels.csv`
(docs/reference.md). Everything that could silently spoil a training is refused here, in one line each.
"""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from ClamSegLib.errors import InputError
from ClamSegLib.volume_files import ALLOWED, is_image_file

NORMAL_NAMES = ("normal", "negative", "healthy", "control")
_TABLE = "labels.csv"
_TRAINING_SPLITS = ("", "train", "training")
_KINDS = ("", "mask", "box")
_KNOWN_COLUMNS = (
    "image_path", "label", "label_name", "patient_id", "split", "eta", "slice_index", "n_slices",
    "organ_mask_path", "lesion_mask_path", "lesion_mask_kind", "correction",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One image, or one slice of a volume.

    Attributes:
        image_path: absolute.
        relative_path: as in the table, relative to the root.
        label: 0 normal, c for `conditions[c - 1]`.
        eta: probability that the slice shows the lesion, None where unknown.
        slice_index: of a canonical slice of a volume, or of a picture in its patient's stack.
        lesion_mask_kind: 'mask', 'box', or '' without a mask.
        correction: the lesion mask is a user's correction and may be trained on.
        extra: columns ClamSeg does not know, kept.
    """

    image_path: Path
    relative_path: str
    label: int
    class_name: str
    patient_id: str
    split: str = ""
    eta: float | None = None
    slice_index: int | None = None
    n_slices: int | None = None
    organ_mask_path: Path | None = None
    lesion_mask_path: Path | None = None
    lesion_mask_kind: str = ""
    correction: bool = False
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledFolder:
    """The rows of a labelled folder; label c means conditions[c - 1], 0 the normal class."""

    root: Path
    rows: tuple[Row, ...]
    conditions: tuple[str, ...]
    normal_class: str
    warnings: tuple[str, ...] = ()


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
        raise InputError(f"{root} is not a folder; name a folder with one folder per class, or with a {_TABLE}.")
    folder = _read_table(root, normal_class) if (root / _TABLE).is_file() else _read_classes(root, normal_class)
    _check_patients(folder)
    labels = {row.label > 0 for row in folder.rows}
    if both_classes and len(labels) < 2:
        came = "diseased" if True in labels else "normal"
        raise InputError(f"{root} holds only {came} images; learning needs normal and diseased ones.")
    return folder


def require_masks(folder: LabelledFolder, indices: list[int]) -> None:
    """Refuses boxes where outlines are needed.

    Raises:
        InputError: no row of `indices` has a lesion mask, or only boxes.
    """
    kinds = {folder.rows[k].lesion_mask_kind for k in indices if folder.rows[k].lesion_mask_path is not None}
    if "mask" not in kinds:
        came = "only boxes" if "box" in kinds else "none"
        raise InputError(f"Lesion outlines are needed (lesion_mask_path with kind 'mask'), but there are {came}.")


def keep_rows(folder: LabelledFolder, wanted: list[str]) -> LabelledFolder:
    """Only the rows whose columns match, e.g. 'view=PA' or 'image_license=CC BY [0-9]*' (shell patterns).

    Raises:
        InputError: no '=', a column the table does not have, or no row left.
    """
    rows = folder.rows
    for condition in wanted:
        column, sign, pattern = condition.partition("=")
        if not sign or not all(column in row.extra for row in rows):
            raise InputError(
                f"--only '{condition}' must be COLUMN=PATTERN with a column of {_TABLE} that ClamSeg does not use itself."
            )
        rows = tuple(row for row in rows if fnmatchcase(row.extra[column], pattern))
        if not rows:
            raise InputError(f"--only '{condition}' leaves no row; check the pattern.")
    return replace(folder, rows=rows)


# -- form 2: a table -------------------------------------------------------------------------------------


def _table_lines(root: Path) -> list[dict[str, str]]:
    path = root / _TABLE
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as CSV in UTF-8.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    head = text.partition("\n")[0]
    delimiter = ";" if head.count(";") > head.count(",") else "\t" if head.count("\t") > head.count(",") else ","
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter)
    missing = [name for name in ("image_path", "label") if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"{path} lacks the column {' and '.join(missing)}; it needs image_path and label.")
    lines = [{key: (value or "").strip() for key, value in line.items() if key} for line in reader]
    if not lines:
        raise InputError(f"{path} has no rows; list one image per row.")
    return lines


def _inside(root: Path, text: str, where: str) -> Path:
    """The file of a table's path, refused when it leads out of the root or does not exist."""
    path = root / text
    if Path(text).is_absolute() or not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{where}: '{text}' leads out of {root}; paths must be relative to the folder of {_TABLE}.")
    if not path.exists():
        raise InputError(f"{where}: '{text}' does not exist in {root}.")
    return path.absolute()


def _number(text: str, where: str, name: str) -> int | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise InputError(f"{where}: {name} '{text}' is not a number.") from error
    if value != int(value) or value < 0:
        raise InputError(f"{where}: {name} '{text}' must be a whole number from 0.")
    return int(value)


def _classes(lines: list[dict[str, str]], normal_class: str | None, path: Path) -> tuple[str, list[str]]:
    """Normal class and conditions of a table, whose labels are 0/1 or class names."""
    values = list(dict.fromkeys(line["label"] for line in lines))
    if set(values) <= {"0", "1"}:
        names = {line.get("label_name", "") for line in lines if line["label"] == "1"}
        normal = {line.get("label_name", "") for line in lines if line["label"] == "0"}
        return (normal.pop() if len(normal) == 1 else "") or "normal", [
            (names.pop() if len(names) == 1 else "") or "lesion"
        ]
    if "" in values:
        raise InputError(f"{path} has rows without a label; give 0, 1 or a class name.")
    return _normal_and_conditions(values, normal_class, path)


def _normal_and_conditions(names: list[str], normal_class: str | None, path: Path) -> tuple[str, list[str]]:
    if normal_class is not None:
        normal = [n for n in names if n.lower() == normal_class.lower()]
        if not normal:
            raise InputError(
                f"--normal-class {normal_class} is not a class of {path}; there are {', '.join(sorted(names))}."
            )
    else:
        normal = [n for n in names if n.lower() in NORMAL_NAMES]
    if len(normal) != 1:
        came = "several" if normal else "none"
        raise InputError(
            f"{path}: which class is the normal one? Of {', '.join(sorted(names))}, {came} is called "
            f"{', '.join(NORMAL_NAMES)}; name it with --normal-class."
        )
    return normal[0], sorted(n for n in names if n != normal[0])


def _read_table(root: Path, normal_class: str | None) -> LabelledFolder:
    lines = _table_lines(root)
    normal, conditions = _classes(lines, normal_class, root / _TABLE)
    binary = {line["label"] for line in lines} <= {"0", "1"}
    rows, seen = [], set()
    for number, line in enumerate(lines, 2):
        where = f"{root / _TABLE}, line {number}"
        row = _row(root, line, where, conditions, binary)
        key = (row.relative_path, row.slice_index if not _is_stack_picture(row) else None)
        if key in seen:
            raise InputError(f"{where}: '{row.relative_path}' is listed twice; remove one of the rows.")
        seen.add(key)
        rows.append(row)
    return LabelledFolder(root, tuple(rows), tuple(conditions), normal)


def _is_stack_picture(row: Row) -> bool:
    """A picture's slice_index is its place in the patient's stack, not a slice inside the file."""
    return row.image_path.suffix.lower() in (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def _row(root: Path, line: dict[str, str], where: str, conditions: list[str], binary: bool) -> Row:
    label_text = line["label"]
    if binary:
        label = int(label_text)
    elif label_text in conditions:
        label = conditions.index(label_text) + 1
    else:
        label = 0
    image = _inside(root, line["image_path"], where) if line["image_path"] else None
    if image is None:
        raise InputError(f"{where}: image_path is empty.")
    eta_text = line.get("eta", "")
    try:
        eta = float(eta_text) if eta_text else None
    except ValueError as error:
        raise InputError(f"{where}: eta '{eta_text}' is not a number.") from error
    if eta is not None and not 0 <= eta <= 1:
        raise InputError(f"{where}: eta {eta_text} must lie in 0..1.")
    lesion = _inside(root, line["lesion_mask_path"], where) if line.get("lesion_mask_path") else None
    kind = line.get("lesion_mask_kind", "").lower()
    if kind not in _KINDS:
        raise InputError(f"{where}: lesion_mask_kind '{kind}' is unknown; allowed are mask and box.")
    organ = _inside(root, line["organ_mask_path"], where) if line.get("organ_mask_path") else None
    patient = line.get("patient_id") or (image.stem if "patient_id" in line else Path(line["image_path"]).stem)
    return Row(
        image, line["image_path"], label, conditions[label - 1] if label else "normal", patient,
        line.get("split", "").lower(), eta, _number(line.get("slice_index", ""), where, "slice_index"),
        _number(line.get("n_slices", ""), where, "n_slices"), organ, lesion,
        (kind or "mask") if lesion is not None else "", line.get("correction", "") in ("1", "true", "yes"),
        {key: value for key, value in line.items() if key not in _KNOWN_COLUMNS},
    )  # fmt: skip


# -- form 1: one folder per class ------------------------------------------------------------------------


def _images_below(folder: Path) -> list[Path]:
    """Images of a folder; a folder of DICOM files without endings counts as one volume."""
    from ClamSegLib.dicom_series import is_dicom_file

    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            found += _images_below(path)
        elif is_image_file(path) or (not path.suffix and is_dicom_file(path)):
            found.append(path)
    dicom = [p for p in found if p.parent == folder and (p.suffix.lower() in ("", ".dcm", ".ima", ".dicom"))]
    if len(dicom) > 1 and _one_series(dicom):
        found = [p for p in found if p not in dicom] + [folder]
    return found


def _one_series(files: list[Path]) -> bool:
    """Whether the files are slices of one stack rather than single X-rays."""
    from ClamSegLib.dicom_series import read_header

    first, last = read_header(files[0]), read_header(files[-1])
    if first is None or last is None:
        return False
    return bool(
        first.get("SeriesInstanceUID") == last.get("SeriesInstanceUID") and first.get("ImageOrientationPatient")
    )


def _read_classes(root: Path, normal_class: str | None) -> LabelledFolder:
    classes = [p for p in sorted(root.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    images = {p.name: _images_below(p) for p in classes}
    images = {name: found for name, found in images.items() if found}
    if not images:
        raise InputError(
            f"{root} holds no images in class folders (<class>/<patient>/<files>) and no {_TABLE}; allowed are {ALLOWED}."
        )
    if len(images) == 1 and normal_class is None:
        name = next(iter(images))
        normal, conditions = (name, []) if name.lower() in NORMAL_NAMES else ("normal", [name])
    else:
        normal, conditions = _normal_and_conditions(list(images), normal_class, root)
    rows = []
    for name, found in images.items():
        label = 0 if name == normal else conditions.index(name) + 1
        for path in found:
            inside = path.relative_to(root / name)
            # Without a patient folder every file is a patient of its own.
            patient = inside.parts[0] if len(inside.parts) > 1 or path.is_dir() else path.name.partition(".")[0]
            if path == root / name:
                patient = name
            rows.append(Row(path.absolute(), path.relative_to(root).as_posix(), label, name, patient))
    return LabelledFolder(root, tuple(rows), tuple(conditions), normal)


# -- patients --------------------------------------------------------------------------------------------


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
        if row.split in _TRAINING_SPLITS:
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
