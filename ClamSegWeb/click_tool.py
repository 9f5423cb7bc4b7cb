"""Lesions added by clicks in the slice views; borders of lesions changed; the order of doubt."""

from __future__ import annotations

from typing import Any

from ClamSegWeb.scene_views import ORIENTATIONS
from ClamSegWeb.user_action import user_action
from ClamSegWorkflow.case import border
from ClamSegWorkflow.case.click_outline import ClickOutline
from ClamSegWorkflow.case.doubt_order import DoubtOrder
from ClamSegWorkflow.scene.slice_clicks import SliceClicks
from ClamSegWorkflow.words import tr as _


class ClickTool:
    """The cross in the slice views while lesions are added.

    Args:
        review: the section, with `result`, `decisions`, `refresh`, `jump` and `stop_drawing`.
    """

    def __init__(self, page: Any, review: Any) -> None:
        self._page, self._state, self._review = page, page.state, review
        self._outline: ClickOutline | None = None
        self._clicks: SliceClicks | None = None
        self._doubt = DoubtOrder()
        self._state.update(
            {
                "clicking": False, "has_proposal": False, "has_clicks": False, "click_words": "", "click_width": 0,
                "click_takes_away": False, "click_condition": "",
            }
        )  # fmt: skip
        self._state.change("click_condition")(self._condition_chosen)
        self._state.change("click_takes_away")(self._takes_away)

    def toggle(self) -> None:
        """Begins, or ends and drops what was not kept."""
        if self._outline is None:
            self._begin()
        else:
            self.stop()

    @user_action(_("Lesions cannot be added now."))
    def _begin(self) -> None:
        review = self._review
        review.stop_drawing()
        review.stop_measuring()
        self._outline = ClickOutline(review.result, str(self._state.click_condition or ""))
        views = [(self._page.views.scene.GetNodeByID(f"vtkMRMLSliceNode{n}"), n) for n in ORIENTATIONS]
        self._clicks = SliceClicks(
            [(node, self._page.views.view(name).interactor()) for node, name in views], self._clicked
        )
        if self._state.hidden:
            review.toggle_hidden()
        self._show()

    def stop(self) -> None:
        """Another result, or the reader does something else: what was not kept is dropped."""
        if self._clicks is not None:
            self._clicks.stop()
        if self._outline is not None:
            self._outline.drop()
        self._clicks, self._outline = None, None
        self._show()

    def _clicked(self, ras: list[float], alt: bool) -> None:
        # Not inside the event of the view: what it does next must find the scene as it was.
        self._page.later(lambda: self._click(ras, alt))

    @user_action(_("The lesion could not be outlined."))
    def _click(self, ras: list[float], alt: bool) -> None:
        if self._outline is not None:
            self._outline.click(ras, alt)
            self._show()

    @user_action(_("The outline could not be changed."))
    def set_width(self, steps: int) -> None:
        """Wider above 0, tighter below."""
        if self._outline is not None:
            self._outline.set_width(int(steps))
            self._show()

    def change_width(self, by: int) -> None:
        """One step wider or tighter."""
        self.set_width(int(self._state.click_width) + int(by))

    @user_action(_("The click could not be taken back."))
    def take_back(self) -> None:
        """The last click is taken back."""
        if self._outline is not None and self._outline.take_back():
            self._show()

    @user_action(_("The lesion could not be added."))
    def keep(self) -> None:
        """The proposal becomes a lesion of the review."""
        if self._outline is None:
            return
        self._review.decisions.turns.finish()
        number = self._outline.keep()
        self._state.click_takes_away = False
        self._review.refresh()
        self._state.lesion_number = number
        self._show()

    def drop(self) -> None:
        """Drops the clicks with what they propose; without any, ends."""
        if self._outline is not None and self._outline.has_clicks:
            self._outline.drop()
            self._show()
        else:
            self.stop()

    def _takes_away(self, **_state: Any) -> None:
        if self._outline is not None:
            self._outline.takes_away = bool(self._state.click_takes_away)

    def _condition_chosen(self, **_state: Any) -> None:
        if self._outline is not None:
            self._outline.choose(str(self._state.click_condition or ""))

    def _show(self) -> None:
        outline, state = self._outline, self._state
        state.clicking = outline is not None
        state.has_proposal = outline is not None and outline.has_proposal
        state.has_clicks = outline is not None and outline.has_clicks
        state.click_words = outline.words() if outline is not None else ""
        state.click_width = outline.width if outline is not None else 0
        if outline is None:
            state.click_takes_away = False
        self._page.views.draw()

    # Borders, doubt

    @user_action(_("The border could not be changed."))
    def refine(self, how: str, seen: int) -> None:
        """WIDER, TIGHTER, CUT or SPLIT of the chosen lesion.

        Args:
            how: one of these.
            seen: number of the lesion that stood before the reader.
        """
        self._review.stop_drawing()
        number = self._review.chosen(seen)
        if number is not None:
            following = border.refine(self._review.result, number, how)
            self._review.refresh()
            if following != number:
                self._review.jump(following)

    @user_action(_("The lesions could not be merged."))
    def merge(self, seen: int) -> None:
        """The chosen lesion, that with the number seen, with the nearest one of its condition."""
        self._review.stop_drawing()
        number = self._review.chosen(seen)
        if number is None:
            return
        other = border.nearest(self._review.result, number)
        if other is None:
            self._page.tell(_("There is no other lesion of this condition to merge with."))
            return
        border.merge(self._review.result, number, other)
        self._review.refresh()
        self._review.jump(number)

    def go_to_most_doubtful(self) -> None:
        """The undecided lesion that is most doubtful, then the next one."""
        self._review.decisions.turns.finish()
        result = self._review.result
        if result is None or result.lesions is None:
            return
        number = self._doubt.following(result.lesions, int(self._state.lesion_number or 0))
        if number is None:
            self._page.tell(_("All lesions are decided."))
        else:
            self._review.jump(number)
