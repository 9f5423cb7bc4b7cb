"""What a reader decided on a result, as the library takes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ClamSegWorkflow.case.result_import import grid_of
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.segments import segment_mask
from ClamSegWorkflow.scene.volumes import voxels_of
from ClamSegWorkflow.words import tr as _


def scan_of(result: Any) -> Any:
    """The scan of a result as a ClamSegLib Volume: its voxels and its own frame, parent transforms left out."""
    is_picture = result.lesions.is_picture if result.lesions is not None else False
    grid = grid_of(result.record, result.volume, is_picture)
    array = voxels_of(result.volume)
    return replace(grid, array=np.ascontiguousarray(array), already_windowed=array.dtype == np.uint8)


def reviewed_case(result: Any) -> Any:
    """The result's ReviewedCase: what stands, what was rejected, the organ, the marks.

    Raises:
        SceneError: the result holds nothing to review, or its scan is gone.
    """
    from ClamSegLib.datasets.corrections import ReviewedCase

    if result is None or result.lesions is None:
        raise SceneError(_("This result has no lesions to review."))
    result.take_over_edits()
    lesions = result.lesions
    scan = scan_of(result)
    organ = None
    if result.segmentation.GetSegmentation().GetSegment("organ") is not None:
        organ = segment_mask(result.segmentation, "organ", result.record.shape)
    rejected = lesions.rejected_mask()
    return ReviewedCase(
        scan,
        lesions.standing_masks(),
        rejected=rejected if rejected.any() else None,
        organ=organ if organ is not None and organ.any() else None,
        slice_labels=dict(result.marks),
        plane=lesions.plane,
        model=result.provenance.get("model", ""),
    )
