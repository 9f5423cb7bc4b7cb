"""The outline of a doubtful organ over the picture, while the reader is asked about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ClamSegWorkflow.scene.geometry import GeometryRecord
from ClamSegWorkflow.scene.passing import PassingSegmentation
from ClamSegWorkflow.scene.segments import SegmentLook, put_segment
from ClamSegWorkflow.scene.views import segment_fill, show_behind
from ClamSegWorkflow.words import tr as _

# The amber of the question, told from the organ's own colour.
_COLOUR = (230, 159, 0)
_ID = "organ-in-doubt"


class DoubtfulOutline:
    """A segmentation that is there as long as the question; it is no result and is never kept.

    Args:
        scene: where it is shown.
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._shown = PassingSegmentation(scene)

    def show(self, volume: Any, record: GeometryRecord, path: Path, organ: str) -> None:
        """Draws the outline over the scan.

        Args:
            volume: the scan.
            record: its grid when the run began.
            path: the worker's organ.npy, (k, j, i) in the scan's own frame; one that does not fit is not shown.
            organ: its name.
        """
        self.remove()
        try:
            mask = np.load(path, allow_pickle=False)
        except (OSError, ValueError):
            return
        if mask.shape != record.shape or not mask.any():
            return
        show_behind(self._scene, volume)
        name = _("{organ} in doubt").format(organ=organ)
        node = self._shown.begin(volume, name)
        put_segment(node, volume, SegmentLook(_ID, name, _COLOUR), mask > 0)
        segment_fill(node, _ID, 0.0)

    def remove(self) -> None:
        """The question is answered, or nobody waits for the answer any more."""
        self._shown.remove()
