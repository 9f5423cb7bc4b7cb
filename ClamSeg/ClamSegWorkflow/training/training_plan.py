"""What the user chose for a fine-tuning, checked, and turned into the words of `train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ClamSegWorkflow.training.model_name import problem_of_name
from ClamSegWorkflow.words import tr as _

MINUTES, STEPS = "minutes", "steps"
ETA_OF_TABLE, ETA_OF_ALL, ETA_TUNED = "table", "value", "tune"


@dataclass(frozen=True)
class TrainingPlan:
    """Choices of the section.

    Attributes:
        images: labelled folder, '' where only corrections are learned from.
        corrections: folder of saved corrections, '' for none.
        starting_model: name or folder, '' from scratch.
        modality: 'CT', 'MR', 'XR' or '' (told by the images); from scratch only.
        normal_class: name of the class without disease, '' for the usual names.
        length: in `unit`, minutes of the whole training or optimiser steps.
        eta: where the probability that a slice of a diseased image shows the lesion comes from: the table's column,
            one value for all slices the table is silent about, or short trainings that try some.
        corrected_outlines: whether corrected outlines are taught, or only their labels.
    """

    name: str
    images: str = ""
    corrections: str = ""
    starting_model: str = ""
    modality: str = ""
    normal_class: str = ""
    length: int = 30
    unit: str = MINUTES
    eta: str = ETA_OF_TABLE
    eta_value: float = 1.0
    corrected_outlines: bool = True
    device: str = "auto"
    threads: int = 0

    def problem(self, *, models: Sequence[Mapping[str, Any]] = (), optuna: bool = True) -> str:
        """Why a training cannot be started, with what to do; '' where it can.

        Args:
            models: entries of the library's list: a new model must hide no shipped one, and not every one can be gone on from.
            optuna: Optuna is installed.
        """
        problem = self.problem_of_data() or problem_of_name(self.name)
        if problem:
            return problem
        if self.name in [entry["name"] for entry in models if entry["origin"] == "shipped"]:
            return _("'{name}' is a shipped model; choose another name.").format(name=self.name)
        start = next((entry for entry in models if self.starting_model in (entry["name"], entry["folder"])), {})
        if not start.get("knows_normal_tissue", True):
            return _(
                "'{name}' was made before models knew normal tissue, which fine-tuning compares with; start from another model, from scratch, "
                "or on the command line with --objective paper."
            ).format(name=start["name"])
        if self.eta == ETA_TUNED and not optuna:
            return _("Tuning needs the package Optuna, which is not installed; give one value, or use Setup, Install.")
        if self.eta == ETA_OF_ALL and not 0 < self.eta_value <= 1:
            return _("The share {eta_value:g} must lie above 0 and not above 1.").format(eta_value=self.eta_value)
        if self.length < 1:
            return _("The length {length} must be at least 1.").format(length=self.length)
        return ""

    def problem_of_data(self) -> str:
        """What is wrong with the folders, as far as can be seen without reading them."""
        if not self.images and not self.corrections:
            return _("No folder of labelled images is chosen; choose one, or My corrections.")
        for folder in (self.images, self.corrections):
            if folder and not Path(folder).is_dir():
                return _("{folder} is not a folder; choose another.").format(folder=folder)
        if self.corrections and not (Path(self.corrections) / "labels.csv").is_file():
            return _("{corrections} holds no corrections; save some in Review first, or leave the field empty.").format(
                corrections=self.corrections
            )
        return ""

    def words(self, models_folder: Path, *, overwrite: bool = False) -> list[str]:
        """Arguments of `train`."""
        words = [*self._data_words(), "--output", str(models_folder / self.name), "--name", self.name]
        if self.starting_model:
            words += ["--init", self.starting_model]
        elif self.modality:
            words += ["--modality", self.modality]
        words += [f"--{self.unit}", str(self.length), "--device", self.device]
        if self.eta == ETA_TUNED:
            words += ["--eta", "tune"]
        elif self.eta == ETA_OF_ALL:
            words += ["--eta", f"{self.eta_value:g}"]
        if not self.corrected_outlines:
            words += ["--corrected-outlines", "ignore"]
        if self.threads:
            words += ["--threads", str(self.threads)]
        return words + (["--overwrite"] if overwrite else [])

    def check_words(self) -> list[str]:
        """Arguments of `check`, with the verb."""
        return ["check", *self._data_words(), "--json", "--progress", "json"]

    def _data_words(self) -> list[str]:
        """The images and the corrections; corrections alone are a labelled folder like any other."""
        words = [self.images or self.corrections]
        if self.normal_class:
            words += ["--normal-class", self.normal_class]
        if self.images and self.corrections:
            words += ["--corrections", self.corrections]
        return words


def resumed(words: list[str]) -> list[str]:
    """The words of a first start, to go on with it."""
    return [word for word in words if word not in ("--overwrite", "--resume")] + ["--resume"]


def suggest_name(starting_model: str, taken: tuple[str, ...]) -> str:
    """A free name for a model made from another one, e.g. 'ct-lung-lesion-2'."""
    base = Path(starting_model).name or "my-model"
    number = 2 if starting_model else 1
    while f"{base}-{number}" in taken:
        number += 1
    return f"{base}-{number}"
