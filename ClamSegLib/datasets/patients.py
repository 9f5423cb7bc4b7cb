"""Who is who: patients told apart by their paths where nothing else names them.

A name cut at its first dot (UIDs), a file name that every patient's folder holds (flair.png), or a number that both classes
count from 1 is not a patient.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

# Folders named so say which split their images belong to.
SPLIT_FOLDERS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")
_ENDINGS = (
    ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom", ".ima",
)  # fmt: skip


def without_ending(name: str) -> str:
    """A file name without the ending of its format; other dots belong to the name."""
    ending = next((ending for ending in _ENDINGS if name.lower().endswith(ending) and len(name) > len(ending)), "")
    return name[: len(name) - len(ending)]


def same_word(name: str) -> str:
    """A class name as it is compared: blanks and capitals tell no two classes apart."""
    return " ".join(name.split()).casefold()


def patients_by_path(paths: Sequence[str], labels: Sequence[str]) -> list[str]:
    """A patient for each path of a table that names none.

    Files of different names are patients of their own. Where names repeat, the folders tell: the first one that is neither
    common to all nor called like a split or a class; without such a folder each path is a patient.

    Args:
        paths: relative, with slashes.
        labels: of the rows, as the table writes them.
    """
    files = [PurePosixPath(path) for path in paths]
    names = [without_ending(file.name) for file in files]
    places: dict[str, set[PurePosixPath]] = defaultdict(set)
    for file, name in zip(files, names, strict=True):
        places[name].add(file)
    if all(len(found) == 1 for found in places.values()):
        return names
    no_patients = {same_word(word) for word in (*SPLIT_FOLDERS, *labels, "images", "normal", "diseased")}
    folders = [[part for part in file.parts[:-1] if same_word(part) not in no_patients] for file in files]
    while all(folders) and len({parts[0] for parts in folders}) == 1:
        folders = [parts[1:] for parts in folders]
    return [
        parts[0] if parts else str(file.with_name(name))
        for parts, file, name in zip(folders, files, names, strict=True)
    ]


def patients_of_classes(found: Sequence[tuple[str, str, bool]]) -> list[str]:
    """A patient for each image in class folders.

    Args:
        found: of each image: the place of its class ('normal', 'train/normal'), the name of its patient's folder or its own,
            and whether that is a folder.

    Returns:
        The name; with its place before it where another place has the same and it may be another person: a mere number, or a
        file without a patient's folder.
    """
    places: dict[str, set[str]] = defaultdict(set)
    for place, name, _ in found:
        places[name].add(place)
    return [
        f"{place}/{name}" if len(places[name]) > 1 and (not is_folder or name.isdecimal()) else name
        for place, name, is_folder in found
    ]
