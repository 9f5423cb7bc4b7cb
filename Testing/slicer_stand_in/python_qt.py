"""Qt's classes as PythonQt shows them to Slicer's Python: properties are attributes, methods are calls.

A wrapper holds one PySide6 object and lets through only what slicer-api.json lists for its class.
"""

from __future__ import annotations

import enum
from functools import cache
from typing import Any

import shiboken6
from PySide6 import QtCore

from slicer_stand_in import api, signals
from slicer_stand_in.implementations import NotInStandInError, implementation
from slicer_stand_in.reports import READ_ONLY
from slicer_stand_in.values import EnumType, EnumValue

_RENAMED = {"exec_": "exec", "print_": "print"}
_NUMBERS = {"int": int, "double": float, "float": float}

# Values in and out


def unwrap(value: Any) -> Any:
    """What PySide6 takes for a value from Python."""
    if isinstance(value, Wrapped):
        return value.__dict__["_qt"]
    if isinstance(value, EnumValue):
        return value.member
    if isinstance(value, list | tuple):
        return [unwrap(each) for each in value]
    if isinstance(value, dict):
        return {key: unwrap(each) for key, each in value.items()}
    return value


def wrap(value: Any) -> Any:
    """What PythonQt gives for a value from Qt."""
    if isinstance(value, enum.Enum):
        return EnumValue(value)
    if isinstance(value, list | tuple):
        return tuple(wrap(each) for each in value)
    if type(value).__module__.startswith(("PySide6", "slicer_stand_in")) and isinstance(value, shiboken6.Object):
        if hasattr(value, "_listed_as"):
            return _around(value, wrapper_class(value._listed_as))
        for kind in type(value).__mro__:
            if api.room_of(kind.__name__) is not None:
                return _around(value, wrapper_class(kind.__name__))
    return value


def _around(qt_object: Any, kind: type) -> Any:
    user = getattr(qt_object, "_python_object", None)
    if user is not None:
        return user
    made = kind.__new__(kind)
    made.__dict__["_qt"] = qt_object
    return made


# Classes


class PythonQtType(type):
    """Class-level access: enumeration values, static methods, methods called with the object first."""

    _name = ""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") or not cls._name:
            raise AttributeError(name)
        if name == "singleShot" and cls._name == "QTimer":
            return signals.single_shot
        if not api.members(cls._name).has(name):
            raise AttributeError(f"type object '{cls._name}' has no attribute '{name}'")
        found = getattr(implementation(cls._name), _RENAMED.get(name, name), None)
        if found is None:
            raise NotInStandInError(f"{cls._name}.{name} is listed, but the stand-in has none.")
        if isinstance(found, enum.Enum):
            return EnumValue(found)
        if isinstance(found, type) and issubclass(found, enum.Enum):
            return EnumType(found)
        if not callable(found):
            return wrap(found)
        return lambda *arguments: _call(found, arguments)


class Wrapped(metaclass=PythonQtType):
    """An object of Qt. Our window derives no Python class from any, so none may here."""

    _to_python, _to_qt = staticmethod(wrap), staticmethod(unwrap)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        if named:
            raise ValueError(f"{self._name}() does not support keyword arguments: {sorted(named)}")
        kind = implementation(self._name)
        if kind is None:
            raise NotInStandInError(f"{self._name} is listed, but the stand-in has none.")
        if type(self) is not wrapper_class(self._name):
            raise NotInStandInError(
                f"{type(self).__name__} derives from {self._name}; the stand-in has no such classes."
            )
        self.__dict__["_qt"] = kind(*[unwrap(each) for each in arguments])

    def _alive(self) -> Any:
        qt_object = self.__dict__.get("_qt")
        if qt_object is None or not shiboken6.isValid(qt_object):
            raise ValueError(f"Trying to use a destroyed {self._name} object")
        return qt_object

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        qt_object, members = self._alive(), api.members(self._name)
        is_object = isinstance(qt_object, QtCore.QObject)
        if name == "name" and is_object and "name" not in members.properties:
            return qt_object.objectName()
        if name.endswith("_") and not members.has(name):
            name = name[:-1]  # exec_, as PythonQt allows it
        if name in members.properties:
            return wrap(_read(qt_object, name))
        if name in members.slot_names() or (name in members.names and name not in members.signal_names()):
            return _method(self, qt_object, name)
        if name in members.signal_names():
            return signals.Signal(self, name)
        if is_object and name.encode() in [bytes(each.data()) for each in qt_object.dynamicPropertyNames()]:
            return wrap(qt_object.property(name))
        raise AttributeError(f"{self._name} has no attribute named '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        if "_qt" not in self.__dict__:
            self.__dict__[name] = value
            return
        members = api.members(self._name)
        if name == "name" and "name" not in members.properties:
            name = "objectName"
        if name in members.properties:
            _write(self._alive(), self._name, name, members.properties[name], value)
        else:
            raise AttributeError(
                f"Property '{name}' does not exist and attributes cannot be added to {self._name} objects"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Wrapped):
            return NotImplemented
        mine, theirs = self.__dict__.get("_qt"), other.__dict__.get("_qt")
        return mine is theirs or bool(mine == theirs)

    def __hash__(self) -> int:
        return hash(shiboken6.getCppPointer(self.__dict__["_qt"]))

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self._alive())

    def __bytes__(self) -> bytes:
        return bytes(self._alive().data())

    def __repr__(self) -> str:
        return f"{self._name} (stand-in) at {hex(id(self.__dict__.get('_qt')))}"


@cache
def wrapper_class(name: str) -> type[Wrapped]:
    """The wrapper of a listed class, derived from those of its bases."""
    base: type = Wrapped
    kind = implementation(name)
    for parent in kind.__mro__[1:] if kind is not None else ():
        if api.room_of(parent.__name__) is not None and implementation(parent.__name__) is parent:
            base = wrapper_class(parent.__name__)
            break
    api.members(name)
    return PythonQtType(name, (base,), {"_name": name})


# Members


def _read(qt_object: Any, name: str) -> Any:
    if qt_object.metaObject().indexOfProperty(name) >= 0:
        return qt_object.property(name)
    found = getattr(qt_object, name, None)
    if found is None:
        raise NotInStandInError(f"The property {name} is listed, but the stand-in has none.")
    return found() if callable(found) else found


def _write(qt_object: Any, owner: str, name: str, kind: str, value: Any) -> None:
    if kind.endswith(READ_ONLY):
        raise AttributeError(f"Property '{name}' of {owner} object is not writable")
    if qt_object.metaObject().indexOfProperty(name) < 0:
        raise NotInStandInError(f"{owner}.{name} is listed, but the stand-in has none.")
    if kind == "QString":
        value = str(value)
    elif kind == "bool":
        value = bool(value)
    elif kind in _NUMBERS:
        if not isinstance(value, int | float):
            raise ValueError(f"Property '{name}' of type '{kind}' does not accept an object of type {type(value)}")
        value = _NUMBERS[kind](value)
    elif isinstance(value, EnumValue):
        value = int(value)
    else:
        value = unwrap(value)
    if not qt_object.setProperty(name, value):
        raise ValueError(f"Property '{name}' of type '{kind}' does not accept {value!r}")


def _method(wrapped: Wrapped, qt_object: Any, name: str) -> Any:
    own = {
        "connect": lambda *arguments: signals.connect(wrapped, *arguments),
        "disconnect": lambda *arguments: signals.disconnect(wrapped, *arguments),
        "className": lambda: wrapped._name,
        "delete": lambda: shiboken6.delete(qt_object),
    }
    if name in own and (name in ("className", "delete") or isinstance(qt_object, QtCore.QObject)):
        return own[name]
    if name == "findChildren":
        return lambda kind, *rest: wrap(qt_object.findChildren(implementation(kind._name), *rest))
    found = getattr(qt_object, _RENAMED.get(name, name), None)
    if found is None:
        raise NotInStandInError(f"{wrapped._name}.{name} is listed, but the stand-in has none.")
    if isinstance(found, enum.Enum):
        return EnumValue(found)
    if isinstance(found, type) and issubclass(found, enum.Enum):
        return EnumType(found)
    return BoundMethod(found, f"{wrapped._name}.{name}")


class BoundMethod:
    """A method of an object."""

    def __init__(self, method: Any, name: str) -> None:
        self._method, self.__name__ = method, name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if named:
            raise ValueError(f"{self.__name__}() does not support keyword arguments: {sorted(named)}")
        return _call(self._method, arguments)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BoundMethod) and self._method == other._method

    def __hash__(self) -> int:
        return hash(self.__name__)


def _call(method: Any, arguments: tuple[Any, ...]) -> Any:
    try:
        return wrap(method(*[unwrap(each) for each in arguments]))
    except TypeError:
        numbers = [int(each) if isinstance(each, EnumValue) else unwrap(each) for each in arguments]
        if not any(isinstance(each, EnumValue) for each in arguments):
            raise
        return wrap(method(*numbers))
