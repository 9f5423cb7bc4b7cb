"""qt.QUiLoader: loads a .ui file, and refuses classes, properties, signals and slots that Slicer's widgets lack.

The loader of Qt takes an unknown property for a dynamic one without a word; this one does not.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from PySide6 import QtCore, QtUiTools, QtWidgets

from slicer_stand_in import api, implementations
from slicer_stand_in.reports import READ_ONLY

# Properties of layouts that only the .ui format has; Qt's loader turns them into contents margins.
_MARGINS = ("leftMargin", "topMargin", "rightMargin", "bottomMargin")


class QUiLoader(QtCore.QObject):
    """As the loader of Qt, for one file."""

    def load(self, file: QtCore.QFile) -> QtWidgets.QWidget | None:
        tree = ElementTree.parse(file.fileName()).getroot()
        refused = unknown_parts(tree)
        if refused:
            raise RuntimeError(f"{file.fileName()} asks for what Slicer does not have:\n" + "\n".join(refused))
        loader = QtUiTools.QUiLoader()
        for name, kind in implementations.our_widgets().items():
            if tree.find(f".//widget[@class='{name}']") is not None:
                loader.registerCustomWidget(kind)
        connections = tree.find("connections")
        flags = _take_flags(tree)
        plain = QtCore.QBuffer()
        if connections is not None:
            tree.remove(connections)
        plain.setData(ElementTree.tostring(tree, "utf-8"))
        plain.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = loader.load(plain)
        if widget is not None:
            for name, property_name, value in flags:
                _named(widget, name).setProperty(property_name, value)
            _connect(widget, connections if connections is not None else [])
        return widget


def _take_flags(tree: ElementTree.Element) -> list[tuple[str, str, int]]:
    """Flags of our own widgets, which Qt's loader cannot read: (widget, property, value); taken out of the tree."""
    taken = []
    for widget in tree.iter("widget"):
        kind = implementations.our_widgets().get(widget.get("class", ""))
        for given in widget.findall("property") if kind is not None else []:
            words = given.findtext("set") or given.findtext("enum") or ""
            names = [word.split("::")[-1] for word in words.split("|")]
            found = [getattr(kind, "FLAGS", {}).get(name) for name in names]
            if words and None not in found:
                widget.remove(given)
                value = 0
                for each in found:
                    value |= int(each)
                taken.append((widget.get("name", ""), given.get("name", ""), value))
    return taken


def _named(widget: QtWidgets.QWidget, name: str | None) -> Any:
    return widget if widget.objectName() == name else widget.findChild(QtCore.QObject, name)


def _connect(widget: QtWidgets.QWidget, connections: Any) -> None:
    for connection in connections:
        sender = _named(widget, connection.findtext("sender"))
        receiver = _named(widget, connection.findtext("receiver"))
        signal, slot = connection.findtext("signal", ""), connection.findtext("slot", "")
        if sender is None or receiver is None:
            raise RuntimeError(f"The connection of {signal} names a widget that is not there.")
        getattr(sender, signal.split("(")[0]).connect(getattr(receiver, slot.split("(")[0]))


def unknown_parts(tree: ElementTree.Element) -> list[str]:
    """One sentence for each class, property, signal and slot of a .ui file that is not listed."""
    classes = {widget.get("name", ""): widget.get("class", "") for widget in tree.iter("widget")}
    refused = [f"{name}: no widget class {kind}" for name, kind in classes.items() if api.room_of(kind) is None]
    if refused:
        return refused
    for widget in [*tree.iter("widget"), *tree.iter("layout")]:
        kind = widget.get("class", "")
        for given in widget.findall("property"):
            name, listed = given.get("name", ""), api.members(kind).properties
            if given.get("stdset") == "0" or (widget.tag == "layout" and name in _MARGINS):
                continue
            if name not in listed or listed[name].endswith(READ_ONLY):
                refused.append(f"{widget.get('name')}: {kind} has no writable property {name}")
    for connection in tree.iter("connection"):
        for end, part, found in (("sender", "signal", "signals"), ("receiver", "slot", "slots")):
            kind, asked = classes.get(connection.findtext(end, ""), ""), connection.findtext(part, "")
            if not kind or api.normalized(asked) not in getattr(api.members(kind), found):
                refused.append(f"{connection.findtext(end)}: no {part} {asked}")
    return refused
