"""ClamSeg: organ and lesions over the slices of a CT, an MRI or an X-ray, reviewed and taught inside 3D Slicer.

This file is what Slicer loads: module, parameter node, widget, logic, test. It binds the window to the sections in
ClamSegPanel and does nothing else. For research, not for diagnosis.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import qt
import slicer
import vtk
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

# From a source tree Slicer puts only this file's folder on the path; installed, the library stands beside it.
for _folder in (Path(__file__).resolve().parent, Path(__file__).resolve().parent.parent):
    if str(_folder) not in sys.path and ((_folder / "ClamSegLib").is_dir() or (_folder / "ClamSegPanel").is_dir()):
        sys.path.append(str(_folder))

_OUR_PACKAGES = ("ClamSegLib", "ClamSegWorkflow", "ClamSegPanel")


class ClamSeg(ScriptedLoadableModule):
    """The module as Slicer lists it."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("ClamSeg")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "SegmentEditor", "Volumes"]
        self.parent.contributors = ["The ClamSeg authors"]
        self.parent.helpText = _(
            "Outlines an organ and the lesions in it in CT, MRI and X-ray, slice by slice, on the GPU or the CPU. Models learn "
            "from images that are only labelled normal or diseased. For research, not for diagnosis."
        )
        self.parent.acknowledgementText = _(
            "Two UNet++ networks trained together on pairs of organ-cropped slices. Licences of models and samples "
            "are given in their cards."
        )
        slicer.app.connect("startupCompleted()", register_sample_data)
        slicer.app.connect("startupCompleted()", register_effect)


def register_sample_data() -> None:
    """Puts the shipped samples of every modality into Slicer's Sample Data; nothing is downloaded."""
    from ClamSegPanel.sample_data import register

    register()


def register_effect() -> None:
    """Adds the click that outlines a lesion to the Segment Editor, where readers look for it; the module works without it."""
    try:
        from ClamSegPanel.ClamSegEffect.SegmentEditorClamSegEffect import register

        register()
    except (ImportError, AttributeError) as error:  # an application without scripted effects
        logging.warning(_("ClamSeg: the Segment Editor effect is not available: {error}").format(error=error))


@parameterNodeWrapper
class ClamSegParameterNode:
    """The choices of a study, saved with the scene; what belongs to the computer is in the application's settings.

    inputVolume: the scan; vtkMRMLVolumeNode is abstract and cannot be bound, and the combo box shows the children of
    the scalar class, colour pictures among them. organRoi, organSegmentation, organSegment: the reader's own organ region.
    model, organStep, level (0: deepest), threshold: how the next run works. result: what is under review.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    organRoi: vtkMRMLMarkupsROINode
    organSegmentation: vtkMRMLSegmentationNode
    organSegment: str = ""
    model: str = ""
    organStep: str = "auto"
    level: Annotated[int, WithinRange(0, 16)] = 0
    threshold: Annotated[float, WithinRange(0.02, 0.98)] = 0.5
    result: vtkMRMLSegmentationNode


class ClamSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The window: loads ClamSeg.ui and hands its parts to the sections."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: Any = None
        self.panel: Any = None
        self._parameter_node: Any = None
        self._gui_tag: Any = None

    def setup(self) -> None:
        """Builds the window once; torch is not touched and nothing is installed."""
        from ClamSegPanel.panel import Panel

        ScriptedLoadableModuleWidget.setup(self)
        ui_widget = slicer.util.loadUI(self.resourcePath("UI/ClamSeg.ui"))
        self.layout.addWidget(ui_widget)
        self.ui = slicer.util.childWidgetVariables(ui_widget)
        ui_widget.setMRMLScene(slicer.mrmlScene)
        self.logic = ClamSegLogic()
        self.panel = Panel(self.ui, self.logic, ui_widget)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAddedEvent, self.onNodeAdded)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.onNodeRemoved)
        slicer.app.connect("aboutToQuit()", self.onQuit)
        self.initializeParameterNode()

    def enter(self) -> None:
        """The user comes to the module: what was drawn in the Segment Editor is taken over, the set-up looked at."""
        self.initializeParameterNode()
        self.panel.entered()

    def exit(self) -> None:
        """The user goes to another module; a run goes on."""
        self._disconnect_gui()
        if self.panel is not None:
            self.panel.left()

    def cleanup(self) -> None:
        """The window is destroyed or the module reloaded: the worker ends, a training goes on."""
        slicer.app.disconnect("aboutToQuit()", self.onQuit)
        self._disconnect_gui()
        self.removeObservers()
        if self.panel is not None:
            self.panel.close()
        if self.logic is not None:
            self.logic.close()

    def onReload(self) -> None:
        """Forgets our packages, so that they are loaded again with the module, and enters the new window."""
        forget_packages()
        ScriptedLoadableModuleWidget.onReload(self)
        # Slicer sets the new window up and leaves it there: its user is in the module already.
        slicer.modules.ClamSegWidget.enter()

    def onQuit(self) -> None:
        """Slicer ends: the worker ends with it, a training goes on."""
        if self.logic is not None:
            self.logic.close()

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        """The scene is about to go: a run ends without a result."""
        self._disconnect_gui()
        self._parameter_node = None
        self.panel.scene_closing()

    def onSceneEndClose(self, caller: Any, event: Any) -> None:
        """A new or loaded scene: its own choices and results.

        Bound anew in any case: the wrapper read the choices during the import, when the nodes they name were not there.
        """
        self._disconnect_gui()
        self.initializeParameterNode()
        self.panel.scene_changed()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAdded(self, caller: Any, event: Any, node: Any) -> None:
        """A volume comes; looked at when whoever loads it is done, because its voxels follow the node."""
        if node is not None and node.IsA("vtkMRMLScalarVolumeNode"):
            self.logic.later(self._volumes_arrived)

    def _volumes_arrived(self) -> None:
        scene = slicer.mrmlScene
        if self._gui_tag is not None and not (scene.IsClosing() or scene.IsImporting()):
            self.panel.input.volumes_arrived()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeRemoved(self, caller: Any, event: Any, node: Any) -> None:
        """A result is removed, e.g. in Data: what belongs to it follows."""
        if node is not None and node.IsA("vtkMRMLSegmentationNode") and not slicer.mrmlScene.IsClosing():
            self.panel.segmentation_removed(node)

    def initializeParameterNode(self) -> None:
        """Binds the window to the choices of this scene."""
        node = self.logic.getParameterNode()
        if self._gui_tag is not None and self._parameter_node is not None:
            return
        self._parameter_node = node
        # Not connectGui: before Slicer 5.12 it gives no tag back, so that the old scene's node could never be let go.
        bound = {widget.property("SlicerParameterName"): widget for widget in vars(self.ui).values()}
        self._gui_tag = node.connectParametersToGui({name: widget for name, widget in bound.items() if name})
        self.panel.bind(node)
        self.panel.input.volumes_arrived()

    @property
    def is_bound(self) -> bool:
        """Whether the window and the choices of this scene follow each other."""
        return self._gui_tag is not None

    def _disconnect_gui(self) -> None:
        if self._parameter_node is not None and self._gui_tag is not None:
            self._parameter_node.disconnectGui(self._gui_tag)
        self._gui_tag = None


def forget_packages() -> None:
    """Drops our packages from the loaded modules."""
    for name in [name for name in sys.modules if name.split(".")[0] in _OUR_PACKAGES]:
        del sys.modules[name]


class ClamSegLogic(ScriptedLoadableModuleLogic):
    """What the window and scripts call; works without any window.

    Args:
        worker: has `request(command, on_event, **values)` and `kill()`; a worker process unless given.
        later: calls a function soon; a timer of Qt unless given.
    """

    def __init__(self, worker: Any = None, later: Callable[[Callable[[], None]], None] | None = None) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.on_log: Callable[[str], None] = lambda _line: None
        self.worker = worker if worker is not None else self._new_worker()
        self.later = later or (lambda call: qt.QTimer.singleShot(0, call))
        self.installation: dict[str, Any] = {}
        self._results: dict[str, Any] = {}

    def _new_worker(self) -> Any:
        from ClamSegPanel.qt_worker import WorkerProcess

        return WorkerProcess(self._log)

    def _log(self, line: str) -> None:
        # looked up at each line, because the window sets `on_log` later
        self.on_log(line)

    def getParameterNode(self) -> Any:
        """The choices of this scene."""
        return ClamSegParameterNode(super().getParameterNode())

    def look_at_installation(self, on_done: Callable[[str], None]) -> None:
        """Asks the worker what is there and works; `on_done` gets '' or a sentence on what failed."""

        def answered(event: dict[str, Any]) -> None:
            if event["event"] == "done":
                self.installation = event
                on_done("")
            elif event["event"] == "error":
                on_done(event["message"])

        self.worker.request("hello", answered)

    def torch_problem(self) -> str:
        """Why networks cannot run, as far as the worker has looked; '' where they can or it has not."""
        if not self.installation or self.installation.get("torch") is not None:
            return ""
        return str((self.installation.get("problems") or [_("PyTorch does not work; use Setup.")])[0])

    def models(self, task: str = "lesion") -> list[dict[str, Any]]:
        """Installed models of a task that are whole, as the library lists them; needs no worker."""
        from ClamSegLib.model.registry import list_models

        return [entry for entry in list_models() if entry["task"] == task and not entry["problem"]]

    def choosable_models(self) -> list[dict[str, Any]]:
        """Models to segment with, as the library lists them."""
        from ClamSegLib.model.registry import list_models
        from ClamSegWorkflow.case import model_fit

        return model_fit.choosable_models(list_models())

    def model(self, name: str) -> dict[str, Any] | None:
        """The entry of a model, None where there is none of this name."""
        return next((entry for entry in self.models() + self.models("organ") if entry["name"] == name), None)

    def config(self, entry: dict[str, Any]) -> dict[str, Any]:
        """The model's config.json."""
        text = (Path(entry["folder"]) / "config.json").read_text(encoding="utf-8")
        return dict(json.loads(text))

    def new_run(self, listener: Any) -> Any:
        """A run that tells `listener`."""
        from ClamSegWorkflow.case.segmentation_run import SegmentationRun

        return SegmentationRun(slicer.mrmlScene, self.worker, listener, self.later)

    def keep_result(self, result: Any) -> None:
        """Remembers a result, so that its review goes on."""
        self._results[result.segmentation.GetID()] = result

    def result_of(self, segmentation: Any) -> Any:
        """The review of a segmentation of ours, opened again where it came with a saved scene; None otherwise."""
        from ClamSegWorkflow.case.result_import import open_result

        if segmentation is None:
            return None
        known = self._results.get(segmentation.GetID())
        if known is None or known.segmentation is not segmentation or not known.is_alive():
            known = open_result(slicer.mrmlScene, segmentation)
            self._results[segmentation.GetID()] = known
        return known

    def forget_results(self) -> None:
        """The scene is gone."""
        self._results.clear()

    def close(self) -> None:
        """Ends the worker with all its children."""
        self.worker.kill()


class ClamSegTest(ScriptedLoadableModuleTest):
    """Self-test inside Slicer: every shipped sample from Sample Data to exported files. Run by ctest and SelfTests."""

    def setUp(self) -> None:
        """An empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """All of it."""
        from ClamSegPanel.self_test import run_self_test

        self.setUp()
        run_self_test(self.delayDisplay)
