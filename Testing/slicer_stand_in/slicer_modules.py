"""Puts `qt`, `ctk` and the rest of the application's Python into place around the real `slicer` of slicer-core."""

from __future__ import annotations

import ctypes
import inspect
import sys
import traceback
import types
from pathlib import Path
from typing import Any

import slicer
import slicer.util
from PySide6 import QtWidgets

from slicer_stand_in import (
    api,
    application,
    checkable_nodes,
    ctk_collapsible,
    ctk_widgets,
    dialogs,
    implementations,
    module_windows,
    mrml_widgets,
    parameter_node,
    python_qt,
    scripted_module,
    segment_editor,
    segment_widgets,
    settings,
    show_3d_button,
    ui_loader,
)
from slicer_stand_in.qt_module import ctk, qt
from slicer_stand_in.reports import REPORTS


def _hold_constants() -> None:
    """PySide6 6.12 takes one reference of None, True or False too many at many calls.

    Python 3.12 does not count them; before it they would be freed after some ten thousand calls, which is fatal.
    """
    if sys.version_info < (3, 12) and sys.implementation.name == "cpython":
        for constant in (None, True, False):
            ctypes.c_ssize_t.from_address(id(constant)).value += 1 << 40


def _keep(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    REPORTS.add("".join(traceback.format_exception(kind, error, trace)))


def install() -> QtWidgets.QApplication:
    """Everything in place, once a process; the application of Qt is made if there is none."""
    running = QtWidgets.QApplication.instance()
    app = running if isinstance(running, QtWidgets.QApplication) else QtWidgets.QApplication(["Slicer"])
    if "qt" in sys.modules:
        return app
    _hold_constants()
    sys.excepthook = _keep  # VTK's observers and Qt's virtual methods end there when Python fails in them
    app.setStyle("Fusion")
    implementations.register(
        ctk_collapsible.ctkCollapsibleButton, ctk_collapsible.ctkCollapsibleGroupBox, ctk_widgets.ctkSliderWidget,
        ctk_widgets.ctkPathLineEdit, mrml_widgets.qMRMLWidget, mrml_widgets.qMRMLNodeComboBox, mrml_widgets.qMRMLSortFilterProxyModel,
        checkable_nodes.qMRMLCheckableNodeComboBox, segment_widgets.qMRMLSegmentSelectorWidget,
        segment_widgets.qMRMLSegmentsTableView, show_3d_button.qMRMLSegmentationShow3DButton, segment_editor.qMRMLSegmentEditorWidget, ui_loader.QUiLoader,
        settings.QSettings, dialogs.QFileDialog, dialogs.QInputDialog, dialogs.QMessageBox,
    )  # fmt: skip
    sys.modules["qt"], sys.modules["ctk"] = qt, ctk
    for name in api.full_list()["slicer"]:
        if name.isidentifier() and name not in ("app", "mainWindow"):
            setattr(slicer, name, python_qt.wrapper_class(name))
    _install_application()
    _install_python_modules()
    dialogs.install()
    return app


def _install_application() -> None:
    app = application.App()
    implementations.name_object(app, "app")
    implementations.name_object(app.layout_manager, "app.layoutManager()")
    implementations.name_object(app.module_manager, "app.moduleManager()")
    for name in app.layout_manager.sliceViewNames():
        widget = app.layout_manager.sliceWidget(name)
        implementations.name_object(widget, "qMRMLSliceWidget")
        implementations.name_object(widget.sliceView(), "qMRMLSliceView")
    slicer.app = python_qt.wrap(app)
    slicer.modules = application.Modules()
    slicer.selfTests = {}


def _module(name: str, **members: Any) -> types.ModuleType:
    made = types.ModuleType(f"slicer.{name}")
    made.__dict__.update(members)
    sys.modules[made.__name__] = made
    setattr(slicer, name, made)
    return made


def _install_python_modules() -> None:
    def tr(text: str) -> str:
        if not isinstance(text, str):
            raise TypeError(f"Only text can be translated, not {text!r}")
        return text

    _module("i18n", tr=tr, translate=lambda context, text: tr(text), getContext=lambda source: Path(source).stem)
    _module("ScriptedLoadableModule", **_classes(scripted_module, "ScriptedLoadableModule"))
    _module(
        "parameterNodeWrapper",
        parameterNodeWrapper=parameter_node.parameterNodeWrapper,
        WithinRange=parameter_node.WithinRange,
    )
    _module(
        "packaging", pip_install=_no_network, pip_ensure=_no_network, pip_uninstall=_no_network,
        pip_check=lambda requirement: True,
    )  # fmt: skip
    slicer.util.pip_install = slicer.util.pip_uninstall = _no_network
    slicer.util.mainWindow = lambda: None
    slicer.util.selectModule, slicer.util.selectedModule = module_windows.select_module, module_windows.selected_module
    slicer.util.getModuleWidget = module_windows.module_widget
    slicer.util.modulePath = lambda name: getattr(slicer.modules, name.lower()).path
    check_signatures()


def _classes(module: types.ModuleType, prefix: str) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if name.startswith(prefix)}


def _no_network(*arguments: Any, **named: Any) -> None:
    raise RuntimeError("Tests install nothing; give the part a fake for this.")


def check_signatures() -> None:
    """Takes out of slicer.util what the listed application does not have."""
    listed = api.functions("slicer.util")
    for name, value in list(vars(slicer.util).items()):
        if inspect.isfunction(value) and not name.startswith("_") and name not in listed:
            delattr(slicer.util, name)
