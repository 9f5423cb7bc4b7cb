"""What the views show of a result: its segments or nothing, a map over them, and how strong the outlines are."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from ClamSegWorkflow.scene.overlays import DOUBT, PROBABILITY, show_overlay
from ClamSegWorkflow.scene.views import outline_opacity, show_segments

_OVERLAYS = (None, PROBABILITY, DOUBT)


class ResultDisplay:
    """Hide, the map's list and the opacity of outlines.

    Args:
        review: the section whose result is shown.
    """

    def __init__(self, panel: Any, review: Any) -> None:
        self._ui, self._review = panel.ui, review
        ui = self._ui
        ui.overlaySelector.addItems([_("no map"), _("probability"), _("doubt")])
        ui.hideButton.connect("toggled(bool)", self._hide)
        ui.overlaySelector.connect("currentIndexChanged(int)", self._overlay_changed)
        ui.opacitySlider.connect("valueChanged(double)", self._opacity_changed)

    def open(self, segmentation: Any) -> None:
        """A result was opened: the widgets say how it is shown, and it is shown as they say."""
        node = segmentation.GetDisplayNode()
        self._ui.hideButton.checked = node is not None and not node.GetVisibility()
        outline_opacity(segmentation, float(self._ui.opacitySlider.value))
        self._overlay_changed(self._ui.overlaySelector.currentIndex)

    def need_map(self) -> None:
        """The threshold moves: a map is shown, because otherwise there is nothing to see."""
        if self._kind() is None:
            self._ui.overlaySelector.currentIndex = _OVERLAYS.index(PROBABILITY)

    def _hide(self, hidden: bool) -> None:
        self._ui.hideButton.text = _("Show") if hidden else _("Hide")
        if self._review.result is None:
            return
        show_segments(self._review.result.segmentation, not hidden)
        self._show_map(None if hidden else self._kind())

    def toggle_hidden(self) -> None:
        """Hides what is shown, or the other way round."""
        self._ui.hideButton.checked = not self._ui.hideButton.checked

    def _kind(self) -> str | None:
        return _OVERLAYS[max(0, self._ui.overlaySelector.currentIndex)]

    def _overlay_changed(self, index: int) -> None:
        if self._review.result is not None:
            self._show_map(_OVERLAYS[max(0, index)])

    def _show_map(self, kind: str | None) -> None:
        node = self._review.result.map_node(kind) if kind else None
        show_overlay(slicer.mrmlScene, node)

    def _opacity_changed(self, opacity: float) -> None:
        if self._review.result is not None:
            outline_opacity(self._review.result.segmentation, float(opacity))
