"""Slicer's own Segment Editor, opened on one segment of a result."""

from __future__ import annotations

from typing import Any

import slicer


def open_in_segment_editor(segmentation: Any, volume: Any, segment_id: str) -> None:
    """Shows the editor with the segment chosen, painting over no other segment.

    Args:
        segmentation: our result.
        volume: the scan it was drawn on.
        segment_id: of the lesion.
    """
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    editor.setSegmentationNode(segmentation)
    editor.setSourceVolumeNode(volume)
    editor.setCurrentSegmentID(segment_id)
    settings = editor.mrmlSegmentEditorNode()
    if settings is not None:
        settings.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteNone)
    editor.setActiveEffectByName("Paint")
