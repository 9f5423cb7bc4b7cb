"""A lesion that is proposed and not yet kept: shown beside the result, never saved and offered nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ClamSegWorkflow.scene.passing import PassingSegmentation
from ClamSegWorkflow.scene.segments import SegmentLook, put_segment
from ClamSegWorkflow.words import tr as _

_LOOK = SegmentLook("proposal", _("proposal"), (255, 236, 61))
_FILL = 0.25


class Proposal:
    """One proposed lesion in all views."""

    def __init__(self, scene: Any, volume: Any) -> None:
        self._volume = volume
        self._shown = PassingSegmentation(scene)

    def show(self, mask: np.ndarray, start: Sequence[int]) -> None:
        """Shows voxels (k, j, i) of a box of the volume.

        Args:
            start: first k, j, i of the box.
        """
        if not self._shown.is_shown:
            display = self._shown.begin(self._volume, _("ClamSeg proposal")).GetDisplayNode()
            if display is not None:
                display.SetOpacity2DFill(_FILL)
        put_segment(self._shown.node, self._volume, _LOOK, mask, start)

    def hide(self) -> None:
        """Takes it out of the scene."""
        self._shown.remove()
