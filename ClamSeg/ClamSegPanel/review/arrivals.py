"""Results that a run brings while the reader is at work on another one: they wait in the list, and a line says so."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from ClamSegWorkflow.case.result_views import plane_view, slice_in_view
from ClamSegWorkflow.scene.views import show_segments, shows_behind


class Arrivals:
    """Tells whether the reader is in the middle of a review, and names what waits meanwhile.

    A reader who starts a run, or whom a run shows its result, is at work again with the first thing done since: a
    decision, a threshold, a stroke, a lesion gone to, another slice in view.

    Args:
        review: the section, with `result` and `chosen_number`.
        clicks: its click tool, with `is_on`.
    """

    def __init__(self, ui: Any, review: Any, clicks: Any) -> None:
        self._ui, self._review, self._clicks = ui, review, clicks
        self._at_rest: tuple[Any, ...] | None = None
        self._waiting: list[Any] = []
        self._tell()

    def may_come(self) -> None:
        """The result of a run is what the reader waits for: from now on only what is done next is work that must not end."""
        self._at_rest = self._state()

    def must_wait(self) -> bool:
        """Whether the reader is in the middle of a review."""
        result = self._review.result
        if result is None or not result.is_alive():
            return False
        if self._clicks.is_on or self._at_rest is None:
            return True
        *work, place = self._state()
        *work_at_rest, place_at_rest = self._at_rest
        # In front of another scan the reader may scroll as they like: that is no work on this result.
        return work != work_at_rest or (place is not None and place != place_at_rest)

    def wait(self, result: Any) -> None:
        """A result is in the list and not in the views, where the reader looks at another one."""
        show_segments(result.segmentation, False)
        self._waiting.append(result.segmentation)
        self._tell()

    def opened(self, segmentation: Any) -> None:
        """A result was opened, or none: it waits no more."""
        self._at_rest = None
        self.removed(segmentation)

    def removed(self, segmentation: Any) -> None:
        """A result was removed, e.g. in Data: it is named no more, nor is its node held."""
        self._waiting = [
            each for each in self._waiting if each is not segmentation and each.GetScene() is not None
        ]  # fmt: skip
        self._tell()

    def scene_closing(self) -> None:
        """Nothing waits in the next scene."""
        self._at_rest, self._waiting = None, []
        self._tell()

    def _tell(self) -> None:
        names = ", ".join(str(each.GetName()) for each in self._waiting)
        self._ui.arrivedLabel.text = (
            _("New in this list: {names}. Your review goes on; choose it when you are done.").format(names=names)
            if names
            else ""
        )
        self._ui.arrivedLabel.visible = bool(names)

    def _state(self) -> tuple[Any, ...]:
        result = self._review.result
        if result is None or not result.is_alive():
            return (None, None)
        steps = result.lesions.steps.revision if result.lesions is not None else 0
        return (result, steps, result.drawn_at(), self._review.chosen_number(), self._place(result))

    def _place(self, result: Any) -> int | None:
        """The slice of this result that the reader sees; None where the view shows another scan, or is beside this one."""
        if result.lesions is None or not shows_behind(result.scene, result.volume, plane_view(result)):
            return None
        return slice_in_view(result)
