"""Form 2 of a labelled folder: a table `labels.csv` with one image, or one slice of a volume, per line."""

from __future__ import annotations

import csv
from pathlib import Path

from ClamSegLib.datasets.patients import patients_by_path, same_word
from ClamSegLib.datasets.rows import LabelledFolder, Row, normal_and_conditions
from ClamSegLib.system.errors import InputError

TABLE = "labels.csv"
_KINDS = ("", "mask", "box")
# Of slices: more than any scan has.
_LARGEST_NUMBER = 1_000_000
# How spreadsheets and pandas write 0 and 1.
_BINARY = {"0": "0", "1": "1", "0.0": "0", "1.0": "1", "false": "0", "true": "1"}
_KNOWN_COLUMNS = (
    "image_path", "label", "label_name", "patient_id", "split", "eta", "slice_index", "n_slices",
    "organ_mask_path", "lesion_mask_path", "lesion_mask_kind", "correction",
)  # fmt: skip


def _table_lines(root: Path) -> list[dict[str, str]]:
    path = root / TABLE
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as CSV in UTF-8.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    lines_of_text = text.splitlines()
    head = lines_of_text[0].strip() if lines_of_text else ""
    if head.lower().startswith("sep=") and len(head) == 5:  # Excel's word for its delimiter
        delimiter = head[4]
        lines_of_text = lines_of_text[1:]
    else:
        delimiter = ";" if head.count(";") > head.count(",") else "\t" if head.count("\t") > head.count(",") else ","
    reader = csv.DictReader(lines_of_text, delimiter=delimiter, skipinitialspace=True)
    reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
    missing = [name for name in ("image_path", "label") if name not in (reader.fieldnames or ())]
    if missing:
        came = ", ".join(reader.fieldnames)[:120] or "nothing"
        raise InputError(
            f"{path} lacks the column {' and '.join(missing)}; it needs image_path and label, its first line holds: {came}."
        )
    lines = [{key: (value or "").strip() for key, value in line.items() if key} for line in reader]
    if not lines:
        raise InputError(f"{path} has no rows; list one image per row.")
    return lines


def _inside(root: Path, text: str, where: str) -> Path:
    """The file of a table's path, refused when it leads out of the root or does not exist."""
    path = root / text
    try:
        if Path(text).is_absolute() or not path.resolve().is_relative_to(root.resolve()):
            raise InputError(f"{where}: '{text}' leads out of {root}; paths must be relative to the folder of {TABLE}.")
        there = path.exists()
    except (OSError, ValueError) as error:  # longer than the system takes, or with characters no name has
        raise InputError(f"{where}: '{text[:80]}' cannot be a path.") from error
    if not there:
        raise InputError(f"{where}: '{text}' does not exist in {root}.")
    return path.absolute()


def _number(text: str, where: str, name: str) -> int | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise InputError(f"{where}: {name} '{text[:40]}' is not a number.") from error
    if not 0 <= value <= _LARGEST_NUMBER or value != int(value):
        raise InputError(f"{where}: {name} '{text[:40]}' must be a whole number from 0 to {_LARGEST_NUMBER}.")
    return int(value)


def _classes(
    lines: list[dict[str, str]], normal_class: str | None, path: Path, normal_may_lack: bool
) -> tuple[str, list[str]]:
    """Normal class and conditions of a table, whose labels are 0/1 or class names."""
    values = list(dict.fromkeys(line["label"] for line in lines))
    if set(values) <= set(_BINARY.values()):
        names = {line.get("label_name", "") for line in lines if line["label"] == "1"}
        normal = {line.get("label_name", "") for line in lines if line["label"] == "0"}
        return (normal.pop() if len(normal) == 1 else "") or "normal", [
            (names.pop() if len(names) == 1 else "") or "lesion"
        ]
    if "" in values:
        raise InputError(f"{path} has rows without a label; give 0, 1 or a class name.")
    if normal_may_lack and normal_class is not None and normal_class not in values:
        return normal_class, sorted(values)
    return normal_and_conditions(values, normal_class, path)


def _one_spelling_of_labels(lines: list[dict[str, str]]) -> list[str]:
    """Writes each label in one way only, in place; what was taken for the same word is returned in sentences."""
    if {line["label"].lower() for line in lines} <= set(_BINARY):
        for line in lines:
            line["label"] = _BINARY[line["label"].lower()]
        return []
    first: dict[str, str] = {}
    notes = []
    for line in lines:
        taken = first.setdefault(same_word(line["label"]), line["label"])
        if taken != line["label"]:
            notes.append(
                f"The labels '{taken}' and '{line['label']}' differ in capitals or blanks only; they count as one."
            )
            line["label"] = taken
    return list(dict.fromkeys(notes))


def _with_patients(lines: list[dict[str, str]]) -> list[str]:
    """Fills empty patients by the paths, in place; returns a sentence where all were empty."""
    unnamed = [line for line in lines if not line.get("patient_id")]
    for line in lines:
        line["image_path"] = _slashes(line["image_path"])
    found = patients_by_path([line["image_path"] for line in unnamed], [line["label"] for line in unnamed])
    for line, patient in zip(unnamed, found, strict=True):
        line["patient_id"] = patient
    if not unnamed:
        return []
    how = f"{len(unnamed)} rows have no patient_id: by their paths they are {len(set(found))} patients"
    return [f"{how}. Give the column where one of them has several images, or splits may share patients."]


def _slashes(text: str) -> str:
    r"""A path as Windows writes it (images\a.png) with slashes; backslashes in names are not used elsewhere."""
    return text.replace("\\", "/")


def read_table(root: Path, normal_class: str | None, *, normal_may_lack: bool = False) -> LabelledFolder:
    """Reads `<root>/labels.csv`; raises InputError naming the line that is wrong.

    Args:
        normal_may_lack: no row needs to be of the normal class, as in corrections of diseased slices only.
    """
    lines = _table_lines(root)
    notes = _one_spelling_of_labels(lines) + _with_patients(lines)
    normal, conditions = _classes(lines, normal_class, root / TABLE, normal_may_lack)
    binary = {line["label"] for line in lines} <= {"0", "1"}
    rows, seen = [], set()
    for number, line in enumerate(lines, 2):
        where = f"{root / TABLE}, line {number}"
        row = _row(root, line, where, conditions, binary)
        key = (row.relative_path, row.slice_index if not _is_stack_picture(row) else None)
        if key in seen:
            raise InputError(f"{where}: '{row.relative_path}' is listed twice; remove one of the rows.")
        seen.add(key)
        rows.append(row)
    return LabelledFolder(root, tuple(rows), tuple(conditions), normal, tuple(notes))


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
    lesion = _inside(root, _slashes(line["lesion_mask_path"]), where) if line.get("lesion_mask_path") else None
    kind = line.get("lesion_mask_kind", "").lower().replace("bounding_box", "box")
    if kind not in _KINDS:
        raise InputError(f"{where}: lesion_mask_kind '{kind}' is unknown; allowed are mask and box.")
    organ = _inside(root, _slashes(line["organ_mask_path"]), where) if line.get("organ_mask_path") else None
    return Row(
        image, line["image_path"], label, conditions[label - 1] if label else "normal", line["patient_id"],
        line.get("split", "").lower(), eta, _number(line.get("slice_index", ""), where, "slice_index"),
        _number(line.get("n_slices", ""), where, "n_slices"), organ, lesion,
        (kind or "mask") if lesion is not None else "", line.get("correction", "") in ("1", "true", "yes"),
        {key: value for key, value in line.items() if key not in _KNOWN_COLUMNS},
    )  # fmt: skip
