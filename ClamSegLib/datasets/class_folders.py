"""Form 1 of a labelled folder: one folder per class, in it patients or files; folders train, val, test may stand above."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from ClamSegLib.datasets.labels_csv import TABLE
from ClamSegLib.datasets.patients import SPLIT_FOLDERS, patients_of_classes, same_word, without_ending
from ClamSegLib.datasets.rows import NORMAL_NAMES, LabelledFolder, Row, normal_and_conditions
from ClamSegLib.imaging.dicom_series import Series, list_series, read_header
from ClamSegLib.imaging.dicom_signature import is_dicom_file
from ClamSegLib.imaging.read_write import ALLOWED, PICTURE_ENDINGS, VOLUME_ENDINGS, ending_of, is_image_file
from ClamSegLib.system.errors import InputError


@dataclass
class _Walk:
    """A walk through the folders of a class: each is entered once, whatever links lead back to it."""

    root: Path
    entered: set[Path] = field(default_factory=set)
    passed_links: int = 0

    def images_below(self, folder: Path) -> list[Path]:
        """Images of a folder; a folder of DICOM slices counts as one volume."""
        if (real := folder.resolve()) in self.entered:
            return []
        self.entered.add(real)
        found: list[Path] = []
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                continue
            if path.is_symlink() and self._leads_back(path):
                self.passed_links += 1
            elif path.is_dir():
                found += self.images_below(path)
            elif is_image_file(path) or is_dicom_file(path):  # DICOM files often end in a number or in nothing
                found.append(path)
        dicom = [p for p in found if p.parent == folder and _may_be_slice(p)]
        if len(dicom) > 1 and _is_stack(dicom):
            found = [p for p in found if p not in dicom] + [folder]
        return found

    def _leads_back(self, link: Path) -> bool:
        """Whether a link leads to a folder that is walked by its own name, or to an image of this class."""
        target = link.resolve()
        inside = self.root.parent.resolve() if link.is_dir() else self.root.resolve()
        if not target.is_relative_to(inside):
            return False
        # Data sets under version control keep their files in hidden folders, to which their names are links.
        return not any(part.startswith(".") for part in target.relative_to(inside).parts)


def _may_be_slice(path: Path) -> bool:
    return path.is_file() and ending_of(path) not in VOLUME_ENDINGS + PICTURE_ENDINGS


def _is_stack(files: list[Path]) -> bool:
    """Whether DICOM files of a folder are slices of a stack, or of several, rather than single X-rays."""
    ends = [read_header(files[0]), read_header(files[-1])]
    if any(header is None for header in ends):
        ends = [header for header in map(read_header, files) if header is not None]
    placed = [header for header in ends if header is not None and header.get("ImageOrientationPatient")]
    if len(placed) > 1 and placed[0].get("SeriesInstanceUID") == placed[-1].get("SeriesInstanceUID"):
        return True
    # Several series in one folder: one of them with more than a slice makes it a volume (the largest is read).
    return bool(placed) and any(series.is_scan and series.n_slices > 1 for series in list_series(files[0].parent))


def read_classes(root: Path, normal_class: str | None) -> LabelledFolder:
    """Reads `<root>/[<split>/]<class>/[<patient>/]<files>`.

    Raises:
        InputError: no class folder holds images, or the classes are not clear.
    """
    warnings: list[str] = []
    classes = [(split, folder, _images_of(folder, warnings)) for split, folder in _class_folders(root)]
    classes = [each for each in classes if each[2]]
    if not classes:
        raise InputError(
            f"{root} holds no images in class folders (<class>/<patient>/<files>) and no {TABLE}; allowed are {ALLOWED}."
        )
    spelling = _one_spelling([folder.name for _, folder, _ in classes], warnings)
    names = list(dict.fromkeys(spelling.values()))
    if len(names) == 1 and normal_class is None:
        normal, conditions = (names[0], []) if names[0].lower() in NORMAL_NAMES else ("normal", [names[0]])
    else:
        normal, conditions = normal_and_conditions(names, normal_class, root)
    rows: list[Row] = []
    people: list[tuple[str, str, bool]] = []
    for split, folder, found in classes:
        name = spelling[folder.name]
        label = 0 if name == normal else conditions.index(name) + 1
        for path in _one_series_each(folder, found, warnings):
            person, has_folder = _person(path, folder)
            people.append((f"{split}/{name}" if split else name, person, has_folder))
            rows.append(Row(path.absolute(), path.relative_to(root).as_posix(), label, name, person, split))
    patients = patients_of_classes(people)
    rows = [replace(row, patient_id=patient) for row, patient in zip(rows, patients, strict=True)]
    return LabelledFolder(root, tuple(rows), tuple(conditions), normal, tuple(warnings))


def _images_of(folder: Path, warnings: list[str]) -> list[Path]:
    walk = _Walk(folder)
    found = walk.images_below(folder)
    if walk.passed_links:
        warnings.append(f"{folder.name}: links to what is there already were passed over ({walk.passed_links}).")
    return found


def _person(path: Path, class_folder: Path) -> tuple[str, bool]:
    """The name that stands for the patient of an image, and whether it is a folder's."""
    inside = path.relative_to(class_folder)
    if len(inside.parts) > 1:
        return inside.parts[0], True
    return (path.name, True) if path.is_dir() else (without_ending(path.name), False)


def _class_folders(root: Path) -> list[tuple[str, Path]]:
    """(split, folder) of each class; a root whose folders are all called like splits has its classes below them."""
    folders = _folders(root)
    below = {folder: _folders(folder) for folder in folders}
    if folders and all(f.name.lower() in SPLIT_FOLDERS and below[f] for f in folders):
        return [(_split_of(folder.name), inner) for folder in folders for inner in below[folder]]
    return [("", folder) for folder in folders]


def _split_of(name: str) -> str:
    return "train" if name.lower() == "training" else name.lower()


def _folders(root: Path) -> list[Path]:
    return [p for p in sorted(root.iterdir()) if p.is_dir() and not p.name.startswith(".")]


def _one_spelling(names: list[str], warnings: list[str]) -> dict[str, str]:
    """For each name the one its class is called by: those that differ in capitals or blanks are one class, and said."""
    first: dict[str, str] = {}
    spelling = {name: first.setdefault(same_word(name), name) for name in names}
    for name, taken in spelling.items():
        if name != taken:
            warnings.append(f"The classes '{taken}' and '{name}' differ in capitals or blanks only; they count as one.")
    return spelling


def _one_series_each(base: Path, found: list[Path], warnings: list[str]) -> list[Path]:
    """The images with one DICOM series a patient: the largest, and which one is said."""
    of_patient: dict[str, list[Path]] = defaultdict(list)
    for path in found:
        if path.is_dir() and path != base:
            of_patient[path.relative_to(base).parts[0]].append(path)
    left_out: set[Path] = set()
    for patient, folders in of_patient.items():
        series = [(list_series(folder), folder) for folder in folders]
        chosen, folder = max(((found[0], place) for found, place in series), key=lambda item: _rank(item[0]))
        count = sum(len(found) for found, _ in series)
        if count > 1:
            left_out |= {place for place in folders if place != folder}
            warnings.append(
                f"{base.name}/{patient} holds {count} series; the largest, '{chosen.description}' with {chosen.n_slices} "
                "slices, is taken."
            )
    return [path for path in found if path not in left_out]


def _rank(series: Series) -> tuple[bool, int]:
    return series.is_scan, series.n_slices
