"""Form 1 of a labelled folder: one folder per class, in it patients or files."""

from __future__ import annotations

from pathlib import Path

from ClamSegLib.datasets.labels_csv import TABLE
from ClamSegLib.datasets.rows import NORMAL_NAMES, LabelledFolder, Row, normal_and_conditions
from ClamSegLib.imaging.read_write import ALLOWED, PICTURE_ENDINGS, VOLUME_ENDINGS, ending_of, is_image_file
from ClamSegLib.system.errors import InputError


def _images_below(folder: Path) -> list[Path]:
    """Images of a folder; a folder of DICOM files without endings counts as one volume."""
    from ClamSegLib.imaging.dicom_signature import is_dicom_file

    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            found += _images_below(path)
        elif is_image_file(path) or is_dicom_file(path):  # DICOM files often end in a number or in nothing
            found.append(path)
    others = VOLUME_ENDINGS + PICTURE_ENDINGS
    dicom = [p for p in found if p.parent == folder and ending_of(p) not in others and p.is_file()]
    if len(dicom) > 1 and _one_series(dicom):
        found = [p for p in found if p not in dicom] + [folder]
    return found


def _one_series(files: list[Path]) -> bool:
    """Whether the files are slices of one stack rather than single X-rays."""
    from ClamSegLib.imaging.dicom_series import read_header

    first, last = read_header(files[0]), read_header(files[-1])
    if first is None or last is None:
        return False
    return bool(
        first.get("SeriesInstanceUID") == last.get("SeriesInstanceUID") and first.get("ImageOrientationPatient")
    )


def read_classes(root: Path, normal_class: str | None) -> LabelledFolder:
    """Reads `<root>/<class>/[<patient>/]<files>`; raises InputError when no class folder holds images."""
    classes = [p for p in sorted(root.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    images = {p.name: _images_below(p) for p in classes}
    images = {name: found for name, found in images.items() if found}
    if not images:
        raise InputError(
            f"{root} holds no images in class folders (<class>/<patient>/<files>) and no {TABLE}; allowed are {ALLOWED}."
        )
    if len(images) == 1 and normal_class is None:
        name = next(iter(images))
        normal, conditions = (name, []) if name.lower() in NORMAL_NAMES else ("normal", [name])
    else:
        normal, conditions = normal_and_conditions(list(images), normal_class, root)
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
