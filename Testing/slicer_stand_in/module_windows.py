"""Which module's window is open: slicer.util.selectModule, selectedModule and getModuleWidget."""

from __future__ import annotations

from typing import Any

import slicer

from slicer_stand_in.implementations import NotInStandInError
from slicer_stand_in.segment_editor import SegmentEditorWidget
from slicer_stand_in.signals import guarded

# Windows by the name of their module; the driver adds the one it builds, and takes it away again.
WINDOWS: dict[str, Any] = {}


def select_module(name: str) -> None:
    """Leaves the open module and enters another one, as the application does."""
    before = selected_module()
    slicer.modules.selected.append(name)
    for module, method in ((before, "exit"), (name, "enter")):
        window = WINDOWS.get(module)
        if before != name and hasattr(window, method):
            guarded(f"{module}.{method}", getattr(window, method), ())


def selected_module() -> str:
    """The open one."""
    return slicer.modules.selected[-1] if slicer.modules.selected else "Welcome"


def module_widget(name: str) -> Any:
    """The Python widget of a module.

    Raises:
        NotInStandInError: of a module that no test opens.
    """
    if name == "SegmentEditor" and name not in WINDOWS:
        WINDOWS[name] = SegmentEditorWidget()
    if name not in WINDOWS:
        raise NotInStandInError(f"The stand-in has no window of the module {name}.")
    return WINDOWS[name]
