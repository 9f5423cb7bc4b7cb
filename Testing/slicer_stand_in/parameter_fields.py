"""The fields of a parameter node: their rules, how they are kept as text or node references, and when they are read.

Behaviour read in Slicer/Slicer Base/Python/slicer/parameterNodeWrapper: serializers.py, validators.py, util.py, the
cache of wrapper.py.
"""

from __future__ import annotations

import types
import typing
import weakref
from dataclasses import dataclass
from typing import Annotated, Any

import slicer
import slicer.util
import vtk


@dataclass
class WithinRange:
    """Smallest and largest value, both allowed."""

    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


class Parameter:
    """One field: its type, its rules, its default; reads and writes it as text or as a node reference."""

    def __init__(self, name: str, hint: Any, cls: type) -> None:
        self.name, self.hint = name, hint
        annotations = list(hint.__metadata__) if typing.get_origin(hint) is Annotated else []
        self.kind = typing.get_args(hint)[0] if annotations else hint
        is_union = typing.get_origin(self.kind) in (typing.Union, types.UnionType)
        self.parts = typing.get_args(self.kind) if is_union else ()
        node_kinds = [part for part in (self.parts or (self.kind,)) if part is not type(None)]
        self.is_node = all(isinstance(part, type) and issubclass(part, slicer.vtkMRMLNode) for part in node_kinds)
        self.node_kinds = node_kinds if self.is_node else []
        if not self.is_node and self.kind not in (str, int, float, bool):
            raise TypeError(f"Unable to create serializer for {cls} member {name}")
        self.rules = [each for each in annotations if hasattr(each, "validate")]
        zero = None if self.is_node else self.kind()
        self.default = getattr(cls, name) if hasattr(cls, name) else zero

    def node_types(self) -> list[str]:
        """Class names that a combo box is given; Slicer makes a node of each class to ask it.

        Raises:
            TypeError: an abstract class, such as vtkMRMLVolumeNode.
        """
        return [kind().GetClassName() for kind in self.node_kinds]

    def names(self) -> list[str]:
        """Under what the value is kept: a union has a name for each of its parts."""
        return [f"{self.name}_{number}" for number in range(len(self.parts))] or [self.name]

    def is_in(self, node: Any) -> bool:
        """Whether the node has a value."""
        return any(node.HasParameter(name) for name in self.names())

    def _write_union(self, node: Any, value: Any) -> None:
        number = next((n for n, part in enumerate(self.parts) if isinstance(value, part)), None)
        if number is None:
            raise TypeError(f"Unable to write value '{value}' of type '{type(value)}'")
        with slicer.util.NodeModify(node):
            for name in self.names():
                node.UnsetParameter(name)
                node.RemoveNodeReferenceIDs(name)
            node.SetParameter(self.names()[number], "True" if value is None else "")
            if value is not None:
                node.SetNodeReferenceID(self.names()[number], value.GetID())

    def write(self, node: Any, value: Any) -> None:
        if self.parts:
            self._write_union(node, value)
            return
        allowed = (int, float) if self.kind is float else self.kind
        if value is None and not self.is_node:
            raise ValueError("Value must not be None")
        if value is not None and not isinstance(value, allowed):
            raise TypeError(f"Value must be of type '{self.kind}', is type '{type(value)}' value '{value}'")
        for rule in self.rules:
            rule.validate(value)
        with slicer.util.NodeModify(node):
            node.SetParameter(self.name, "" if self.is_node else str(value))
            if self.is_node:
                node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)

    def read(self, node: Any) -> Any:
        """The value; a node that has none, such as one of a scene that closes, is given the default first."""
        if not self.is_in(node):
            self.write(node, self.default)
        if self.is_node:
            name = next((each for each in self.names() if node.HasParameter(each)), self.name)
            return node.GetNodeReference(name)
        text = node.GetParameter(self.name)
        return text == "True" if self.kind is bool else self.kind(text)


class Cached:
    """A value of a wrapper, read when it is made and whenever the node is modified, and never between.

    References that a loaded scene resolves later are not seen, because no modification is told then.
    """

    def __init__(self, parameter: Parameter, node: Any) -> None:
        self.parameter, self.node, self._writing = parameter, node, False
        self.value = parameter.read(node)
        here = weakref.ref(self)
        self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: here()._modified())  # type: ignore[union-attr]

    def __del__(self) -> None:
        self.node.RemoveObserver(self._tag)

    def _modified(self) -> None:
        if not self._writing:
            self.value = self.parameter.read(self.node)

    def write(self, value: Any) -> None:
        self._writing = True
        try:
            with slicer.util.NodeModify(self.node):
                self.parameter.write(self.node, value)
                self.value = self.parameter.read(self.node)
        finally:
            self._writing = False
