"""A reader's review as a labelled folder of form 2, which the next fine-tuning takes.

One case, one set of rows; saved again, its rows are replaced. Nothing in it names a patient: a case is called by the
first digits of a hash over its voxels and geometry.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.datasets.labels_csv import TABLE
from ClamSegLib.imaging.read_write import write_volume
from ClamSegLib.imaging.volume import Volume, canonical_orientation
from ClamSegLib.system.atomic_output import whole_file
from ClamSegLib.system.disk import output_error
from ClamSegLib.system.errors import InputError

SLICE_LABELS = ("normal", "diseased", "unsure")
_COLUMNS = (
    "image_path", "label", "patient_id", "split", "eta", "slice_index", "n_slices",
    "organ_mask_path", "lesion_mask_path", "lesion_mask_kind", "correction", "model", "mark",
)  # fmt: skip
_UNSURE_ETA = 0.5


@dataclass(frozen=True)
class ReviewedCase:
    """What a reader decided on one scan. All masks lie in the scan's own frame.

    Attributes:
        image: the scan as it was segmented.
        standing: per condition the lesions the reader let stand: accepted, edited, added.
        rejected: lesions the reader took away, or None.
        organ: the organ, or None.
        slice_labels: canonical slice along `plane` -> 'normal', 'diseased' or 'unsure'.
        plane: of the model.
        model: its name.
    """

    image: Volume
    standing: Mapping[str, NDArray[np.bool_]]
    rejected: NDArray[np.bool_] | None = None
    organ: NDArray[np.bool_] | None = None
    slice_labels: Mapping[int, str] = field(default_factory=dict)
    plane: str = "axial"
    model: str = ""


@dataclass(frozen=True)
class SavedCorrections:
    """What was saved."""

    case_id: str
    rows: int
    folder: Path


def case_id_of(image: Volume) -> str:
    """The same for the same voxels in the same place, and nothing anyone could be recognised by."""
    digest = hashlib.sha256(repr((image.array.shape, image.array.dtype.str)).encode())
    digest.update(np.ascontiguousarray(image.array).tobytes())
    if not image.is_picture:
        digest.update(np.round([*image.spacing_mm, *image.direction], 4).tobytes())
    return digest.hexdigest()[:12]


def save_corrections(root: Path, case: ReviewedCase) -> SavedCorrections:
    """Writes images, masks and rows of one case below `root`, and keeps all other rows.

    Slices with a standing lesion carry its mask. Slices labelled normal, and those where everything was rejected, are
    known to be empty. Slices labelled diseased or unsure carry the label and no mask. All others are left out, because
    nobody looked at them.

    Raises:
        InputError: nothing was decided, or a slice is labelled normal and has a lesion that stands.
        OutputError: not writable, disk full.
    """
    root = Path(root)
    case_id = case_id_of(case.image)
    slices = _slices(case)
    if not slices:
        raise InputError("Nothing was decided yet: accept, reject, edit or add a lesion, or label a slice, then save.")
    ending = ".tif" if case.image.is_picture else ".nrrd"
    try:
        for name in ("images", "masks", "organs"):
            (root / name).mkdir(parents=True, exist_ok=True)
        with whole_file(root / "images" / f"{case_id}{ending}") as part:
            write_volume(case.image.array, case.image, part)
        used = {condition for condition, _, _, with_mask in slices.values() if with_mask}
        for condition in used:
            with whole_file(root / "masks" / f"{case_id}-{condition}{ending}") as part:
                write_volume(case.standing[condition].astype(np.uint8), case.image, part)
        if case.organ is not None:
            with whole_file(root / "organs" / f"{case_id}{ending}") as part:
                write_volume(case.organ.astype(np.uint8), case.image, part)
        _write_rows(root, case, case_id, ending, slices)
    except OSError as error:
        raise output_error(root, error) from error
    return SavedCorrections(case_id, len(slices), root)


def _slices(case: ReviewedCase) -> dict[int, tuple[str, float, str, bool]]:
    """Canonical slice -> condition or 'normal', eta, mark, whether its mask is used."""
    turn = canonical_orientation(case.image, case.plane).apply
    names = list(case.standing)
    unknown = sorted(set(case.slice_labels.values()) - set(SLICE_LABELS))
    if unknown:
        raise InputError(f"A slice is labelled '{unknown[0]}'; allowed are {', '.join(SLICE_LABELS)}.")
    standing = {name: _slices_with(turn(mask)) for name, mask in case.standing.items()}
    rejected = None if case.rejected is None else _slices_with(turn(case.rejected))
    n_slices = turn(case.image.array).shape[0]
    against = [
        n for n, label in case.slice_labels.items() if label == "normal" and any(s[n] for s in standing.values())
    ]
    if against:
        told = ", ".join(str(n + 1) for n in sorted(against))
        raise InputError(
            f"Slice {told} is labelled normal but has a lesion that stands; reject the lesion, or label the slice diseased."
        )
    found: dict[int, tuple[str, float, str, bool]] = {}
    for index in range(n_slices):
        mark = case.slice_labels.get(index, "")
        here = [name for name in names if standing[name][index]]
        if mark == "unsure":
            found[index] = ((here or names)[0], _UNSURE_ETA, mark, False)
        elif here:
            found[index] = (here[0], 1.0, mark, True)
        elif mark == "diseased":
            found[index] = (names[0], 1.0, mark, False)
        elif mark == "normal" or (rejected is not None and rejected[index]):
            found[index] = ("normal", 1.0, mark, False)
    return found


def _slices_with(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which slices of a (slice, row, column) mask hold anything."""
    return np.asarray(mask.any(axis=(1, 2)))


def _write_rows(
    root: Path, case: ReviewedCase, case_id: str, ending: str, slices: Mapping[int, tuple[str, float, str, bool]]
) -> None:
    """The table with the rows of this case replaced; other rows and their columns are kept."""
    path = root / TABLE
    kept: list[dict[str, str]] = []
    columns = list(_COLUMNS)
    if path.is_file():
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns += [name for name in reader.fieldnames or () if name not in columns]
            kept = [row for row in reader if row.get("patient_id") != case_id]
    organ = f"organs/{case_id}{ending}" if case.organ is not None else ""
    rows = []
    n_slices = canonical_orientation(case.image, case.plane).apply(case.image.array).shape[0]
    for index, (condition, eta, mark, with_mask) in sorted(slices.items()):
        row = dict.fromkeys(columns, "") | {
            "image_path": f"images/{case_id}{ending}",
            "label": condition,
            "patient_id": case_id,
            "eta": "" if condition == "normal" else f"{eta:g}",
            "organ_mask_path": organ,
            "lesion_mask_path": f"masks/{case_id}-{condition}{ending}" if with_mask else "",
            "lesion_mask_kind": "mask" if with_mask else "",
            "correction": "1" if with_mask or condition == "normal" else "",
            "model": case.model,
            "mark": mark,
        }
        if not case.image.is_picture:
            row |= {"slice_index": str(index), "n_slices": str(n_slices)}
        rows.append(row)
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(kept + rows)
