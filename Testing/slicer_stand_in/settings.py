"""qt.QSettings as Slicer's Python meets it: values come back as text."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore

_VALUES: dict[str, Any] = {}


def forget_settings() -> None:
    """A computer on which nothing was set."""
    _VALUES.clear()


class QSettings(QtCore.QObject):
    """Kept in memory for one test; the user's own settings are not touched."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__()

    def setValue(self, key: str, value: Any) -> None:
        _VALUES[key] = [str(v) for v in value] if isinstance(value, list | tuple) else str(value)

    def value(self, key: str, default: Any = None) -> Any:
        return _VALUES.get(key, default)

    def contains(self, key: str) -> bool:
        return key in _VALUES

    def remove(self, key: str) -> None:
        for each in [name for name in _VALUES if name == key or name.startswith(key + "/")]:
            del _VALUES[each]

    def fileName(self) -> str:
        return ""
