"""Segmentations that are shown for a while: never saved, offered nowhere, gone without a trace."""

from __future__ import annotations

from typing import Any

from ClamSegWorkflow.scene import remove_node
from ClamSegWorkflow.scene.segments import add_segmentation


class PassingSegmentation:
    """At most one such segmentation in a scene.

    Attributes:
        node: it, None where nothing is shown.
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self.node: Any = None

    @property
    def is_shown(self) -> bool:
        """Whether it is in the scene; whoever clears a scene takes it away too."""
        return self.node is not None and bool(self._scene.IsNodePresent(self.node))

    def begin(self, volume: Any, name: str) -> Any:
        """A new one on the volume's grid in place of an older one; returns its node."""
        self.remove()
        self.node = add_segmentation(self._scene, volume, name)
        self.node.SetHideFromEditors(True)
        self.node.SetSaveWithScene(False)
        display = self.node.GetDisplayNode()
        if display is not None:
            display.SetSaveWithScene(False)
        return self.node

    def remove(self) -> None:
        """Takes it and how it is displayed out of the scene."""
        if self.is_shown:
            display = self.node.GetDisplayNode()
            remove_node(self._scene, self.node)
            if display is not None:
                self._scene.RemoveNode(display)
        self.node = None
