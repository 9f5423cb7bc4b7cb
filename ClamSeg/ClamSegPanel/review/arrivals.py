"""Results that a run brings while the reader is at work on another one: they wait in the list, and a line says so."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from ClamSegWorkflow.case.result_views import slice_in_view
from ClamSegWorkflow.scene.views import show_segments


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
        return bool(self._clicks.is_on) or self._state() != self._at_rest

    def wait(self, result: Any) -> None:
        """A result is in the list and not in the views, where the reader looks at another one."""
        show_segments(result.segmentation, False)
        self._waiting.append(result.segmentation)
        self._tell()

    def opened(self, segmentation: Any) -> None:
        """A result was opened, or none: it waits no more, nor does one that was removed."""
        self._at_rest = None
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
            return ()
        steps = result.lesions.steps.revision if result.lesions is not None else 0
        return (result, steps, result.drawn_at(), self._review.chosen_number(), slice_in_view(result))
