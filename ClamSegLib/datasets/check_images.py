"""Every image of a labelled folder read once for the dataset check, with its masks."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.datasets.check_masks import MaskNotes, check_image
from ClamSegLib.datasets.examination import Examination
from ClamSegLib.datasets.rows import LabelledFolder, Row
from ClamSegLib.imaging.reader_process import read_volume, reading_apart
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter

THUMBNAIL = 16


@dataclass(frozen=True)
class Seen:
    """What one image file showed."""

    digest: str
    thumbnail: NDArray[np.float32]
    shape: tuple[int, ...]
    kind: str
    mean: float
    spacing_mm: tuple[float, float, float] | None
    spread: float


@dataclass(frozen=True)
class Looked:
    """What an image and its masks showed: None for one that could not be read, what its file left open, notes on all."""

    seen: Seen | None
    said: list[str]
    notes: MaskNotes


# Gives each image's rows with what was found, in the order in which they are given.
Way = Callable[[Sequence[LabelledFolder], Reporter], Iterator[Looked]]


def look_at_image(rows: Sequence[Row]) -> Looked:
    """Reads an image once and looks at its masks.

    Args:
        rows: all of this image.
    """
    path, seen, said, notes = rows[0].image_path, None, [], MaskNotes()
    try:
        volume = read_volume(path)
        seen = _look(volume)
        said = [f"{path.name}: {warning}" for warning in volume.warnings]
        check_image(rows, volume, notes)
    except InputError as error:
        notes.images.append(f"{path.name}: {error}")
    return Looked(seen, said, notes)


def look_here(images: Sequence[LabelledFolder], reporter: Reporter) -> Iterator[Looked]:
    """In this process, one after the other."""
    with reading_apart():
        for number, image in enumerate(images, 1):
            looked = look_at_image(image.rows)
            reporter.progress(number, len(images), "reading images")
            yield looked


def read_all(folder: LabelledFolder, found: Examination, reporter: Reporter, way: Way = look_here) -> dict[Path, Seen]:
    """Reads each image once, looks at its masks, and adds what a training would refuse of them to the findings."""
    seen: dict[Path, Seen] = {}
    said: list[str] = []
    notes = MaskNotes()
    by_path = rows_by_path(folder)
    images = [replace(folder, rows=tuple(rows), warnings=()) for rows in by_path.values()]
    for path, looked in zip(by_path, way(images, reporter), strict=True):
        if looked.seen is not None:
            seen[path] = looked.seen
        said += looked.said
        notes.add(looked.notes)
    _add_counted(found, "error", "unreadable files", notes.images, len(by_path), "copy them again or remove their rows")
    if notes.refused:
        _add_counted(
            found, "error", "masks", notes.refused, 0, "draw them on their image, or remove them from the rows"
        )
    if notes.doubtful:
        _add_counted(
            found, "warning", "values of masks", notes.doubtful, 0, "save masks as PNG, NRRD or NIfTI with 0 and 1"
        )
    if said:
        _add_counted(found, "warning", "what the files leave open", said, 0, "a training takes them as said")
    return seen


def _add_counted(found: Examination, severity: str, check: str, said: list[str], total: int, advice: str) -> None:
    """A line with the number of sentences and the first of them; 'ok' where there is none."""
    if not said:
        found.add("ok", check, f"none of {total}")
        return
    count = f"{len(said)} of {total}" if total else f"{len(said)}"
    found.add(severity, check, f"{count}; first: {said[0][:240]}", advice)


def _look(volume: Volume) -> Seen:
    array = volume.array
    middle = array[array.shape[0] // 2].astype(np.float32)
    rows = np.linspace(0, middle.shape[0] - 1, THUMBNAIL).round().astype(int)
    columns = np.linspace(0, middle.shape[1] - 1, THUMBNAIL).round().astype(int)
    small = middle[np.ix_(rows, columns)]
    small = (small - small.mean()) / max(float(small.std()), 1e-6)
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    spacing = volume.spacing_mm if volume.spacing_known else None
    return Seen(digest, small, array.shape, str(array.dtype), float(middle.mean()), spacing, float(middle.std()))


def rows_by_path(folder: LabelledFolder) -> dict[Path, list[Row]]:
    """The rows of each image."""
    rows: dict[Path, list[Row]] = defaultdict(list)
    for row in folder.rows:
        rows[row.image_path].append(row)
    return rows
