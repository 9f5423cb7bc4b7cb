"""Models in Setup: the table, the folder, import and removal of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from ClamSegPanel.colours import paint
from ClamSegPanel.columns import let_give_way
from ClamSegPanel.user_action import user_action
from ClamSegWorkflow.case.display_names import shown_name
from ClamSegWorkflow.case.licence_words import licence_of


class ModelsView:
    """Shows all models, damaged ones too."""

    def __init__(self, panel: Any, say: Callable[[str], None]) -> None:
        self._panel, self._ui, self._say = panel, panel.ui, say
        self._entries: list[dict[str, Any]] = []
        table = self._ui.modelTable
        table.setHorizontalHeaderLabels([_("Model"), _("Kind"), _("Finds")])
        let_give_way(table, 0)
        table.verticalHeader().visible = False
        table.connect("itemSelectionChanged()", self._chosen_changed)
        self._ui.openModelsButton.connect("clicked(bool)", self._open)
        self._ui.importModelButton.connect("clicked(bool)", self._import)
        self._ui.removeModelButton.connect("clicked(bool)", self._remove)
        self.fill()

    def fill(self) -> None:
        """Reads the list of models again."""
        from ClamSegLib.model.registry import list_models

        self._entries = list_models()
        table = self._ui.modelTable
        table.rowCount = len(self._entries)
        for row, entry in enumerate(self._entries):
            for column, text in enumerate(self._words(entry)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(self._tip(entry))
                if entry["problem"]:
                    paint(item, "refused", table)
                table.setItem(row, column, item)
        self._chosen_changed()

    @staticmethod
    def _words(entry: dict[str, Any]) -> tuple[str, str, str]:
        if entry["problem"]:
            return entry["name"], _("damaged"), entry["problem"]
        origin = _("{modality}, shipped") if entry["origin"] == "shipped" else _("{modality}, own")
        return shown_name(entry), origin.format(modality=entry["modality"]), ", ".join(entry["condition_names"])

    @staticmethod
    def _tip(entry: dict[str, Any]) -> str:
        """Licence, and the limits that the card names."""
        licence = _("{name}. Licence: {licence}").format(
            name=entry["name"], licence=licence_of(entry) or _("not stated")
        )
        try:
            card = (Path(entry["folder"]) / "card.md").read_text(encoding="utf-8")
        except OSError:
            return licence
        limits = [line for line in card.splitlines() if line.startswith("Limits:")]
        return "\n".join([licence, *limits])

    def _chosen(self) -> dict[str, Any] | None:
        row = self._ui.modelTable.currentRow()
        return self._entries[row] if 0 <= row < len(self._entries) else None

    def _chosen_changed(self) -> None:
        entry = self._chosen()
        self._ui.removeModelButton.enabled = entry is not None and entry["origin"] == "user"

    @user_action(_("The folder could not be shown."))
    def _open(self, checked: bool = False) -> None:
        from ClamSegLib.system.paths import user_models_folder

        folder = user_models_folder()
        folder.mkdir(parents=True, exist_ok=True)
        if not qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder))):
            self._say(_("Your models are in {folder}.").format(folder=folder))

    @user_action(_("The model could not be imported."))
    def _import(self, checked: bool = False) -> None:
        from ClamSegLib.model.own_models import import_model

        chosen = qt.QFileDialog.getExistingDirectory(self._panel.widget, _("Folder of the model to import"))
        if not chosen:
            return
        folder = import_model(Path(chosen))
        self._say(_("'{name}' is among your models.").format(name=folder.name))
        self._panel.models_changed()

    @user_action(_("The model could not be removed."))
    def _remove(self, checked: bool = False) -> None:
        from ClamSegLib.model.own_models import remove_model

        entry = self._chosen()
        if entry is None:
            return
        question = _("Remove the model '{name}' from this computer? This cannot be undone.")
        if self._panel.ask(_("Remove?"), question.format(name=entry["name"])):
            remove_model(entry["name"])
            self._panel.training.forget_picture(entry["name"])
            self._say(_("'{name}' was removed.").format(name=entry["name"]))
            self._panel.models_changed()
