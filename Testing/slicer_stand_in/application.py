"""slicer.app, its managers and modules, as far as a scripted module's panel calls them."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from slicer_stand_in import api
from slicer_stand_in.implementations import NotInStandInError

_LAYOUT_FOUR_UP = 3


class _Object(QtCore.QObject):
    """Base of what the list holds as an object rather than as a class."""


class App(_Object):
    startupCompleted = Signal()
    aboutToQuit = Signal()
    mrmlSceneChanged = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.layout_manager, self.module_manager = LayoutManager(), ModuleManager()
        self.testing = False
        self.double_click_ms = 0
        self.temporary_path = QtCore.QDir.tempPath()

    applicationName = Property(str, lambda self: "Slicer")
    applicationVersion = Property(str, lambda self: "5.12.3-stand-in")
    revision = Property(str, lambda self: "stand-in")
    os = Property(str, lambda self: "linux")
    slicerHome = Property(str, lambda self: QtCore.QDir.tempPath())
    # The driver clicks twice within a millisecond and means it; a test of a double click gives the user's own time.
    doubleClickInterval = Property(int, lambda self: self.double_click_ms)
    temporaryPath = Property(str, lambda self: self.temporary_path)

    def testingEnabled(self) -> bool:
        return self.testing

    def processEvents(self, *arguments: Any) -> None:
        QtWidgets.QApplication.processEvents()

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    def layoutManager(self) -> QtCore.QObject:
        return self.layout_manager

    def moduleManager(self) -> QtCore.QObject:
        return self.module_manager

    def settings(self) -> QtCore.QObject:
        from slicer_stand_in.settings import QSettings

        return QSettings()

    def translate(self, context: str, text: str) -> str:
        return text

    def setOverrideCursor(self, cursor: Any) -> None:
        QtWidgets.QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        QtWidgets.QApplication.restoreOverrideCursor()

    def focusWidget(self) -> Any:
        return QtWidgets.QApplication.focusWidget()

    def pauseRender(self) -> None:
        """Nothing is drawn here."""

    resumeRender = pauseRender

    def startupEnvironment(self) -> dict[str, str]:
        import os

        return dict(os.environ)

    environment = startupEnvironment


class SliceView(_Object):
    """The part of a slice view that clicks go to: a real interactor without a window."""

    def __init__(self) -> None:
        super().__init__()
        self._interactor: Any = None
        self.cursor_shape: Any = None

    def interactor(self) -> Any:
        if self._interactor is None:
            import vtk

            self._interactor = vtk.vtkGenericRenderWindowInteractor()
        return self._interactor

    def setDefaultViewCursor(self, cursor: Any) -> None:
        self.cursor_shape = cursor.shape()


class SliceWidget(_Object):
    """A slice view without a picture: the nodes of the scene behind it, and the real logic that fits them."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._logic: Any = None
        self._view = SliceView()

    def sliceView(self) -> Any:
        return self._view

    def mrmlSliceNode(self) -> Any:
        return slicer.mrmlScene.GetSingletonNode(self._name, "vtkMRMLSliceNode")

    def sliceLogic(self) -> Any:
        if self._logic is None or self._logic.GetMRMLScene() is not slicer.mrmlScene:
            self._logic = slicer.vtkMRMLSliceLogic()
            self._logic.SetMRMLScene(slicer.mrmlScene)
            self._logic.SetSliceNode(self.mrmlSliceNode())
            self._logic.SetSliceCompositeNode(self.mrmlSliceCompositeNode())
        return self._logic

    def mrmlSliceCompositeNode(self) -> Any:
        return slicer.mrmlScene.GetSingletonNode(self._name, "vtkMRMLSliceCompositeNode")


class LayoutManager(_Object):
    layoutChanged = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._layout = _LAYOUT_FOUR_UP
        self._slices = {name: SliceWidget(name) for name in ("Red", "Green", "Yellow")}

    def setLayout(self, layout: int) -> None:
        self._layout = int(layout)
        self.layoutChanged.emit(self._layout)

    layout = Property(int, lambda self: self._layout, setLayout)

    def sliceViewNames(self) -> list[str]:
        return list(self._slices)

    def sliceWidget(self, name: str) -> Any:
        return self._slices.get(name)

    def resetSliceViews(self) -> None:
        """Nothing is drawn here."""

    resetThreeDViews = pauseRender = resumeRender = resetSliceViews

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene


class ModuleManager(_Object):
    moduleAboutToBeUnloaded = Signal(str)


class Module:
    """One of `slicer.modules`: its logic where slicer-core has it."""

    def __init__(self, name: str, logic: Any = None, path: str = "") -> None:
        self.name, self.path, self._logic = name, path, logic

    def logic(self) -> Any:
        if self._logic is None:
            raise NotInStandInError(f"The stand-in has no logic of the module {self.name}.")
        return self._logic() if isinstance(self._logic, type) else self._logic


class Modules:
    """`slicer.modules`: the listed ones, and those that a test adds."""

    def __init__(self) -> None:
        self.selected: list[str] = []  # names given to slicer.util.selectModule, the latest last

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in api.full_list()["modules"]:
            raise AttributeError(f"module 'modules' has no attribute '{name}'")
        logics = {
            "segmentations": "vtkSlicerSegmentationsModuleLogic",
            "volumes": "vtkSlicerVolumesLogic",
            "plots": "vtkSlicerPlotsLogic",
            "terminologies": "vtkSlicerTerminologiesModuleLogic",
        }
        kind = getattr(slicer, logics[name], None) if name in logics else None
        module = Module(name, kind() if kind is not None else None)
        if kind is not None:
            module.logic().SetMRMLScene(slicer.mrmlScene)
        return module
