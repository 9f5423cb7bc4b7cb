"""Classes of which the list holds only the names that dir() showed: sorted into properties, signals and the rest by Qt.

No object of them could be made where the list was read, so properties and signals stand among the methods there.
"""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from slicer_stand_in.reports import READ_ONLY


def sorted_names(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with properties and signals of QObjects told apart; other entries as they are."""
    kind = next((getattr(module, name) for module in (QtWidgets, QtGui, QtCore) if hasattr(module, name)), None)
    if "inherits" in entry or not isinstance(kind, type) or not issubclass(kind, QtCore.QObject):
        return entry
    listed, meta = set(entry["python"]), kind.staticMetaObject
    properties, signals = {}, []
    for index in range(meta.propertyCount()):
        each = meta.property(index)
        if each.name() in listed:
            properties[each.name()] = each.typeName() + ("" if each.isWritable() else f" {READ_ONLY}")
    for index in range(meta.methodCount()):
        method = meta.method(index)
        called = bytes(method.name().data()).decode()
        if method.methodType() == QtCore.QMetaMethod.MethodType.Signal and called in listed:
            signals.append(bytes(method.methodSignature().data()).decode())
    taken = set(properties) | {signature.split("(")[0] for signature in signals}
    bases = [base.__name__ for base in reversed(kind.__mro__) if issubclass(base, QtCore.QObject)]
    return {
        "inherits": bases, "properties": properties, "signals": signals, "python": sorted(listed - taken),
        "complete": True,
    }  # fmt: skip
