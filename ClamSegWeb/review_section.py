"""Review: look at a result, move its threshold, decide on lesions, draw, mark slices."""

from __future__ import annotations

from typing import Any

from ClamSegWeb.click_tool import ClickTool
from ClamSegWeb.decisions import Decisions
from ClamSegWeb.drawing import Drawing
from ClamSegWeb.lesion_table import LesionTable
from ClamSegWeb.slice_labels import SliceLabels
from ClamSegWeb.solid_view import SolidView
from ClamSegWeb.user_action import user_action
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.case.result_views import jump_to_lesion, show_model_window
from ClamSegWorkflow.case.review_text import statistics_words
from ClamSegWorkflow.scene.overlays import DOUBT, PROBABILITY, show_overlay
from ClamSegWorkflow.scene.views import outline_opacity, show_segments
from ClamSegWorkflow.words import tr as _

_NO_MAP = "none"


class ReviewSection:
    """The result under review.

    Attributes:
        result: `Result`, None where none is shown.
        table: its lesions, line by line.
        labels: of its slices.
        solid_view: its surfaces.
    """

    def __init__(self, page: Any) -> None:
        self._page, self._state = page, page.state
        self.result: Any = None
        self._drawing = Drawing(page)
        self.solid_view = SolidView(page)
        self.table = LesionTable(page.state)
        self.labels = SliceLabels(page, self)
        self.clicks = ClickTool(page, self)
        self.decisions = Decisions(page, self)
        self._state.update(
            {
                "has_result": False, "has_lesions": False, "summary": "", "certificate": "", "result_warnings": [],
                "statistics": "", "several_conditions": False, "conditions": [], "condition_names": {},
                "overlay": _NO_MAP, "opacity": 0.35, "hidden": False, "solid": False, "solid_words": "", "has_depth": False,
                "tool": "", "tool_size": 6.0, "drawing_words": "",
                "waits_for_export": False, "size_unit": "ml",
            }
        )  # fmt: skip
        self._state.change("opacity")(self._opacity_changed)

    # What the page tells

    def show(self, result: Any) -> None:
        """The result of the scan that is shown now, or none."""
        self.stop_drawing()
        self.clicks.stop()
        self.labels.let_go()
        show_overlay(self._page.views.scene, None)
        if self.result is not None and self.result is not result and self.result.is_alive():
            show_segments(self.result.segmentation, False)
        self.result = result
        if result is not None:
            result.keep_surfaces()  # they are made beside the page, and never while it waits
        self._state.update({"overlay": _NO_MAP, "hidden": False, "lesion_number": 0, "threshold_moving": None})
        if result is not None:
            show_segments(result.segmentation, True)
            outline_opacity(result.segmentation, float(self._state.opacity))
            show_model_window(result)
            self.labels.follow()
        self.refresh()
        self._choose_undecided()

    def _choose_undecided(self) -> None:
        """A scan that is come back to: the review goes on with the first lesion that waits, in the views and for the keys."""
        following = self.table.next_undecided([], 0)
        if following is not None:
            self.show_lesion(following)

    def show_new(self, result: Any, certificate: str) -> None:
        """A run brought a result: it is shown, with its first lesion in the middle."""
        self.show(result)
        rows = self.result.lesions.rows() if result.lesions is not None else []
        waiting = [row for row in rows if row.decision is Decision.UNDECIDED] or rows
        if waiting:
            self.jump(max(waiting, key=lambda row: (row.volume_ml or 0.0, row.area_px)).number)
        if _has_depth(result):
            self._page.later(lambda: self.show_solid(True))

    # Showing

    def refresh(self) -> None:
        """Summary, certificate, table and statistics as they are now."""
        result, state = self.result, self._state
        lesions = result.lesions if result is not None else None
        state.has_result, state.has_lesions = result is not None, lesions is not None
        if result is None:
            state.update({"summary": "", "certificate": "", "statistics": "", "solid": False, "result_warnings": []})
            self.table.fill([], {})
            self.tell_steps()
            return
        state.has_depth = _has_depth(result)
        state.summary = result.summary()
        state.certificate = _("Geometry: {certificate}").format(certificate=result.certificate())
        state.result_warnings = _said_once(
            *(result.provenance.get(name, "").split(" | ") for name in ("warnings", "accepted_warnings"))
        )
        if lesions is None:
            return
        rows = lesions.rows()
        state.conditions = list(lesions.conditions)
        state.several_conditions = len(lesions.conditions) > 1
        state.condition_names = result.condition_names()
        state.size_unit = "ml" if lesions.spacing_known else "px"
        self.table.fill(rows, state.condition_names)
        state.statistics = statistics_words(rows)
        if self.decisions.turns.is_idle and state.threshold_moving is None:  # else the reader has moved on
            state.threshold = round(lesions.threshold, 3)
        self.labels.tell()
        self.tell_steps()
        if state.solid and not self._drawing.is_active:
            self.solid_view.follow(result.segmentation, self._page.views.draw_solid)
        self._page.views.draw_slices()

    def tell_steps(self) -> None:
        """What Undo and Redo would do, and whether something is in no file yet."""
        state, steps = self._state, None
        if self.result is not None and self.result.lesions is not None:
            steps = self.result.lesions.steps
        state.undo_words = steps.undo_words if steps is not None else ""
        state.redo_words = steps.redo_words if steps is not None else ""
        state.waits_for_export = self.result is not None and self.result.waits_for_export()
        if steps is not None:
            self._page.kept.step_done(self._page.input.case_of(self.result))

    @user_action(_("The view could not be changed."))
    def jump(self, number: int) -> None:
        """A lesion in the middle of all views, once the steps before are taken."""
        self.decisions.turns.take(lambda: self.show_lesion(number))

    @user_action(_("The view could not be changed."))
    def show_lesion(self, number: int) -> None:
        """The same, now."""
        if self.result is None or self.result.lesions is None:
            return
        self._state.lesion_number = int(number)
        jump_to_lesion(self.result, int(number))
        self._page.views.show_cross(True)

    def go(self, step: int) -> None:
        """The next lesion of the table, or the one before for -1."""
        self.decisions.turns.finish()
        number = self.table.neighbour(int(step))
        if number is not None:
            self.jump(number)

    @user_action(_("The map could not be shown."))
    def show_map(self, kind: str) -> None:
        """Probability, doubt or no map over the slices."""
        if self.result is None:
            return
        self._state.overlay = kind if kind in (PROBABILITY, DOUBT) else _NO_MAP
        shown = None if self._state.hidden or self._state.overlay == _NO_MAP else self._state.overlay
        work = self.result.doubt_work() if shown == DOUBT else None
        if work is not None:
            result = self.result
            self._page.beside(work, lambda image, error: self._doubt_made(result, image, error))
            return
        show_overlay(self._page.views.scene, self.result.map_node(shown) if shown else None)

    @user_action(_("The map could not be shown."))
    def _doubt_made(self, result: Any, image: Any, error: Exception | None) -> None:
        if error is not None:
            raise error
        if result.is_alive():
            result.take_doubt(image)
            if result is self.result:
                self.show_map(self._state.overlay)

    @property
    def shows_map(self) -> bool:
        """Whether probability or doubt is chosen."""
        return bool(self._state.overlay != _NO_MAP)

    def toggle_hidden(self) -> None:
        """Before and after: all segments and the map at once."""
        if self.result is None:
            return
        self._state.hidden = not self._state.hidden
        show_segments(self.result.segmentation, not self._state.hidden)
        self.show_map(self._state.overlay)

    @user_action(_("The surfaces could not be made."))
    def show_solid(self, visible: bool) -> None:
        """Surfaces in the 3-D view."""
        if self.result is None:
            return
        self._state.solid = bool(visible)
        segmentation = self.result.segmentation
        if not visible:
            self._drawing.keep_surfaces(segmentation, False)
            self.solid_view.hide(segmentation)
            return
        self.solid_view.show(segmentation, lambda: self._solid_shown(segmentation))

    def _solid_shown(self, segmentation: Any) -> None:
        """The surfaces stand there, and stay with the next change."""
        self._drawing.keep_surfaces(segmentation, True)
        self._page.views.fit_solid()
        self._page.views.draw()

    def _opacity_changed(self, **_state: Any) -> None:
        if self.result is not None:
            outline_opacity(self.result.segmentation, float(self._state.opacity))

    # Lesions

    def stop_measuring(self) -> None:
        """A line that was begun is given up: one tool at a time takes the clicks."""
        if self._state.measuring:
            self._page.distances.toggle()

    def chosen(self, seen: int | None = None) -> int | None:
        """The chosen lesion; the reader is told where there is none, or where steps that were waiting led to another one.

        Args:
            seen: number of the lesion that stood before the reader.
        """
        if self.result is None or self.result.lesions is None:
            return None
        number = int(self._state.lesion_number or 0)
        if not any(row.number == number for row in self.result.lesions.rows()):
            self._page.failed(_("Choose a lesion in the table first."))
            return None
        if seen is not None and number != int(seen or 0):
            words = _("Lesion {number} has been chosen meanwhile, and nothing was done; look at it and click again.")
            self._page.failed(words.format(number=number))
            return None
        return number

    # Drawing

    @user_action(_("The lesion could not be edited."))
    def edit(self, seen: int) -> None:
        """Opens the chosen lesion, that with the number seen, for painting and erasing."""
        self.decisions.turns.finish()
        number = self.chosen(seen)
        if number is None:
            return
        self.stop_drawing()
        segment_id = self.result.begin_edit(number)
        self.refresh()
        self._draw_on(segment_id, _("lesion {number}").format(number=number))

    @user_action(_("The lesion could not be added."))
    def add(self, condition: str) -> None:
        """An empty segment for a missed lesion, open for painting."""
        if self.result is None or self.result.lesions is None:
            return
        self.stop_drawing()
        segment_id = self.result.begin_lesion(condition)
        self._draw_on(segment_id, _("a new lesion"))

    def _draw_on(self, segment_id: str, words: str) -> None:
        self.clicks.stop()
        if self._state.hidden:
            self.toggle_hidden()
        self._drawing.begin(self.result.segmentation, self.result.volume, segment_id)
        # Also those that are being made: each stroke would make them anew.
        self.solid_view.hide(self.result.segmentation)
        self._state.drawing_words = words

    def choose_tool(self, tool: str) -> None:
        """'paint' or 'erase', while a lesion is open."""
        self._drawing.choose(tool)

    @user_action(_("Your drawing could not be read."))
    def stop_drawing(self) -> None:
        """What was decided and drawn counts: steps that wait are taken, and a new lesion that was left empty goes."""
        self.decisions.turns.finish()
        self.end_drawing()

    @user_action(_("Your drawing could not be read."))
    def end_drawing(self) -> None:
        """The brush is put away; steps that wait go on waiting."""
        if not self._drawing.is_active:
            return
        self._drawing.end()
        self._state.drawing_words = ""
        if self.result is not None and self.result.lesions is not None:
            self.result.end_edit()
            if self._state.solid:
                self.show_solid(True)  # drawing put the surfaces away
            self.refresh()


def _has_depth(result: Any) -> bool:
    """Whether there is something to see in 3-D: not in a single slice or picture."""
    return bool(min(result.record.shape) > 1)


def _said_once(warnings: list[str], accepted: list[str]) -> list[str]:
    """What was told, without warnings that the reader was asked about in other words and accepted."""
    reasons = {line: line.removeprefix("Organ step: ").split(";")[0].rstrip(".") for line in warnings if line}
    others = [line for line, reason in reasons.items() if not any(reason in asked for asked in accepted)]
    return list(dict.fromkeys([*others, *filter(None, accepted)]))
