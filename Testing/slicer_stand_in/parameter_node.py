"""slicer.parameterNodeWrapper for nodes, str, int, float and bool, kept in a real vtkMRMLScriptedModuleNode.

Behaviour read in Slicer/Slicer Base/Python/slicer/parameterNodeWrapper: wrapper.py, serializers.py, validators.py,
guiConnectors.py, util.py, and seen in 5.12.3. What a widget cannot be bound to in Slicer cannot be bound here: the
classes of nodes are the real ones, so that an abstract one refuses. As there, a value is read again only when the
node says that it was modified.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import slicer
import slicer.util
import vtk

from slicer_stand_in.parameter_fields import Cached, Parameter, WithinRange
from slicer_stand_in.signals import guarded

__all__ = ["WithinRange", "parameterNodeWrapper"]


class _Binding:
    """A parameter and the widget that shows it."""

    def __init__(self, widget: Any, parameter: Parameter) -> None:
        self.widget, self.parameter = widget, parameter
        how = _connector(widget, parameter)
        self._signal, self._read, self._write = how
        self.changed: Callable[[], None] | None = None

    def connect(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        getattr(self.widget, self._signal).connect(self.changed)

    def disconnect(self) -> None:
        getattr(self.widget, self._signal).disconnect(self.changed)

    def read(self) -> Any:
        return self._read(self.widget)

    def write(self, value: Any) -> None:
        if self.read() != value:
            self._write(self.widget, value)


def _connector(widget: Any, parameter: Parameter) -> tuple[str, Callable[..., Any], Callable[..., None]]:
    """The signal, how it is read, and how it is written; our window binds boxes of nodes only."""
    if not parameter.is_node or type(widget) is not slicer.qMRMLNodeComboBox:
        raise RuntimeError(f"The stand-in binds no datatype '{parameter.hint}' to the widget type '{type(widget)}'")
    widget.nodeTypes = parameter.node_types()  # whatever the .ui said
    return ("currentNodeChanged", lambda w: w.currentNode(), lambda w, value: w.setCurrentNode(value))


def parameterNodeWrapper(cls: Any) -> Any:
    """Makes the annotated fields of a class attributes that are kept in a parameter node."""
    hints = typing.get_type_hints(cls, include_extras=True)
    parameters = {name: Parameter(name, hint, cls) for name, hint in hints.items()}
    for parameter in parameters.values():
        setattr(cls, parameter.name, _field(parameter))
    for name in ("allParameters", "connectGui", "disconnectGui", "getValue", "setValue", "AddObserver"):
        if hasattr(cls, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
    cls.allParameters = parameters
    cls.__init__ = _init
    cls.connectParametersToGui, cls.disconnectGui = _connect_parameters, _disconnect_gui
    for name in ("StartModify", "EndModify", "AddObserver", "RemoveObserver", "Modified"):
        setattr(cls, name, _through(name))
    return cls


def _through(name: str) -> Any:
    return lambda self, *arguments: getattr(self.parameterNode, name)(*arguments)


def _field(parameter: Parameter) -> property:
    return property(
        lambda self: self._cached[parameter.name].value,
        lambda self, value: self._cached[parameter.name].write(value),
    )


def _init(self: Any, parameterNode: Any, prefix: str | None = None) -> None:
    self.parameterNode = parameterNode
    self._bindings, self._next_tag, self._updating = {}, 0, False
    self._cached = {}
    for parameter in self.allParameters.values():
        if not parameter.is_in(parameterNode):
            parameter.write(parameterNode, parameter.default)
        self._cached[parameter.name] = Cached(parameter, parameterNode)


def _connect_parameters(self: Any, mapping: dict[str, Any]) -> int:
    """Binds parameters to widgets; both sides follow each other."""
    for name in mapping:
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}")
    bound = {name: _Binding(widget, self.allParameters[name]) for name, widget in mapping.items()}
    tag = self._next_tag
    self._next_tag += 1
    self._bindings[tag] = bound
    for name, binding in bound.items():
        binding.write(getattr(self, name))
        binding.connect(_to_node(self, name, binding))
    self.AddObserver(
        vtk.vtkCommand.ModifiedEvent, lambda *_: guarded("the observer of the parameter node", _to_gui, (self,))
    )
    return tag


def _to_node(self: Any, name: str, binding: _Binding) -> Callable[[], None]:
    def changed() -> None:
        if not self._updating:
            setattr(self, name, binding.read())

    return changed


def _to_gui(self: Any) -> None:
    if self._updating:
        return
    self._updating = True
    try:
        for bound in self._bindings.values():
            for name, binding in bound.items():
                binding.write(getattr(self, name))
    finally:
        self._updating = False


def _disconnect_gui(self: Any, tag: int) -> None:
    for binding in self._bindings.pop(tag, {}).values():
        binding.disconnect()
