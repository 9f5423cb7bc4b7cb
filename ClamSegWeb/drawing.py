"""Painting and erasing in one segment of a result, in every view, over no other segment."""

from __future__ import annotations

from typing import Any

import slicer
from trame_slicer.segmentation import BrushDiameterMode, SegmentationEffectErase, SegmentationEffectPaint

PAINT, ERASE = "paint", "erase"
_EFFECTS = {PAINT: SegmentationEffectPaint, ERASE: SegmentationEffectErase}


class Drawing:
    """The brush; at rest until a segment is opened."""

    def __init__(self, page: Any) -> None:
        self._page, self._state = page, page.state
        self._editor = page.views.app.segmentation_editor
        self.is_active = False
        self._state.change("tool_size")(self._size_changed)

    def begin(self, segmentation: Any, volume: Any, segment_id: str) -> None:
        """Opens a segment with the brush in hand; surfaces, which would be made anew with each stroke, are put away."""
        self._editor.set_active_segmentation(segmentation, volume)
        self._editor.show_3d(False)
        self._editor.editor_node.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteNone)
        self._editor.set_active_segment_id(segment_id)
        self.is_active = True
        self.choose(PAINT)

    def choose(self, tool: str) -> None:
        """Brush or eraser."""
        if not self.is_active or tool not in _EFFECTS:
            return
        self._editor.set_active_effect_type(_EFFECTS[tool])
        self._state.tool = tool
        self._size_changed()

    def end(self) -> None:
        """Puts the brush away; surfaces come back when they are asked for."""
        self._editor.deactivate_effect()
        self.is_active = False
        self._state.tool = ""

    def keep_surfaces(self, segmentation: Any, visible: bool) -> None:
        """Tells the editor, which otherwise puts them away with the next change of a segmentation it has drawn in."""
        if self._editor.active_segmentation_node is segmentation:
            self._editor.show_3d(visible)

    def _size_changed(self, **_state: Any) -> None:
        effect = self._editor.active_effect
        if self.is_active and hasattr(effect, "set_brush_diameter"):
            effect.set_brush_diameter(float(self._state.tool_size), BrushDiameterMode.Absolute)
