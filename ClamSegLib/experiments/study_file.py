"""The file of a study: a base recipe and rows that each change something of it, read from JSON and checked."""

from __future__ import annotations

import hashlib
import json
import random
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ClamSegLib.datasets.rows import TRAINING_SPLITS, LabelledFolder
from ClamSegLib.model.config_json import read_json
from ClamSegLib.system.errors import InputError

CHOICE, LEFT_OUT = "choice", "left out"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


@dataclass(frozen=True)
class Recipe:
    """What a training is told: keys of the model's and of the training's configuration."""

    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PatientGroup:
    """Patients of the training split that belong together, such as those of one hospital.

    Attributes:
        name: rows name it to learn from its patients, and to be judged on those that are kept.
        patients: patterns with * and ? of patient_id, e.g. 'TCGA_DU_*'.
        eval_patients: how many of them are kept from every training, to evaluate on.
    """

    name: str
    patients: tuple[str, ...]
    eval_patients: int = field(metadata={"formerly": "judged"})

    def decides(self) -> dict[str, Any]:
        """What fingerprints hold of it, under the names that finished rows were made with."""
        return {"name": self.name, "patients": self.patients, "judged": self.eval_patients}


@dataclass(frozen=True)
class StudyRow:
    """One run of the study and how it is judged.

    Attributes:
        name: of the row's files; letters, digits, '.', '_', '+' and '-'.
        description: what is to be learned from it, for the table.
        of: name of the row whose model is judged here in another way, without a training of its own.
        model: changes of the base's model configuration.
        training: changes of the base's training configuration.
        start: name of the row above whose model is fine-tuned; '' trains from scratch.
        train_group: name of the group whose patients are learned from; '' for all of the training split.
        left_out: patterns of patient_id, as of a group; the row learns from all other patients of the table, whatever their
            split, and is judged on these.
        corrected: diseased slices whose lesion masks are taught as a reader's corrections.
        tune_eta: find eta by short trainings first, without masks, as `--eta tune` does.
        eval_split: 'choice' (patients kept out of the training split for choices), 'left out' (those of left_out), a group (those of its patients that
            are kept), or a split of the data.
        level: judge the network pruned to this level; None for the deepest.
        head_weights: judge with these weights of the heads, level 1 first; empty for the model's own.
        slice_smoothing: true smooths evidence over neighbouring slices, as `segment` does; rows are judged slice by slice unless they say so, so that they can be compared.
        volume_evidence: false judges the network without the normative map of the whole volume.
        refit: fit the decoding of the model of `of` anew, by the code of today.
        baselines: also judge the best intensity threshold and Grad-CAM.
    """

    name: str
    description: str = field(default="", metadata={"formerly": "shows"})
    of: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    start: str = ""
    train_group: str = field(default="", metadata={"formerly": "learns_from"})
    left_out: tuple[str, ...] = ()
    corrected: int = 0
    tune_eta: bool = False
    eval_split: str = field(default=CHOICE, metadata={"formerly": "judged_on"})
    level: int | None = None
    head_weights: tuple[float, ...] = ()
    baselines: bool = False
    slice_smoothing: bool = field(default=False, metadata={"formerly": "neighbours"})
    volume_evidence: bool = True
    refit: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"Row name '{self.name}' cannot name a file; use letters, digits, '.', '_', '+' and '-', at most 64."
            )
        if self.of and (
            self.model or self.training or self.start or self.train_group or self.corrected or self.tune_eta
        ):
            raise InputError(f"Row '{self.name}' judges the model of '{self.of}', so it cannot change its training.")
        if self.start and self.model:
            raise InputError(
                f"Row '{self.name}' fine-tunes the model of '{self.start}', so it cannot change its model."
            )
        if self.refit and not self.of:
            raise InputError(
                f"Row '{self.name}' has a training of its own, whose decoding is fitted with it; say 'of'."
            )
        if self.corrected < 0:
            raise InputError(f"Row '{self.name}': corrected {self.corrected} must not be negative.")


@dataclass(frozen=True)
class Study:
    """A table of runs on one labelled folder.

    Attributes:
        name: title of the table.
        rows: in the order in which they run.
        data: the labelled folder, relative to the file; '' when the command names it.
        normal_class: as `train` takes it.
        choice_patients: patients of the training split that no training of a row judged on 'choice' sees.
        choice_seed: decides which, and which of a group are kept.
        groups: patients to learn from and to be judged on apart; every row then names one.
        ceiling: name of the row that others are measured against, usually one taught with masks.
        base: what all rows share.
    """

    name: str
    rows: tuple[StudyRow, ...]
    about: str = ""
    data: str = ""
    normal_class: str = ""
    choice_patients: int = 0
    choice_seed: int = 0
    groups: tuple[PatientGroup, ...] = ()
    ceiling: str = ""
    base: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        twice = sorted({name for name in names if names.count(name) > 1})
        if not names or twice:
            raise InputError(f"A study needs rows of different names; {', '.join(twice) or 'none'} given.")
        own = {row.name for row in self.rows if not row.of}
        if self.groups:
            self._check_groups()
        above: set[str] = set()
        for row in self.rows:
            if row.start and row.start not in above & own:
                raise InputError(f"Row '{row.name}' starts from '{row.start}', which is no trained row above it.")
            if row.train_group and not self.group(row.train_group):
                raise InputError(f"Row '{row.name}' learns from '{row.train_group}', which is no group of the study.")
            above.add(row.name)
            if row.of and row.of not in own:
                raise InputError(f"Row '{row.name}' judges '{row.of}', which is no row with a training of its own.")
            if row.of and row.eval_split == CHOICE != self.row(row.of).eval_split:
                raise InputError(f"Row '{row.name}': the model of '{row.of}' has learned from the choice patients.")
            if bool(self.trained(row).left_out) != (row.eval_split == LEFT_OUT):
                raise InputError(
                    f"Row '{row.name}': eval_split '{LEFT_OUT}' and left_out belong together; give both or neither."
                )
            if row.eval_split == CHOICE and self.choice_patients < 1 and not self.group(CHOICE):
                raise InputError(f"Row '{row.name}' is judged on 'choice', but choice_patients is not given.")
        if self.ceiling and self.ceiling not in names:
            raise InputError(f"The ceiling '{self.ceiling}' is no row; rows are {', '.join(names)}.")

    def _check_groups(self) -> None:
        names = [group.name for group in self.groups]
        if len(set(names)) < len(names) or self.choice_patients:
            raise InputError("A study has groups of different names and no choice_patients, or no groups at all.")
        lost = [row.name for row in self.rows if not row.of and not row.train_group]
        if lost:
            raise InputError(
                f"Row '{lost[0]}' must say which group it learns from (train_group: {', '.join(names)}); "
                "otherwise it would see the patients that are kept."
            )

    def group(self, name: str) -> PatientGroup | None:
        """The group of that name, or None."""
        return next((group for group in self.groups if group.name == name), None)

    def row(self, name: str) -> StudyRow:
        """The row of that name.

        Raises:
            InputError: there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise InputError(f"The study has no row '{name}'; rows are {', '.join(r.name for r in self.rows)}.")

    def trained(self, row: StudyRow) -> StudyRow:
        """The row whose training gives the model of `row`."""
        return self.row(row.of) if row.of else row

    def recipe(self, row: StudyRow) -> Recipe:
        """The base with the row's changes."""
        own = self.trained(row)
        return Recipe(_merged(self.base.model, own.model), _merged(self.base.training, own.training))

    def training_fingerprint(self, row: StudyRow) -> str:
        """Changes when anything that decides the weights of the row's model changes."""
        recipe, trained = self.recipe(row), self.trained(row)
        keeps = trained.eval_split == CHOICE and not self.groups
        decides: list[Any] = [recipe.model, recipe.training]
        decides += [[self.choice_patients, self.choice_seed] if keeps else None]
        learned = self.group(trained.train_group)
        if learned is not None:
            decides += [learned.decides(), self.choice_seed]
        if trained.left_out:
            decides += ["left out", trained.left_out]
        if trained.corrected:
            decides += ["corrected", trained.corrected]
        if trained.tune_eta:
            decides += ["eta tuned"]
        if trained.start:
            decides += ["start", self.training_fingerprint(self.row(trained.start))]
        return _digest(decides)

    def fingerprint(self, row: StudyRow) -> str:
        """Changes when anything that decides the row's figures changes; words for the reader do not."""
        judging: list[Any] = [row.eval_split, row.level, list(row.head_weights), row.baselines]
        judged = self.group(row.eval_split)
        judging += [] if judged is None else [judged.decides(), self.choice_seed]
        judging += ["neighbours"] if row.slice_smoothing else []
        judging += [] if row.volume_evidence else ["network alone"]
        judging += ["refit"] if row.refit else []
        return _digest([self.training_fingerprint(row), judging])


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        before = merged.get(key)
        merged[key] = _merged(before, value) if isinstance(value, dict) and isinstance(before, dict) else value
    return merged


def read_study(path: Path) -> Study:
    """Reads the file of a study.

    Raises:
        InputError: unreadable, not JSON, unknown keys, rows that cannot be.
    """
    return read_json(Study, path)


def with_choice(folder: LabelledFolder, patients: int, seed: int) -> LabelledFolder:
    """The folder with some training patients moved to the split 'choice', so that choices never see the last test.

    Raises:
        InputError: fewer than twice as many training patients, or a split of that name is there already.
    """
    if any(row.split == CHOICE for row in folder.rows):
        raise InputError(f"{folder.root} has a split '{CHOICE}' of its own; rename it.")
    trained = sorted({row.patient_id for row in folder.rows if row.split in TRAINING_SPLITS})
    if len(trained) < 2 * patients:
        raise InputError(
            f"{patients} of {len(trained)} training patients cannot be kept for choices; at most half of them can."
        )
    kept = set(random.Random(seed).sample(trained, patients))
    rows = tuple(replace(row, split=CHOICE) if row.patient_id in kept else row for row in folder.rows)
    return replace(folder, rows=rows)
