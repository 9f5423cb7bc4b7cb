"""Who learns and who judges in a study of groups of patients, and which slices count as a reader's corrections."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from ClamSegLib.datasets.labelled_folder import split_rows
from ClamSegLib.datasets.rows import TRAINING_SPLITS, LabelledFolder
from ClamSegLib.experiments.study_file import LEFT_OUT, PatientGroup
from ClamSegLib.objective.training_config import TrainingConfig
from ClamSegLib.system.errors import InputError

_UNUSED = "unused"


def with_groups(folder: LabelledFolder, groups: Sequence[PatientGroup], train_group: str, seed: int) -> LabelledFolder:
    """The folder with the kept patients of each group as a split of the group's name.

    Args:
        train_group: the group whose other patients stay in the training split; all others leave it.
        seed: decides which patients are kept.

    Raises:
        InputError: a group with too few patients, a patient in two groups, or a split of a group's name.
    """
    taken = {row.split for row in folder.rows} & {group.name for group in groups}
    if taken:
        raise InputError(f"{folder.root} has a split '{min(taken)}' of its own; give the group another name.")
    trained = sorted({row.patient_id for row in folder.rows if row.split in TRAINING_SPLITS})
    split: dict[str, str] = dict.fromkeys(trained, _UNUSED)
    for group in groups:
        members = [name for name in trained if any(fnmatchcase(name, pattern) for pattern in group.patients)]
        if not 0 < group.eval_patients < len(members):
            raise InputError(
                f"Group '{group.name}' keeps {group.eval_patients} of {len(members)} patients; at least one must be kept, "
                "and at least one must be left to learn from."
            )
        twice = [name for name in members if split[name] != _UNUSED]
        if twice:
            raise InputError(f"Patient '{twice[0]}' belongs to the group '{group.name}' and to another one.")
        kept = set(random.Random(seed).sample(members, group.eval_patients))
        split |= {name: group.name if name in kept else f"{group.name} learns" for name in members}
    split = {name: "train" if word == f"{train_group} learns" else word for name, word in split.items()}
    rows = tuple(
        replace(row, split=split[row.patient_id]) if row.split in TRAINING_SPLITS else row for row in folder.rows
    )
    return replace(folder, rows=rows)


def with_left_out(folder: LabelledFolder, patterns: Sequence[str]) -> LabelledFolder:
    """The folder with some patients as the split 'left out' and all others in the training split.

    Raises:
        InputError: no patient, or every patient, matches.
    """
    found = {row.patient_id: any(fnmatchcase(row.patient_id, pattern) for pattern in patterns) for row in folder.rows}
    if len(set(found.values())) < 2:
        raise InputError(
            f"left_out {', '.join(patterns)} must match some of the patients, not none or all; they are {', '.join(sorted(found))}."
        )
    return replace(
        folder,
        rows=tuple(replace(row, split=LEFT_OUT if found[row.patient_id] else "train") for row in folder.rows),
    )


def with_corrections(folder: LabelledFolder, slices: int, training: TrainingConfig, seed: int) -> LabelledFolder:
    """The folder with some diseased slices marked as corrected: their lesion masks stand for a reader's outlines.

    The slices are those of patients that the training learns from, not of those it holds out; fewer are always
    among more.

    Raises:
        InputError: there are not so many with a lesion mask.
    """
    learned, _ = split_rows(folder, validation_share=training.validation_share, seed=training.seed)
    outlined = [
        k
        for k in learned
        if folder.rows[k].label > 0
        and folder.rows[k].lesion_mask_path is not None
        and folder.rows[k].lesion_mask_kind == "mask"
    ]
    if len(outlined) < slices:
        raise InputError(
            f"{slices} corrected slices are wanted, but the training patients have {len(outlined)} with a mask."
        )
    random.Random(seed).shuffle(outlined)
    corrected = set(outlined[:slices])
    rows = tuple(replace(row, correction=k in corrected) for k, row in enumerate(folder.rows))
    return replace(folder, rows=rows)
