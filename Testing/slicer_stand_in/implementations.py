"""Which PySide6 class does the work of a class of Slicer."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets

_QT_MODULES = (QtWidgets, QtGui, QtCore, QtNetwork, QtUiTools)
_OUR_CLASSES: dict[str, type] = {}  # written here in place of Slicer's own


class NotInStandInError(NotImplementedError):
    """Slicer has it by the list, and the stand-in cannot do it yet."""


def register(*classes: type) -> None:
    """Names PySide6 classes that stand for Slicer's own of the same name."""
    for each in classes:
        _OUR_CLASSES[each.__name__] = each


def name_object(qt_object: Any, entry: str) -> None:
    """Gives an object the members of a listed object, such as 'app'."""
    qt_object._listed_as = entry


def our_widgets() -> dict[str, type]:
    """Registered widgets by name."""
    return {name: kind for name, kind in _OUR_CLASSES.items() if issubclass(kind, QtWidgets.QWidget)}


def implementation(name: str) -> type | None:
    """The PySide6 class that does the work of a listed one."""
    if name in _OUR_CLASSES:
        return _OUR_CLASSES[name]
    for module in _QT_MODULES:
        if hasattr(module, name):
            return getattr(module, name)
    return None
