"""Input: the scan, more scans for a batch, and what they are."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from ClamSegWorkflow.case.model_fit import describe
from ClamSegWorkflow.scene.overlays import map_ids
from ClamSegWorkflow.scene.scans import first_scan
from ClamSegWorkflow.scene.volume_facts import facts_of
from ClamSegWorkflow.scene.volumes import problem_of_volume


class InputSection:
    """The volume and what is known of it."""

    def __init__(self, panel: Any) -> None:
        self._panel = panel
        ui = panel.ui
        ui.volumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._changed)

    def bind(self) -> None:
        """The choices of this scene are there."""
        self._changed(self._panel.ui.volumeSelector.currentNode())

    def volumes(self) -> list[Any]:
        """The chosen volume and the checked ones, each once."""
        chosen = [self._panel.ui.volumeSelector.currentNode(), *self._panel.ui.batchSelector.checkedNodes()]
        found: list[Any] = []
        for volume in chosen:
            if volume is not None and volume not in found:
                found.append(volume)
        return found

    def volumes_arrived(self) -> None:
        """Maps of a result are not offered as scans, and the first scan that comes is chosen where none is."""
        hidden = map_ids(slicer.mrmlScene)
        for selector in (self._panel.ui.volumeSelector, self._panel.ui.batchSelector):
            offered = selector.sortFilterProxyModel()
            if sorted(offered.hiddenNodeIDs) != sorted(hidden):
                offered.hiddenNodeIDs = hidden
        node = self._panel.node
        if node is not None and node.inputVolume is None:
            found = first_scan(slicer.mrmlScene)
            if found is not None:
                node.inputVolume = found

    def _changed(self, volume: Any) -> None:
        label = self._panel.ui.volumeFactsLabel
        if volume is None:
            label.text = _("Load a CT, MRI or X-ray, or get one from Sample Data.")
        else:
            label.text = problem_of_volume(volume) or describe(facts_of(slicer.mrmlScene, volume))
        self._panel.volume_changed(volume)
