"""The support file: shown before it is saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ClamSegPanel.setup.offline_bundle import python_words
from ClamSegPanel.setup.support_bundle import support_files, write_support_bundle
from ClamSegPanel.user_action import user_action
from ClamSegWorkflow.scene import nodes_of

_NAMED_KINDS = ("vtkMRMLVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLTransformNode", "vtkMRMLMarkupsNode")


class SupportView:
    """Makes the file on a click."""

    def __init__(self, panel: Any, say: Callable[[str], None]) -> None:
        self._panel, self._say = panel, say
        panel.ui.supportBundleButton.connect("clicked(bool)", self._clicked)

    @user_action(_("The support file could not be written."))
    def _clicked(self, checked: bool = False) -> None:
        files = self._files()
        listed = "\n".join(f"{name}: {len(text.encode())} bytes" for name, text in files.items())
        question = _(
            "The file will contain:\n\n{listed}\n\nNo image is in it; paths and names of files and patients were taken "
            "out. Read it before you send it. Save it?"
        )
        if not self._panel.ask(_("Support file"), question.format(listed=listed)):
            return
        kinds = _("Zip files (*.zip)")
        chosen = qt.QFileDialog.getSaveFileName(
            self._panel.widget, _("Save support file"), "clamseg-support.zip", kinds
        )
        if chosen:
            write_support_bundle(Path(chosen), files)
            self._say(_("The support file was saved."))

    def _files(self) -> dict[str, str]:
        from ClamSegLib import __version__
        from ClamSegLib.model.registry import list_models

        logic = self._panel.logic
        versions = {
            "clamseg": __version__,
            "application": f"{slicer.app.applicationName} {slicer.app.applicationVersion}",
            "python": python_words(),
        }
        log = "\n".join([self._panel.ui.logText.plainText, *getattr(logic.worker, "log", ())])
        return support_files(versions, logic.installation, list_models(), log, self._names())

    def _names(self) -> list[str]:
        """Names in the scene, and the folders the user works with: any of them may be a patient's."""
        names = []
        for kind in _NAMED_KINDS:
            names += [str(node.GetName()) for node in nodes_of(slicer.mrmlScene, kind)]
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        if hierarchy is not None:
            names += [item for item in self._hierarchy_names(hierarchy) if item != "Scene"]
        ui = self._panel.ui
        for path in (ui.trainingFolderEdit.currentPath, ui.correctionsFolderEdit.currentPath):
            names += [path, Path(path).name] if path else []
        return names

    @staticmethod
    def _hierarchy_names(hierarchy: Any) -> list[str]:
        import vtk

        items = vtk.vtkIdList()
        hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
        return [hierarchy.GetItemName(items.GetId(number)) for number in range(items.GetNumberOfIds())]
