"""Signals as PythonQt connects them: by signature or by attribute, to callables that are kept alive."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore

from slicer_stand_in import api
from slicer_stand_in.reports import REPORTS

# Per sender: signature, the caller's own callable, what Qt calls.
_CONNECTIONS: dict[int, list[tuple[str, Any, Callable[..., None]]]] = {}


def guarded(where: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Calls; an exception is printed and kept, as the application goes on."""
    try:
        function(*arguments)
    except Exception:
        REPORTS.add_exception(where)


def _taken(function: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """As many arguments as a Python function takes, its defaults included; all of them for other callables."""
    bound = isinstance(function, types.MethodType)
    plain = function.__func__ if bound else function
    if not isinstance(plain, types.FunctionType) or plain.__code__.co_flags & 0x04:
        return arguments
    return arguments[: plain.__code__.co_argcount - (1 if bound else 0)]


def connect(wrapped: Any, signal: str, *receiver: Any) -> bool:
    """`object.connect("signal(args)", callable)`; False and a warning for a signal that does not exist."""
    signature = api.normalized(signal)
    if signature not in api.members(wrapped._name).signals:
        REPORTS.add(f"Warning: {wrapped._name} has no signal '{signal}'; connect returned False.")
        return False
    function = receiver[0]
    if len(receiver) == 2:
        function = getattr(receiver[0], receiver[1].split("(")[0])

    def received(*arguments: Any) -> None:
        guarded(
            f"the slot of {wrapped._name}.{signature}", function, _taken(function, wrapped._to_python(list(arguments)))
        )

    qt_object = wrapped._alive()
    _qt_connect(qt_object, signature, received)
    pointer = shiboken6.getCppPointer(qt_object)[0]
    if pointer not in _CONNECTIONS:
        _CONNECTIONS[pointer] = []
        qt_object.destroyed.connect(lambda *_: _CONNECTIONS.pop(pointer, None))
    _CONNECTIONS[pointer].append((signature, function, received))
    return True


def disconnect(wrapped: Any, signal: str, *receiver: Any) -> bool:
    """Undoes `connect` with the same callable, or all of the signal's without one."""
    signature = api.normalized(signal)
    if signature not in api.members(wrapped._name).signals:
        REPORTS.add(f"Warning: {wrapped._name} has no signal '{signal}'; disconnect returned False.")
        return False
    qt_object = wrapped._alive()
    kept = _CONNECTIONS.get(shiboken6.getCppPointer(qt_object)[0], [])
    function = receiver[0] if receiver else None
    if len(receiver) == 2:
        function = getattr(receiver[0], receiver[1].split("(")[0])
    gone = [entry for entry in kept if entry[0] == signature and (function is None or entry[1] == function)]
    for entry in gone:
        kept.remove(entry)
        _native(qt_object, signature).disconnect(entry[2])
    return bool(gone)


def _qt_connect(qt_object: Any, signature: str, received: Callable[..., None]) -> None:
    _native(qt_object, signature).connect(received)


def _native(qt_object: Any, signature: str) -> Any:
    """PySide6's signal of a signature: the overload where there are several."""
    name, types_ = signature[:-1].split("(", 1)
    own = getattr(type(qt_object), "SIGNAL_OF", {})
    if signature in own:
        return getattr(qt_object, own[signature])
    found = getattr(qt_object, name, None)
    if found is None:
        raise NotImplementedError(f"The signal {signature} is listed, but the stand-in has none.")
    try:
        return found[types_] if types_ else found
    except (IndexError, KeyError):
        return found


class Signal:
    """`object.signal`: connected, disconnected, or called to send it."""

    def __init__(self, wrapped: Any, name: str) -> None:
        self._wrapped, self._name = wrapped, name
        listed = api.members(wrapped._name).signals
        self._signature = next(each for each in listed if each.split("(")[0] == name)

    def connect(self, function: Any) -> bool:
        """As `object.connect` with the first signature of this name."""
        return connect(self._wrapped, self._signature, function)

    def disconnect(self, *function: Any) -> bool:
        """As `object.disconnect`."""
        return disconnect(self._wrapped, self._signature, *function)

    def __call__(self, *arguments: Any) -> None:
        self.emit(*arguments)

    def emit(self, *arguments: Any) -> None:
        """Sends the signal."""
        native = _native(self._wrapped._alive(), self._signature)
        native.emit(*[self._wrapped._to_qt(each) for each in arguments])


def single_shot(milliseconds: int, function: Any) -> None:
    """`qt.QTimer.singleShot`."""
    QtCore.QTimer.singleShot(int(milliseconds), lambda: guarded("QTimer.singleShot", function, ()))
