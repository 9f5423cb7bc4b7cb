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
        self._groups: list[str] = []

    def _key(self, key: str) -> str:
        return "/".join([*self._groups, key])

    def setValue(self, key: str, value: Any) -> None:
        _VALUES[self._key(key)] = [str(v) for v in value] if isinstance(value, list | tuple) else str(value)

    def value(self, key: str, default: Any = None) -> Any:
        return _VALUES.get(self._key(key), default)

    def contains(self, key: str) -> bool:
        return self._key(key) in _VALUES

    def remove(self, key: str) -> None:
        for each in [name for name in _VALUES if name == self._key(key) or name.startswith(self._key(key) + "/")]:
            del _VALUES[each]

    def allKeys(self) -> list[str]:
        prefix = self._key("")
        return sorted(name.removeprefix(prefix) for name in _VALUES if name.startswith(prefix))

    def beginGroup(self, name: str) -> None:
        self._groups.append(name)

    def endGroup(self) -> None:
        self._groups.pop()

    def fileName(self) -> str:
        return ""

    def sync(self) -> None:
        """Nothing is written."""
