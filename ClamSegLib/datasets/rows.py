"""What a labelled folder holds once it is read: rows, conditions, and which class is the normal one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ClamSegLib.system.errors import InputError

# Words in the column `split` whose rows are learned from.
TRAINING_SPLITS = ("", "train", "training")
NORMAL_NAMES = ("normal", "negative", "healthy", "control")


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


def normal_and_conditions(names: list[str], normal_class: str | None, path: Path) -> tuple[str, list[str]]:
    """The normal class and the sorted others; refused when none or several could be the normal one."""
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
