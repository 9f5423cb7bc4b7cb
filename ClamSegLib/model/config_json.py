"""Frozen dataclasses from and to JSON.

Unknown keys and values outside their range are refused, so that a file made by a newer version, or by hand,
never runs as something else than it says.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from ClamSegLib.system.errors import InputError
from ClamSegLib.system.words import bounded, check_words

_Config = TypeVar("_Config")


def _from_json_value(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return from_json(typing.cast(type, kind), value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _from_json_value(next(a for a in arguments if a is not type(None)), value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"{where} must be a list, came {_shown(value)}.")
        inner = [arguments[0]] * len(value) if len(arguments) == 2 and arguments[1] is Ellipsis else list(arguments)
        if len(inner) != len(value):
            raise InputError(f"{where} must hold {len(inner)} values, came {len(value)}.")
        return tuple(_from_json_value(k, v, f"{where}[{n}]") for n, (k, v) in enumerate(zip(inner, value, strict=True)))
    if origin is dict:
        kind = dict
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(value, where)
    if isinstance(kind, type) and isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return check_words(value, where) if isinstance(value, str) else value
    raise InputError(f"{where} must be of type {getattr(kind, '__name__', kind)}, came {_shown(value)}.")


def _shown(value: Any) -> str:
    return bounded(repr(value), 60)


def _finite(value: float, where: str) -> float:
    """As float. JSON as Python reads it knows NaN and Infinity, with which maps come out empty without a word."""
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{where} must be a finite number, came {number}.")
    return number


def from_json(kind: type[_Config], values: Any, where: str = "config") -> _Config:
    """Builds the frozen dataclass `kind` from JSON values.

    A field whose metadata says `formerly` is also found under the name that files of older versions use.

    Raises:
        InputError: not an object, an unknown key, a missing key, a wrong type, or a value out of range.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where} must be a JSON object, came {type(values).__name__}.")
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, kind))}
    for name, f in fields.items():
        formerly = f.metadata.get("formerly")
        if formerly in values and name not in values:
            values = {name if key == formerly else key: value for key, value in values.items()}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise InputError(f"{where} has unknown keys {bounded(', '.join(unknown))}; allowed are {', '.join(fields)}.")
    hints = typing.get_type_hints(kind)
    converted = {key: _from_json_value(hints[key], value, f"{where}.{key}") for key, value in values.items()}
    missing = [
        name
        for name, f in fields.items()
        if name not in converted and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"{where} lacks {', '.join(missing)}.")
    return kind(**converted)


def to_json(config: Any) -> dict[str, Any]:
    """The dataclass as JSON values (tuples become lists when dumped)."""
    return dataclasses.asdict(config)


def read_values(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        InputError: unreadable, or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a JSON file ({error}).") from error


def read_json(kind: type[_Config], path: Path) -> _Config:
    """Reads `kind` from a JSON file; errors as for `read_values` and `from_json`."""
    return from_json(kind, read_values(path), Path(path).name)
