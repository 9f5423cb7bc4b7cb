"""qMRMLWidget and qMRMLNodeComboBox, on the real MRML scene.

Behaviour read in Slicer/Slicer Libs/MRML/Widgets/qMRMLNodeComboBox.cxx and seen in 5.12.3.
"""

from __future__ import annotations

from typing import Any

import shiboken6
from PySide6.QtCore import Property, QObject, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QWidget

from slicer_stand_in.scene_observer import SceneObserver


class qMRMLWidget(QWidget):
    """A widget that knows the scene and tells it on."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.scene_changed()
            self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:
        return self._scene

    def scene_changed(self) -> None:
        """The widget has another scene."""


class qMRMLSortFilterProxyModel(QObject):
    """What a combo box leaves out, as far as it is told by ids."""

    def __init__(self, box: Any) -> None:
        super().__init__(box)
        self.hidden: list[str] = []

    def _set_hidden(self, ids: list[str]) -> None:
        self.hidden = list(ids)
        self.parent()._refresh()

    hiddenNodeIDs = Property("QStringList", lambda self: self.hidden, _set_hidden)


class qMRMLNodeComboBox(QWidget):
    """Lists the nodes of some classes; follows the scene."""

    currentNodeChanged = Signal(object)
    currentNodeIsThere = Signal(bool)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    SIGNAL_OF = {"currentNodeChanged(bool)": "currentNodeIsThere"}

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._observer: SceneObserver | None = None
        self._node_observers: list[tuple[Any, int]] = []
        self._types: list[str] = []
        self._hidden_types: list[str] = []
        self._flags = {"noneEnabled": False, "addEnabled": True, "removeEnabled": True, "editEnabled": False}
        self._flags |= {"renameEnabled": False, "showHidden": False, "showChildNodeTypes": True}
        self._flags |= {"selectNodeUponCreation": True}
        self._none_display = "None"
        self._ids: list[str] = []
        self._current_id = ""
        self._refreshing = False
        self._filter = qMRMLSortFilterProxyModel(self)
        self.combo = QComboBox(self)
        self.combo.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.combo.setMinimumContentsLength(8)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.combo)
        self.setFocusProxy(self.combo)
        self.setEnabled(False)
        self.combo.currentIndexChanged.connect(self._index_changed)
        self.combo.activated.connect(lambda _index: self.nodeActivated.emit(self.currentNode()))

    # Scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        if self._observer is not None:
            self._observer.forget()
        self._scene = scene
        self._observer = SceneObserver(scene, self._refresh) if scene is not None else None
        self.setEnabled(scene is not None)
        self._refresh()

    def mrmlScene(self) -> Any:
        return self._scene

    def _offered(self) -> list[Any]:
        nodes = []
        for index in range(self._scene.GetNumberOfNodes() if self._scene is not None else 0):
            node = self._scene.GetNthNode(index)
            if self._is_offered(node):
                nodes.append(node)
        return nodes

    def sortFilterProxyModel(self) -> Any:
        return self._filter

    def _is_offered(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self._flags["showHidden"]:
            return False
        if node.GetID() in self._filter.hidden:
            return False
        children = self._flags["showChildNodeTypes"]
        for kind in self._types:
            if not node.IsA(kind) or (not children and node.GetClassName() != kind):
                continue
            return not (children and any(node.IsA(hidden) for hidden in self._hidden_types))
        return False

    def _refresh(self) -> None:
        """The list again, the choice kept; a choice that is gone falls to None or the first node."""
        nodes = self._offered()
        self._watch_names(nodes)
        ids = [node.GetID() for node in nodes]
        if self._current_id not in ids and (self._current_id or not self._flags["noneEnabled"]):
            wanted = "" if self._flags["noneEnabled"] or not ids else ids[0]
        else:
            wanted = self._current_id
        self._refreshing = True
        self._ids = ([""] if self._flags["noneEnabled"] else []) + ids
        self.combo.clear()
        self.combo.addItems(([self._none_display] if self._flags["noneEnabled"] else []) + [n.GetName() for n in nodes])
        self.combo.setCurrentIndex(self._ids.index(wanted) if wanted in self._ids else -1)
        self._refreshing = False
        self._set_id(wanted)
        self.list_changed(nodes)

    def list_changed(self, nodes: list[Any]) -> None:
        """The offered nodes are there again."""

    def _watch_names(self, nodes: list[Any]) -> None:
        for node, tag in self._node_observers:
            node.RemoveObserver(tag)
        self._node_observers = [(node, node.AddObserver("ModifiedEvent", self._renamed)) for node in nodes]

    def _renamed(self, caller: Any, event: str) -> None:
        if shiboken6.isValid(self) and caller.GetID() in self._ids:
            self.combo.setItemText(self._ids.index(caller.GetID()), caller.GetName())

    # Choice

    def _index_changed(self, index: int) -> None:
        if not self._refreshing and 0 <= index < len(self._ids):
            self._set_id(self._ids[index])

    def _set_id(self, node_id: str) -> None:
        if node_id == self._current_id:
            return
        self._current_id = node_id
        node = self.currentNode()
        self.currentNodeChanged.emit(node)
        self.currentNodeIsThere.emit(node is not None)
        self.currentNodeIDChanged.emit(node_id)

    def currentNode(self) -> Any:
        if not self._current_id or self._scene is None:
            return None
        return self._scene.GetNodeByID(self._current_id)

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node if isinstance(node, str) else node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id: str) -> None:
        """As in Slicer, a node that comes by program is activated, too, as if a user had taken it."""
        if node_id and node_id in self._ids:
            before = self._current_id
            self.combo.setCurrentIndex(self._ids.index(node_id))
            if node_id != before:
                self.nodeActivated.emit(self.currentNode())
        elif "" in self._ids:
            self.combo.setCurrentIndex(0)
        else:
            self.combo.setCurrentIndex(-1)
            self._set_id("")

    def nodeFromIndex(self, index: int) -> Any:
        ids = [each for each in self._ids if each]
        return self._scene.GetNodeByID(ids[index]) if 0 <= index < len(ids) else None

    def nodeCount(self) -> int:
        return len([each for each in self._ids if each])

    # Properties

    def _flag(name: str) -> Any:
        def write(self: Any, value: bool) -> None:
            self._flags[name] = value
            self._refresh()

        return Property(bool, lambda self: self._flags[name], write)

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)
        self._refresh()

    def _set_hidden_types(self, types: list[str]) -> None:
        self._hidden_types = list(types)
        self._refresh()

    def _set_none_display(self, text: str) -> None:
        self._none_display = text
        self._refresh()

    nodeTypes = Property("QStringList", lambda self: self._types, _set_types)
    hideChildNodeTypes = Property("QStringList", lambda self: self._hidden_types, _set_hidden_types)
    noneDisplay = Property(str, lambda self: self._none_display, _set_none_display)
    currentNodeID = Property(str, lambda self: self._current_id, setCurrentNodeID)
    noneEnabled = _flag("noneEnabled")
    addEnabled = _flag("addEnabled")
    removeEnabled = _flag("removeEnabled")
    editEnabled = _flag("editEnabled")
    renameEnabled = _flag("renameEnabled")
    showHidden = _flag("showHidden")
    showChildNodeTypes = _flag("showChildNodeTypes")
    selectNodeUponCreation = _flag("selectNodeUponCreation")
