"""Values between Python and Qt: enumerations as whole numbers, lists as tuples, Qt's values in their wrappers."""

from __future__ import annotations

import enum
from typing import Any


class EnumValue(int):
    """A value of one of Qt's enumerations, a whole number as in PythonQt; remembers its enumeration."""

    member: enum.Enum

    def __new__(cls, member: enum.Enum) -> EnumValue:
        made = int.__new__(cls, member.value)
        made.member = member
        return made

    def __repr__(self) -> str:
        return f"{self.member.name} ({int(self)})"

    def _combined(self, other: Any, value: int) -> Any:
        kind = type(self.member)
        if issubclass(kind, enum.Flag):
            return EnumValue(kind(value))
        return value

    def __or__(self, other: Any) -> Any:
        return self._combined(other, int(self) | int(other))

    def __and__(self, other: Any) -> Any:
        return self._combined(other, int(self) & int(other))

    def __xor__(self, other: Any) -> Any:
        return self._combined(other, int(self) ^ int(other))

    __ror__, __rand__, __rxor__ = __or__, __and__, __xor__

    def __invert__(self) -> Any:
        if isinstance(self.member, enum.Flag):
            return EnumValue(~self.member)
        return ~int(self)


class EnumType:
    """An enumeration: called with a number it gives the value."""

    def __init__(self, kind: type[enum.Enum]) -> None:
        self._kind = kind

    def __call__(self, value: int = 0) -> EnumValue:
        return EnumValue(self._kind(int(value)))

    def __getattr__(self, name: str) -> EnumValue:
        try:
            return EnumValue(self._kind[name])
        except KeyError:
            raise AttributeError(f"{self._kind.__name__} has no value named '{name}'") from None
