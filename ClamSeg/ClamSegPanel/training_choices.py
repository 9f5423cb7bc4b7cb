"""The widgets of Fine-tune in which the user says what to learn from, and how: read into a plan."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from slicer.i18n import tr as _

from ClamSegPanel.corrections_folder import corrections_folder
from ClamSegWorkflow.case.display_names import model_titles
from ClamSegWorkflow.training.training_plan import (
    ETA_OF_ALL,
    ETA_OF_TABLE,
    ETA_TUNED,
    MINUTES,
    STEPS,
    TrainingPlan,
    suggest_name,
)

_UNITS = (MINUTES, STEPS)
_ETAS = (ETA_OF_TABLE, ETA_OF_ALL, ETA_TUNED)
_MODALITIES = ("", "CT", "MR", "XR")
_FOLDER_SETTING = "trainingFolder"


class TrainingChoices:
    """Fills and reads the choices."""

    def __init__(self, panel: Any) -> None:
        self._panel, self._ui = panel, panel.ui
        self._models: list[str] = []
        self._named_by_user = False
        self._filling = False
        ui = self._ui
        ui.lengthKindSelector.addItems([_("minutes"), _("steps")])
        ui.etaSelector.addItems([_("as labels.csv says"), _("one value"), _("tuned")])
        ui.modalitySelector.addItems([_("as the images say"), _("CT"), _("MRI"), _("X-ray")])
        ui.trainingFolderEdit.currentPath = panel.setting(_FOLDER_SETTING)
        ui.startingModelSelector.connect("currentIndexChanged(int)", self._model_changed)
        ui.etaSelector.connect("currentIndexChanged(int)", self._eta_changed)
        ui.newModelNameEdit.connect("textEdited(QString)", self._name_edited)
        ui.useCorrectionsFolderButton.connect("clicked(bool)", self._take_corrections)
        self.fill_models()
        self._eta_changed(0)

    def fill_models(self) -> None:
        """Fills the list of models to start from, keeping the choice; the last entry is 'from scratch'."""
        selector = self._ui.startingModelSelector
        index = selector.currentIndex
        chosen = self._models[index] if 0 <= index < len(self._models) else None
        if chosen is None:
            entry = self._panel.segment.chosen_model()
            chosen = entry["name"] if entry is not None else None
        self._filling = True
        try:
            entries = self._panel.logic.models()
            self._models = [entry["name"] for entry in entries] + [""]
            selector.clear()
            selector.addItems([*model_titles(entries), _("nothing (from scratch)")])
            selector.currentIndex = self._models.index(chosen) if chosen in self._models else 0
        finally:
            self._filling = False
        self._show_model()

    def starting_model(self) -> str:
        """Name of the model to start from, '' from scratch."""
        index = self._ui.startingModelSelector.currentIndex
        return self._models[index] if 0 <= index < len(self._models) else ""

    def plan(self) -> TrainingPlan:
        """What is chosen, not yet checked."""
        ui = self._ui
        return TrainingPlan(
            name=ui.newModelNameEdit.text.strip(),
            images=ui.trainingFolderEdit.currentPath.strip(),
            corrections=ui.correctionsFolderEdit.currentPath.strip(),
            starting_model=self.starting_model(),
            modality=_MODALITIES[max(0, ui.modalitySelector.currentIndex)],
            normal_class=ui.normalClassEdit.text.strip(),
            length=int(ui.lengthSpinBox.value),
            unit=_UNITS[max(0, ui.lengthKindSelector.currentIndex)],
            eta=_ETAS[max(0, ui.etaSelector.currentIndex)],
            eta_value=float(ui.etaSpinBox.value),
            corrected_outlines=bool(ui.useCorrectionsCheckBox.checked),
            device=self._panel.segment.device(),
            threads=max(1, (os.cpu_count() or 2) - 1),  # one core stays with the window
        )

    def problem(self, plan: TrainingPlan) -> str:
        """Why a plan cannot be started, '' where it can."""
        return plan.problem(models=self._all_models(), optuna=find_spec("optuna") is not None)

    def remember(self, plan: TrainingPlan) -> None:
        """Keeps what belongs to the computer, and offers another name for the next model."""
        self._panel.keep_setting(_FOLDER_SETTING, plan.images)
        self._named_by_user = False

    def _all_models(self) -> list[dict[str, Any]]:
        """Every model there is, damaged ones too: their names are taken."""
        from ClamSegLib.model.registry import list_models

        return list_models()

    def _model_changed(self, index: int) -> None:
        if not self._filling:
            self._show_model()

    def _show_model(self) -> None:
        from_scratch = not self.starting_model()
        for widget in (self._ui.modalitySelector, self._ui.modalityLabel_):
            widget.visible = from_scratch
        if not self._named_by_user:
            taken = tuple(entry["name"] for entry in self._all_models())
            self._ui.newModelNameEdit.text = suggest_name(self.starting_model(), taken)

    def _name_edited(self, text: str) -> None:
        self._named_by_user = bool(text.strip())

    def _eta_changed(self, index: int) -> None:
        for widget in (self._ui.etaSpinBox, self._ui.etaValueLabel_):
            widget.visible = _ETAS[max(0, index)] == ETA_OF_ALL

    def _take_corrections(self, checked: bool = False) -> None:
        folder = corrections_folder(self._panel)
        if not (folder / "labels.csv").is_file():
            text = _("There are no saved corrections in {folder}; save some in Review first.")
            self._panel.failed(text.format(folder=folder))
            return
        self._ui.correctionsFolderEdit.currentPath = str(folder)
