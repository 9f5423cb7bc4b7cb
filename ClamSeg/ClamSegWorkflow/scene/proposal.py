"""A lesion that is proposed and not yet kept: shown beside the result, never saved and offered nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ClamSegWorkflow.scene.segments import SegmentLook, add_segmentation, put_segment
from ClamSegWorkflow.words import tr as _

_LOOK = SegmentLook("proposal", _("proposal"), (255, 236, 61))
_FILL = 0.25


class Proposal:
    """One proposed lesion in all views."""

    def __init__(self, scene: Any, volume: Any) -> None:
        self._scene, self._volume = scene, volume
        self._node: Any = None

    def show(self, mask: np.ndarray, start: Sequence[int]) -> None:
        """Shows voxels (k, j, i) of a box of the volume.

        Args:
            start: first k, j, i of the box.
        """
        if self._node is None or not self._scene.IsNodePresent(self._node):
            self._node = add_segmentation(self._scene, self._volume, _("ClamSeg proposal"))
            self._node.SetHideFromEditors(True)
            self._node.SetSaveWithScene(False)
            display = self._node.GetDisplayNode()
            if display is not None:
                display.SetSaveWithScene(False)
                display.SetOpacity2DFill(_FILL)
        put_segment(self._node, self._volume, _LOOK, mask, start)

    def hide(self) -> None:
        """Takes it out of the scene."""
        if self._node is not None and self._scene.IsNodePresent(self._node):
            self._scene.RemoveNode(self._node)
        self._node = None
