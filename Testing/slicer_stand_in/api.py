"""What Slicer's classes offer to Python, as listed in slicer-api.json; all that is not listed does not exist."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from PySide6.QtCore import QMetaObject

from slicer_stand_in.class_level import sorted_names
from slicer_stand_in.unlisted_classes import UNLISTED

_LIST = Path(__file__).with_name("slicer-api.json")


@dataclass(frozen=True)
class Members:
    """Names that a class has.

    Attributes:
        properties: type by name; a read-only one ends in '(read only)'.
        signals, slots: signatures, normalized as Qt does.
        names: methods and enumeration values.
    """

    properties: dict[str, str]
    signals: tuple[str, ...]
    slots: tuple[str, ...]
    names: frozenset[str]

    def signal_names(self) -> frozenset[str]:
        """Names of the signals without their arguments."""
        return frozenset(signature.split("(")[0] for signature in self.signals)

    def slot_names(self) -> frozenset[str]:
        """Names of the slots without their arguments."""
        return frozenset(signature.split("(")[0] for signature in self.slots)

    def has(self, name: str) -> bool:
        """Whether anything of this name is there."""
        return name in self.properties or name in self.names or name in self.slot_names() or name in self.signal_names()


@cache
def full_list() -> dict[str, Any]:
    """The list as it lies in the file."""
    return dict(json.loads(_LIST.read_text(encoding="utf-8")))


def normalized(signature: str) -> str:
    """A signature as Qt writes it."""
    return str(QMetaObject.normalizedSignature(signature).toStdString())


def room_of(name: str) -> str | None:
    """'qt', 'ctk' or 'slicer', where the class is listed; None where it is not."""
    for room in ("qt", "ctk", "slicer"):
        if name in full_list()[room]:
            return room
    return UNLISTED[name]["module"] if name in UNLISTED else None


def _entry(name: str) -> dict[str, Any]:
    room = room_of(name)
    if room is None:
        raise KeyError(name)
    if name in UNLISTED:
        return UNLISTED[name]
    return sorted_names(name, full_list()[room][name])


@cache
def members(name: str) -> Members:
    """Members of a class with those it inherits.

    Raises:
        KeyError: a class that is neither listed nor named with its source in unlisted_classes.py.
    """
    entry = _entry(name)
    chain = [entry]
    inherits = entry.get("inherits", [])
    wanted = [] if entry.get("complete") else ["QWidget", "QObject"]
    chain += [_entry(base) for base in wanted if base in inherits and base != name]
    properties: dict[str, str] = {}
    signals, slots, names = [], [], {"className", "delete", "help", "inherits"}
    for each in chain:
        for key, kind in (each.get("properties") or {}).items():
            properties.setdefault(key, kind)
        signals += [normalized(signature) for signature in each.get("signals") or []]
        slots += [normalized(signature) for signature in each.get("slots") or []]
        names.update(each.get("python") or [])
    return Members(properties, tuple(dict.fromkeys(signals)), tuple(dict.fromkeys(slots)), frozenset(names))


def functions(module: str) -> dict[str, Any]:
    """Functions and classes of one of Slicer's Python modules, with their signatures."""
    return dict(full_list()["functions"][module])
