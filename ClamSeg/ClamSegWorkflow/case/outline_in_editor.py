"""One click as a labelmap for the Segment Editor, in any segmentation: of ours, with the model's evidence, or another's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.geometry import record_geometry
from ClamSegWorkflow.scene.overlays import PROBABILITY, map_array, map_of
from ClamSegWorkflow.scene.scan_facts import reading_of
from ClamSegWorkflow.scene.segments import labelmap_of, segment_mask
from ClamSegWorkflow.scene.views import voxel_at
from ClamSegWorkflow.scene.volumes import voxels_of
from ClamSegWorkflow.words import tr as _


class OutlineInEditor:
    """What clicks outline in a scan while the effect is active.

    Args:
        volume: the source volume of the Segment Editor.
        segmentation: that is edited.
    """

    def __init__(self, volume: Any, segmentation: Any) -> None:
        from ClamSegLib.outlining.tissue import tissue_of

        if volume is None:
            raise SceneError(_("Choose the scan as source volume first."))
        self.volume, self.segmentation = volume, segmentation
        self._record = record_geometry(volume)
        probability = map_of(segmentation, PROBABILITY) if segmentation is not None else None
        fits = probability is not None and record_geometry(probability).shape == self._record.shape
        organ = None
        if fits and segmentation.GetSegmentation().GetSegment("organ") is not None:
            organ = segment_mask(segmentation, "organ", self._record.shape)
        i, j, k = self._record.spacing_mm
        self._tissue = tissue_of(
            voxels_of(volume),
            (k, j, i) if reading_of(volume).spacing_known else None,
            organ,
            map_array(probability) if fits else None,
        )

    def is_for(self, volume: Any, segmentation: Any) -> bool:
        """Whether these are still the scan and the segmentation it was made for, on the same grid."""
        is_same = volume is self.volume and segmentation is self.segmentation
        return is_same and volume is not None and record_geometry(volume) == self._record

    def labelmap(self, ras: Sequence[float], width: int = 0) -> Any:
        """The lesion at a point of the world as an oriented labelmap in the scan's own frame.

        Raises:
            SceneError, InputError: the point lies outside the scan or the organ.
        """
        from ClamSegLib.outlining.outline import Click, outline

        i, j, k = (math.floor(value + 0.5) for value in voxel_at(self.volume, ras))
        if not all(0 <= at < size for at, size in zip((k, j, i), self._record.shape, strict=True)):
            raise SceneError(_("The click lies outside the scan."))
        found = outline(self._tissue, [Click((k, j, i))], width)
        return labelmap_of(found.mask, [side.start for side in found.box], self.volume)
